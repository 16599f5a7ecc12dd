// What a hand-over of state adds to the freeze: 64 MiB as bytes that are copied twice or once, in a
// memory object, which is not copied, a count alone, and nothing at all. Two versions of one module
// take turns; nobody calls meanwhile, so the freeze is what the exchange itself takes. Prints a
// table; asserts nothing about time.
//
//   bench-state [MEBIBYTES [EXCHANGES]]      default: 64 40; the modules in
//   $GRAYLING_BUILD/tests/modules
#include "dispatch/dispatch.h"
#include "dispatch/testmodules/keeper.h"
#include <stdio.h>
#include <string.h>

#define WARM_UP 4

struct way {
    const char *name, *module;
    struct keeper_orders orders;
};

struct figures {
    uint64_t freeze[1000], handover[1000], first_call[1000];
    unsigned n;
};

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(uint64_t *values, unsigned n)
{
    qsort(values, n, sizeof(*values), by_value);
    printf(" %9llu %9llu %9llu", (unsigned long long)values[n / 2],
           (unsigned long long)values[n * 99 / 100], (unsigned long long)values[n - 1]);
}

// dlopen knows a file by its path and inode, so each version is a file of its own.
static int load(struct gr_dispatch *d, const struct way *w, unsigned slot, struct gr_instance **ret,
                struct gr_error *e)
{
    char path[4096], config[64];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, sizeof(path), "%s/tests/modules/%s-%u.0.0.so", build ? build : ".", w->module,
             slot + 1);
    snprintf(config, sizeof(config), "{\"orders\":\"%p\"}", (const void *)&w->orders);
    struct gr_load l = {.path = path, .fd = -1, .config = config, .slot = slot};
    return gr_instance_load(d, &l, ret, e);
}

// The first call after the exchange meets what the exchange has left to do.
static uint64_t call_once(struct gr_thread *t, struct gr_dispatch *d, const struct way *w)
{
    struct grayling_request q = {.struct_size = sizeof(q),
                                 .interface_name = strcmp(w->module, "keeper") == 0
                                                       ? "com.example.keeper.Keeper"
                                                       : "com.example.probe.Probe",
                                 .method_name = w->orders.bytes ? "Add" : "Version",
                                 .request_id = "bench"};
    struct gr_response r;
    struct gr_mono begin = gr_mono_now();
    if (gr_dispatch_call(t, &q, &r) == GR_CALL_DONE)
        gr_response_done(d, &r);
    return gr_mono_now().usec - begin.usec;
}

static int run(struct gr_dispatch *d, struct gr_thread *t, const struct way *w, unsigned exchanges,
               struct figures *ret, struct gr_error *e)
{
    struct gr_instance *versions[2];
    int r = load(d, w, 0, &versions[0], e);
    if (r == 0)
        r = load(d, w, 1, &versions[1], e);
    for (unsigned i = 0; i < exchanges + WARM_UP && r == 0; i++) {
        struct gr_change change = {.module = w->module, .stable = versions[i % 2]};
        struct gr_swap_result result;
        r = gr_dispatch_swap(d, &change, 1, 10 * GR_USEC_PER_SEC, &result, e);
        uint64_t call = call_once(t, d, w);
        if (r < 0 || i < WARM_UP)
            continue;
        ret->freeze[ret->n] = result.freeze_usec;
        ret->handover[ret->n] = result.handover_usec;
        ret->first_call[ret->n++] = call;
    }
    return r;
}

static int measure(struct way *w, unsigned exchanges)
{
    struct gr_dispatch_options o = {.max_threads = 1};
    struct gr_dispatch *d;
    struct gr_thread *t;
    struct gr_error e = {0};
    static struct figures f;
    f.n = 0;
    int r = gr_dispatch_new(&o, &d, &e);
    if (r == 0 && gr_thread_attach(d, &t) == 0) {
        r = run(d, t, w, exchanges, &f, &e);
        gr_thread_detach(t);
        gr_dispatch_free(d);
    }
    if (r < 0) {
        fprintf(stderr, "bench-state: %s: %s\n", w->name, e.message);
        return r;
    }
    printf("%-30s", w->name);
    print_quantiles(f.freeze, f.n);
    print_quantiles(f.handover, f.n);
    print_quantiles(f.first_call, f.n);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 64) << 20;
    unsigned exchanges = argc > 2 ? (unsigned)atoi(argv[2]) : 40;
    struct way ways[] = {
        {"nothing to hand over", "probe", {0}},
        {"a count of 8 bytes", "keeper", {.bytes = 8}},
        {"in a memory object", "keeper", {.bytes = bytes, .memory = 1}},
        {"bytes, copied by the importer", "keeper", {.bytes = bytes, .shares = 1}},
        {"bytes, copied by both", "keeper", {.bytes = bytes}},
    };
    if (bytes == 0 || exchanges == 0 || exchanges > GR_COUNT(((struct figures *)0)->freeze))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0); // a row as soon as it is known
    printf("%llu MiB of state, %u exchanges; microseconds\n", (unsigned long long)(bytes >> 20),
           exchanges);
    printf("%-30s %29s %29s %29s\n%-30s", "", "freeze", "hand-over", "first call", "");
    for (int i = 0; i < 3; i++)
        printf(" %9s %9s %9s", "p50", "p99", "max");
    printf("\n");
    int status = 0;
    for (size_t i = 0; i < GR_COUNT(ways); i++)
        status |= measure(&ways[i], exchanges) < 0;
    return status;
}
