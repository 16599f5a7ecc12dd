// What a call costs, in nanoseconds: bare into the module, through the pinned table, and the whole
// way with guard, statistics and answer; what the decision of a gray release adds; and how long it
// takes to route a candidate out while calls run. Prints tables; asserts nothing about time.
//
//   bench-call [DIRECTORY]      of echo-1.0.0.so and echo-1.0.1.so; default:
//   $GRAYLING_BUILD/modules
#include "dispatch/internal.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 7
#define CALLS 1000000u
#define THREADS_MAX 2
#define EXCHANGES 2000

struct bench {
    struct gr_dispatch *d;
    struct gr_instance *stable, *candidate;
    _Atomic bool stop;
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

static double now_nsec(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
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

static void loop_until_stopped(struct runner *r)
{
    struct gr_response response;
    while (!atomic_load_explicit(&r->b->stop, memory_order_relaxed))
        if (gr_dispatch_call(r->t, &r->b->request, &response) == GR_CALL_DONE)
            gr_response_done(r->b->d, &response);
}

// --- the rollout -------------------------------------------------------------------------------

// Routes the candidate beside stable; no rule: stable alone. `harm`: whose bad answers have a
// budget, the candidate's or, without one, stable's.
static void route(struct bench *b, const struct gr_gray_spec *rule, struct gr_harm *harm)
{
    struct gr_swap_result result;
    struct gr_error e = {0};
    struct gr_gray *gray = NULL;
    struct gr_change c = {
        .module = gr_instance_contract(b->stable)->module.s, .stable = b->stable, .harm = harm};
    int r = rule ? gr_gray_new(rule, NULL, &gray, &e) : 0;
    if (gray) {
        c.candidate = b->candidate;
        c.gray = gray;
    }
    if (r < 0 || gr_dispatch_route(b->d, &c, 1, &result, &e) < 0) {
        fprintf(stderr, "bench-call: %s\n", e.message);
        exit(1);
    }
    gr_gray_unref(gray);
}

// --- measuring ---------------------------------------------------------------------------------

static void *run(void *arg)
{
    struct runner *r = arg;
    if (gr_thread_attach(r->b->d, &r->t) < 0)
        abort();
    pthread_barrier_wait(r->start);
    // The thread's own time: on a busy machine, waiting for a processor is no cost of a call.
    double start = now_nsec(CLOCK_THREAD_CPUTIME_ID);
    r->loop(r);
    r->nsec = (now_nsec(CLOCK_THREAD_CPUTIME_ID) - start) / CALLS;
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

// A candidate taken in and out while two threads call: from the order to the new table in force.
static void measure_exchanges(struct bench *b)
{
    static double usec[EXCHANGES];
    static const struct gr_gray_spec half = {.rollout = 1, .weight_permyriad = 5000};
    pthread_barrier_t start;
    pthread_t threads[THREADS_MAX];
    struct runner runners[THREADS_MAX];
    pthread_barrier_init(&start, NULL, THREADS_MAX);
    for (unsigned t = 0; t < THREADS_MAX; t++) {
        runners[t] = (struct runner){.b = b, .loop = loop_until_stopped, .start = &start};
        if (pthread_create(&threads[t], NULL, run, &runners[t]) != 0)
            abort();
    }
    for (unsigned i = 0; i < EXCHANGES; i++) {
        route(b, &half, NULL);
        double begin = now_nsec(CLOCK_MONOTONIC);
        route(b, NULL, NULL);
        usec[i] = (now_nsec(CLOCK_MONOTONIC) - begin) / 1e3;
    }
    atomic_store(&b->stop, true);
    for (unsigned t = 0; t < THREADS_MAX; t++)
        pthread_join(threads[t], NULL);
    pthread_barrier_destroy(&start);
    qsort(usec, EXCHANGES, sizeof(usec[0]), by_value);
    printf("candidate routed out under load, us: %.1f p50, %.1f p99, %.1f most of %d\n",
           usec[EXCHANGES / 2], usec[EXCHANGES * 99 / 100], usec[EXCHANGES - 1], EXCHANGES);
}

// --- set-up ------------------------------------------------------------------------------------

static int load(struct bench *b, const char *directory, const char *file, unsigned slot,
                struct gr_instance **ret, struct gr_error *e)
{
    char path[4096 + 32];
    snprintf(path, sizeof(path), "%s/%s.so", directory, file);
    struct gr_load l = {.path = path, .fd = -1, .slot = slot};
    return gr_instance_load(b->d, &l, ret, e);
}

static int prepare(struct bench *b, const char *directory, struct gr_error *e)
{
    static const struct grayling_header headers[] = {
        {"host", "127.0.0.1:8080"}, {"user-agent", "bench/1.0"}, {"x-user-id", "user-4711"}};
    struct gr_dispatch_options o = {.max_threads = THREADS_MAX};
    int r = gr_dispatch_new(&o, &b->d, e);
    if (r == 0)
        r = gr_guard_install(b->d);
    if (r == 0)
        r = load(b, directory, "echo-1.0.0", 0, &b->stable, e);
    if (r == 0)
        r = load(b, directory, "echo-1.0.1", 1, &b->candidate, e);
    if (r < 0)
        return r;
    const struct gr_contract_interface *face = &gr_instance_contract(b->stable)->provides[0];
    b->block = b->stable->block;
    b->host = (struct grayling_host){.struct_size = sizeof(b->host), .respond = no_respond};
    b->self = &b->host; // echo keeps its host as its self
    b->request = (struct grayling_request){
        .struct_size = sizeof(b->request),
        .interface_name = face->name,
        .method_name = face->methods[0].name,
        .n_headers = GR_COUNT(headers),
        .headers = headers,
        .payload = {"sixteen bytes...", 16},
        .request_id = "0af7651916cd43dd8448eb211c80319c",
    };
    return r;
}

static struct gr_harm *open_budget(const struct bench *b)
{
    static struct gr_harms *harms;
    int fd, number = -1;
    if (gr_harms_new(&harms, &fd) == 0)
        number = gr_harms_open(harms, 1, &gr_instance_contract(b->stable)->module, 1000, 0);
    if (number < 0)
        abort();
    return gr_harms_at(harms, (unsigned)number);
}

int main(int argc, char **argv)
{
    static const struct gr_gray_spec turns = {.rollout = 1, .weight_permyriad = 5000},
                                     all = {.rollout = 1, .weight_permyriad = 10000},
                                     sticky = {.rollout = 1,
                                               .weight_permyriad = 5000,
                                               .sticky = "header:x-user-id"},
                                     exact = {.rollout = 1,
                                              .match_json = "[{\"header\":\"x-user-id\",\"exact\":"
                                                            "\"user-4711\"}]"},
                                     regex = {.rollout = 1,
                                              .match_json = "[{\"header\":\"x-user-id\",\"regex\":"
                                                            "\"^user-[0-9]+$\"}]"};
    static const struct {
        const char *name;
        void (*loop)(struct runner *r);
        const struct gr_gray_spec *rule;
        bool budget;
    } ways[] = {
        {"bare indirect call into the module", loop_bare, NULL, false},
        {"through the pinned table (lookup by name)", loop_pinned, NULL, false},
        {"whole way: pin, guard, statistics, answer", loop_whole, NULL, false},
        {"... in a bake with a harm budget", loop_whole, NULL, true},
        {"... and a candidate, by turns", loop_whole, &turns, false},
        {"... with a harm budget", loop_whole, &turns, true},
        {"... by a sticky header", loop_whole, &sticky, false},
        {"... by a rule, exact", loop_whole, &exact, false},
        {"... every call the candidate's", loop_whole, &all, false},
        {"... with a harm budget", loop_whole, &all, true},
        {"... by a rule, regular expression", loop_whole, &regex, false},
    };
    char directory[4096];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(directory, sizeof(directory), "%s/modules", build ? build : ".");
    static struct bench b;
    struct gr_error e = {0};
    if (prepare(&b, argc > 1 ? argv[1] : directory, &e) < 0) {
        fprintf(stderr, "bench-call: %s\n", e.message);
        return 1;
    }
    struct gr_harm *budget = open_budget(&b);
    printf("%-44s %10s %10s\n", "nanoseconds a call", "1 thread", "2 threads");
    for (size_t i = 0; i < GR_COUNT(ways); i++) {
        route(&b, ways[i].rule, ways[i].budget ? budget : NULL);
        printf("%-44s %10.1f %10.1f\n", ways[i].name, measure(&b, ways[i].loop, 1),
               measure(&b, ways[i].loop, 2));
    }
    measure_exchanges(&b);
    gr_dispatch_free(b.d);
    return 0;
}
