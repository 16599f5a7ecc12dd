// What a call costs, in nanoseconds: bare into the module, through the pinned table, and the whole
// way with guard, statistics and answer. Prints a table; asserts nothing about time.
//
//   bench-call [FILE.so]        default: $GRAYLING_BUILD/modules/echo-1.0.0.so
#include "dispatch/internal.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 7
#define CALLS 1000000u
#define THREADS_MAX 2

struct bench {
    struct gr_dispatch *d;
    const struct grayling_module *block; // for the bare call
    void *self;
    struct grayling_host host;
    struct grayling_request request;
};

struct runner {
    struct bench *b;
    struct gr_thread *t;
    void (*loop)(struct runner *r);
    pthread_barrier_t *start;
    double nsec;
};

static double now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// --- what is measured --------------------------------------------------------------------------

static int32_t no_respond(struct grayling_call *call, struct grayling_bytes payload)
{
    (void)call;
    (void)payload;
    return GRAYLING_OK;
}

static void loop_bare(struct runner *r)
{
    const struct bench *b = r->b;
    int32_t (*volatile handle)(void *, struct grayling_call *, const struct grayling_request *) =
        b->block->handle;
    for (unsigned i = 0; i < CALLS; i++)
        handle(b->self, NULL, &b->request);
}

static void loop_pinned(struct runner *r)
{
    const struct bench *b = r->b;
    for (unsigned i = 0; i < CALLS; i++) {
        const struct gr_route *route;
        if (gr_pin(r->t, &b->request, &route) == GR_ENTERED)
            b->block->handle(b->self, NULL, &b->request);
        gr_unpin(r->t);
    }
}

static void loop_whole(struct runner *r)
{
    const struct bench *b = r->b;
    struct gr_response response;
    for (unsigned i = 0; i < CALLS; i++) {
        if (gr_dispatch_call(r->t, &b->request, &response) == GR_CALL_DONE)
            gr_response_done(b->d, &response);
    }
}

// --- measuring ---------------------------------------------------------------------------------

static void *run(void *arg)
{
    struct runner *r = arg;
    if (gr_thread_attach(r->b->d, &r->t) < 0)
        abort();
    pthread_barrier_wait(r->start);
    double start = now_nsec();
    r->loop(r);
    r->nsec = (now_nsec() - start) / CALLS;
    gr_thread_detach(r->t);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Median over rounds of the mean over threads.
static double measure(struct bench *b, void (*loop)(struct runner *r), unsigned n_threads)
{
    double rounds[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_t start;
        pthread_t threads[THREADS_MAX];
        struct runner runners[THREADS_MAX];
        rounds[i] = 0;
        pthread_barrier_init(&start, NULL, n_threads);
        for (unsigned t = 0; t < n_threads; t++) {
            runners[t] = (struct runner){.b = b, .loop = loop, .start = &start};
            if (pthread_create(&threads[t], NULL, run, &runners[t]) != 0)
                abort();
        }
        for (unsigned t = 0; t < n_threads; t++) {
            pthread_join(threads[t], NULL);
            rounds[i] += runners[t].nsec / n_threads;
        }
        pthread_barrier_destroy(&start);
    }
    qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
    return rounds[ROUNDS / 2];
}

// --- set-up ------------------------------------------------------------------------------------

static int prepare(struct bench *b, const char *path, struct gr_error *e)
{
    struct gr_dispatch_options o = {.max_threads = THREADS_MAX};
    struct gr_load load = {.path = path, .fd = -1};
    struct gr_instance *i;
    struct gr_swap_result swapped;
    int r = gr_dispatch_new(&o, &b->d, e);
    if (r == 0)
        r = gr_guard_install(b->d);
    if (r == 0)
        r = gr_instance_load(b->d, &load, &i, e);
    if (r < 0)
        return r;
    const struct gr_contract_interface *face = &gr_instance_contract(i)->provides[0];
    struct gr_change change = {.module = gr_instance_contract(i)->module.s, .stable = i};
    r = gr_dispatch_swap(b->d, &change, 1, GR_USEC_PER_SEC, &swapped, e);
    b->block = i->block;
    b->host = (struct grayling_host){.struct_size = sizeof(b->host), .respond = no_respond};
    b->self = &b->host; // echo keeps its host as its self
    b->request = (struct grayling_request){
        .struct_size = sizeof(b->request),
        .interface_name = face->name,
        .method_name = face->methods[0].name,
        .payload = {"sixteen bytes...", 16},
        .request_id = "0af7651916cd43dd8448eb211c80319c",
    };
    return r;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*loop)(struct runner *r);
    } ways[] = {
        {"bare indirect call into the module", loop_bare},
        {"through the pinned table (lookup by name)", loop_pinned},
        {"whole way: pin, guard, statistics, answer", loop_whole},
    };
    char path[4096];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, sizeof(path), "%s/modules/echo-1.0.0.so", build ? build : ".");
    struct bench b;
    struct gr_error e = {0};
    if (prepare(&b, argc > 1 ? argv[1] : path, &e) < 0) {
        fprintf(stderr, "bench-call: %s\n", e.message);
        return 1;
    }
    printf("%-44s %10s %10s\n", "nanoseconds a call", "1 thread", "2 threads");
    for (size_t i = 0; i < GR_COUNT(ways); i++)
        printf("%-44s %10.1f %10.1f\n", ways[i].name, measure(&b, ways[i].loop, 1),
               measure(&b, ways[i].loop, 2));
    gr_dispatch_free(b.d);
    return 0;
}
