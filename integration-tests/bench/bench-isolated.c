// Round trips of one caller, one after the other: echo in this process, and echo in a process of
// its own behind a ring, served as the product serves it. Prints rows of a table in Markdown;
// asserts nothing about time.
//
//   bench-isolated [BUILD]      default: $GRAYLING_BUILD, or here; of its modules
#include "dispatch/afar.h"
#include "dispatch/away.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define WARM_UP 2000
#define CALLS 20000
#define SERVERS 3 // as many threads as the ring has slots that one caller uses, and some

static uint64_t now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static _Noreturn void give_up(const char *what, const struct gr_error *e)
{
    fprintf(stderr, "bench-isolated: %s: %s\n", what, e ? e->message : "failed");
    exit(1);
}

// --- the process of the version
// ---------------------------------------------------------------

struct server {
    struct gr_dispatch *d;
    struct gr_ring *ring;
    const struct gr_contract *contract;
    unsigned slot;
};

static void *serve(void *arg)
{
    const struct server *s = arg;
    struct gr_thread *t;
    if (gr_thread_attach(s->d, &t) < 0)
        abort();
    gr_afar_serve(t, s->ring, s->slot, s->contract);
}

static void route(struct gr_dispatch *d, struct gr_instance *i)
{
    struct gr_swap_result result;
    struct gr_error e = {0};
    const struct gr_change c = {.module = gr_instance_contract(i)->module.s, .stable = i};
    if (gr_dispatch_route(d, &c, 1, &result, &e) < 0)
        give_up("route", &e);
}

// Loads and serves; says so by a byte.
static _Noreturn void be_isolated(const struct gr_load *load, int ring_fd, int ready_fd)
{
    static struct server servers[SERVERS];
    struct gr_error e = {0};
    struct gr_dispatch *d;
    struct gr_ring *ring;
    struct gr_instance *i;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (gr_ring_map(ring_fd, &ring) < 0 ||
        gr_dispatch_new(&(struct gr_dispatch_options){.max_threads = SERVERS}, &d, &e) < 0 ||
        gr_instance_load(d, load, &i, &e) < 0)
        give_up(load->path, &e);
    route(d, i);
    for (unsigned s = 0; s < SERVERS; s++) {
        pthread_t thread;
        servers[s] = (struct server){d, ring, gr_instance_contract(i), s};
        if (pthread_create(&thread, NULL, serve, &servers[s]) != 0)
            abort();
    }
    if (write(ready_fd, "", 1) != 1)
        abort();
    for (;;)
        pause();
}

static pid_t start_isolated(const struct gr_load *load, int ring_fd)
{
    int ready[2];
    char byte;
    if (pipe(ready) < 0)
        give_up("pipe", NULL);
    pid_t pid = fork(); // before this process has threads
    if (pid == 0)
        be_isolated(load, ring_fd, ready[1]);
    close(ready[1]);
    if (pid < 0 || read(ready[0], &byte, 1) != 1)
        give_up("the process of the version", NULL);
    close(ready[0]);
    return pid;
}

// --- measuring
// ---------------------------------------------------------------------------------

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct gr_dispatch *d, struct gr_thread *t, const char *name, uint64_t bytes)
{
    static uint64_t nsec[CALLS];
    static char payload[4096];
    struct grayling_request q = {.struct_size = sizeof(q),
                                 .interface_name = "com.example.echo.EchoService",
                                 .method_name = "Echo",
                                 .codec = GRAYLING_CODEC_PROTO,
                                 .payload = {payload, bytes},
                                 .request_id = "bench"};
    struct gr_response r;
    for (unsigned i = 0; i < WARM_UP + CALLS; i++) {
        uint64_t begin = now_nsec();
        if (gr_dispatch_call(t, &q, &r) != GR_CALL_DONE || r.code != GRAYLING_OK ||
            r.payload.size != bytes)
            give_up(name, NULL);
        gr_response_done(d, &r);
        if (i >= WARM_UP)
            nsec[i - WARM_UP] = now_nsec() - begin;
    }
    qsort(nsec, CALLS, sizeof(nsec[0]), by_value);
    printf("| %s | %llu | %.2f | %.2f | %.2f |\n", name, (unsigned long long)bytes,
           (double)nsec[CALLS / 2] / 1e3, (double)nsec[CALLS * 99 / 100] / 1e3,
           (double)nsec[CALLS * 999 / 1000] / 1e3);
}

static void never_overdue(void *userdata, const char *interface_name, const char *method_name,
                          const char *request_id)
{
    (void)userdata, (void)interface_name, (void)method_name, (void)request_id;
    give_up("a call was not answered", NULL);
}

static void nothing(void *userdata)
{
    (void)userdata;
}

static void measure_both(struct gr_dispatch *d, struct gr_thread *t, const char *name)
{
    measure(d, t, name, 64);
    measure(d, t, name, 4096);
}

int main(int argc, char **argv)
{
    const char *build = argc > 1 ? argv[1] : getenv("GRAYLING_BUILD");
    char path[4096];
    struct gr_error e = {0};
    struct gr_dispatch *d;
    struct gr_thread *t;
    struct gr_contract *contract;
    struct gr_instance *here, *away;
    struct gr_ring *ring;
    int ring_fd;
    snprintf(path, sizeof(path), "%s/modules/echo-1.2.0.so", build ? build : ".");
    struct gr_load load = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    const struct gr_away_callbacks cb = {.overdue = never_overdue, .end = nothing, .free = nothing};
    if (gr_ring_new(SERVERS, &ring, &ring_fd) < 0 || gr_load_contract(&load, &contract, &e) < 0)
        give_up(path, &e);
    pid_t pid = start_isolated(&load, ring_fd);
    const struct gr_dispatch_options o = {.max_threads = 1, .call_grace_usec = 10000000};
    load.slot = 1;
    if (gr_dispatch_new(&o, &d, &e) < 0 || gr_away_new(d, &load, contract, &cb, &away, &e) < 0 ||
        gr_away_attach(away, ring) < 0 || gr_thread_attach(d, &t) < 0)
        give_up(path, &e);
    load.slot = 2;
    if (gr_instance_load(d, &load, &here, &e) < 0) // its contract asks its host, not the library
        give_up(path, &e);
    route(d, here);
    measure_both(d, t, "in process");
    route(d, away);
    measure_both(d, t, "isolated, through the ring");
    gr_thread_detach(t);
    gr_away_detach(away, NULL);
    gr_dispatch_free(d);
    kill(pid, SIGKILL);
    return 0;
}
