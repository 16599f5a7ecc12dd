// A version elsewhere, with both sides of its ring in this process, for the tests of its callers.
#pragma once
#include "dispatch/away.h"
#include "dispatch/internal.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FACE "com.example.far.Far"
#define NEAR "com.example.near.Near" // of a module in this process
#define SLOT 3
#define NEAR_SLOT 4
#define HOUR_USEC UINT64_C(3600000000)

static const char contract_json[] =
    "{\"module\":\"far\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":["
    "{\"interface\":\"" FACE "\",\"version\":\"1.0.0\",\"methods\":{"
    "\"First\":{\"deadline\":\"1s\"},\"Second\":{\"deadline\":\"20ms\",\"idempotent\":true}}}],"
    "\"requires\":{\"" NEAR "\":\"^1\"},\"optional\":{},"
    "\"execution\":\"inline\",\"isolation\":\"process\"}";
static const char near_json[] =
    "{\"module\":\"near\",\"version\":\"1.2.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":["
    "{\"interface\":\"" NEAR "\",\"version\":\"1.2.0\",\"methods\":{"
    "\"Ask\":{\"deadline\":\"10s\",\"idempotent\":true}}}],"
    "\"requires\":{},\"optional\":{\"" FACE "\":\"^1\"},"
    "\"execution\":\"inline\",\"isolation\":\"worker\"}";

static struct {
    struct gr_dispatch *d;
    struct gr_instance *far, *near;
    struct gr_ring *server, *control; // control: by which servers are told to end
    pthread_t threads[GR_RING_SLOTS_MAX];
    unsigned n_threads;
    _Atomic bool over;
    _Atomic unsigned overdue, ended, freed, faults, breakers;
    enum gr_fault_kind kind;
    char method[64], request_id[40];
    struct gr_thread *seat;
    uint64_t seen_deadline_usec; // by the module in this process
    unsigned seen_headers, deepest, blamed;
    uint64_t seen_due_nsec, seen_bound_nsec, seen_at_nsec; // of a call that is late
} t;

// --- the other process
// ----------------------------------------------------------------------

// What is called is what stands behind the word; the answer is the result.
static void call_near(unsigned slot, const char *method, struct grayling_bytes payload)
{
    struct grayling_bytes result;
    int32_t code;
    bool stays;
    if (gr_ring_call(t.server, slot, NEAR, method, payload, &code, &result, &stays) < 0 || !stays)
        abort();
    if (result.size > 0)
        memcpy(gr_ring_room(t.server, slot), result.data, result.size);
    gr_ring_answer(t.server, slot, code, result.size, "");
}

// What to do is the payload's first word; the answer is the payload.
static void *serve(void *arg)
{
    unsigned slot = (unsigned)(uintptr_t)arg;
    struct gr_ring_question *q = calloc(1, sizeof(*q));
    while (q) {
        gr_ring_wait(t.server, slot);
        if (atomic_load(&t.over))
            break;
        if (gr_ring_question(t.server, slot, q) < 0)
            abort();
        const char *word = q->request.payload.data;
        uint64_t size = q->request.payload.size;
        if (size > 0)
            memcpy(gr_ring_room(t.server, slot), word, size);
        if (size >= 4 && memcmp(word, "hang", 4) == 0)
            break; // and never answers
        else if (size >= 4 && memcmp(word, "call", 4) == 0)
            call_near(slot, "Ask", (struct grayling_bytes){word + 4, size - 4});
        else if (size >= 4 && memcmp(word, "miss", 4) == 0)
            call_near(slot, "Nothing", (struct grayling_bytes){0});
        else if (size >= 4 && memcmp(word, "fail", 4) == 0)
            gr_ring_answer(t.server, slot, GRAYLING_ABORTED, 0, "as asked");
        else if (size >= 4 && memcmp(word, "huge", 4) == 0)
            gr_ring_answer(t.server, slot, GRAYLING_OK, UINT64_MAX, "");
        else if (size >= 4 && memcmp(word, "code", 4) == 0)
            gr_ring_answer(t.server, slot, 1234, 0, "");
        else
            gr_ring_answer(t.server, slot, GRAYLING_OK, size, "");
    }
    free(q);
    return NULL;
}

static void attach(void)
{
    struct gr_ring *ring;
    int fd;
    assert_int_equal(gr_ring_new(gr_away_slots(t.d), &ring, &fd), 0);
    assert_int_equal(gr_ring_map(fd, &t.server), 0);
    assert_int_equal(gr_ring_map(fd, &t.control), 0);
    close(fd);
    atomic_store(&t.over, false);
    t.n_threads = gr_ring_slots(ring);
    for (unsigned i = 0; i < t.n_threads; i++)
        assert_int_equal(pthread_create(&t.threads[i], NULL, serve, (void *)(uintptr_t)i), 0);
    assert_int_equal(gr_away_attach(t.far, ring), 0);
}

static __attribute__((unused)) void stop_servers(void)
{
    struct grayling_request none = {.struct_size = sizeof(none)};
    atomic_store(&t.over, true);
    for (unsigned i = 0; i < t.n_threads; i++) {
        assert_int_equal(gr_ring_ask(t.control, i, &none), 0);
        pthread_join(t.threads[i], NULL);
    }
    gr_ring_free(t.server);
    gr_ring_free(t.control);
    t.server = t.control = NULL;
    t.n_threads = 0;
}

// --- the calling process
// --------------------------------------------------------------------

static void on_fault(void *userdata, const struct gr_fault *f)
{
    (void)userdata;
    atomic_fetch_add(&t.faults, 1);
    t.kind = f->kind;
    t.blamed = f->slot;
}

static void on_breaker(void *userdata, unsigned slot, enum gr_breaker_state state, unsigned recent,
                       uint64_t left_usec)
{
    (void)userdata, (void)slot, (void)state, (void)recent, (void)left_usec;
    atomic_fetch_add(&t.breakers, 1);
}

static void overdue(void *userdata, const char *interface_name, const char *method_name,
                    const char *request_id)
{
    (void)userdata, (void)interface_name;
    atomic_fetch_add(&t.overdue, 1);
    snprintf(t.method, sizeof(t.method), "%s", method_name);
    snprintf(t.request_id, sizeof(t.request_id), "%s", request_id);
}

static void end(void *userdata)
{
    (void)userdata;
    atomic_fetch_add(&t.ended, 1);
}

static void freed(void *userdata)
{
    (void)userdata;
    atomic_fetch_add(&t.freed, 1);
}

// Until it is given up, of which this thread takes the part as well.
static void be_late(const struct grayling_call *c)
{
    t.seen_at_nsec = gr_now_nsec();
    t.seen_bound_nsec = c->thread->bound_nsec;
    t.seen_due_nsec = atomic_load(&c->thread->inside->due_nsec[c->depth]);
    while (gr_dispatch_overdue(t.d, NULL, NULL) == 0)
        continue;
}

// The module in this process says who it is, fails when asked to, calls back, and is late.
static int32_t near_handle(void *self, struct grayling_call *c, const struct grayling_request *q)
{
    (void)self;
    const struct grayling_host *host = &t.near->host;
    const char *word = q->payload.data;
    char answer[80];
    t.seen_deadline_usec = q->deadline_usec;
    t.seen_headers = q->n_headers;
    snprintf(t.request_id, sizeof(t.request_id), "%s", q->request_id);
    if (q->payload.size >= 4 && memcmp(word, "fail", 4) == 0) {
        (host->fail)(c, "near cannot"); // cmocka has a macro of that name
        return GRAYLING_NOT_FOUND;
    }
    if (q->payload.size >= 4 && memcmp(word, "back", 4) == 0) {
        struct grayling_bytes got;
        t.deepest = c->depth;
        int32_t code = host->call(c, FACE, "First", (struct grayling_bytes){"callback", 8}, &got);
        return code == GRAYLING_OK ? host->respond(c, got) : code;
    }
    if (q->payload.size >= 4 && memcmp(word, "late", 4) == 0)
        be_late(c);
    int n = snprintf(answer, sizeof(answer), "near:%.*s", (int)q->payload.size, word);
    return host->respond(c, (struct grayling_bytes){answer, (uint64_t)n});
}

static const struct grayling_module near_block = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(near_block),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .handle = near_handle,
};

static __attribute__((unused)) void add_near(void)
{
    struct gr_error e = {0};
    struct gr_contract *contract;
    struct gr_swap_result ignored;
    const struct gr_load load = {.path = "/nowhere/near-1.2.0.so", .fd = -1, .slot = NEAR_SLOT};
    assert_int_equal(gr_contract_parse(near_json, strlen(near_json), &contract, &e), 0);
    assert_int_equal(gr_instance_adopt(t.d, &load, contract, &near_block, NULL, &t.near, &e), 0);
    gr_host_init(t.near);
    assert_int_equal(gr_dispatch_route(t.d, &(struct gr_change){.module = "near", .stable = t.near},
                                       1, &ignored, &e),
                     0);
}

static int set_up(void **state)
{
    (void)state;
    struct gr_error e = {0};
    struct gr_contract *contract;
    struct gr_swap_result ignored;
    memset(&t, 0, sizeof(t));
    const struct gr_dispatch_options o = {
        .max_threads = 2,
        .call_timeout_usec = HOUR_USEC,
        .call_grace_usec = 20000,
        .on_fault = on_fault,
        .on_breaker = on_breaker,
        .breaker = {.faults = 2, .window_usec = HOUR_USEC, .backoff_usec = HOUR_USEC},
    };
    const struct gr_load load = {.path = "/nowhere/far-1.0.0.so", .fd = -1, .slot = SLOT};
    const struct gr_away_callbacks cb = {.overdue = overdue, .end = end, .free = freed};
    assert_int_equal(gr_dispatch_new(&o, &t.d, &e), 0);
    assert_int_equal(gr_contract_parse(contract_json, strlen(contract_json), &contract, &e), 0);
    assert_int_equal(gr_away_new(t.d, &load, contract, &cb, &t.far, &e), 0);
    assert_int_equal(gr_dispatch_route(t.d, &(struct gr_change){.module = "far", .stable = t.far},
                                       1, &ignored, &e),
                     0);
    assert_int_equal(gr_thread_attach(t.d, &t.seat), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (t.server)
        stop_servers();
    gr_thread_detach(t.seat);
    gr_away_detach(t.far, NULL); // as end() must have seen to
    gr_dispatch_free(t.d);
    assert_int_equal(atomic_load(&t.ended), 1);
    assert_int_equal(atomic_load(&t.freed), 1);
    return 0;
}

static struct gr_response call(const char *method, const char *payload, uint64_t size)
{
    static struct gr_response r;
    struct grayling_request q = {.struct_size = sizeof(q),
                                 .interface_name = FACE,
                                 .method_name = method,
                                 .codec = GRAYLING_CODEC_JSON,
                                 .payload = {payload, size},
                                 .request_id = "r-1"};
    assert_int_equal(gr_dispatch_call(t.seat, &q, &r), GR_CALL_DONE);
    return r;
}

static __attribute__((unused)) struct gr_counters counters(void)
{
    struct gr_counters c;
    gr_stats_read(t.d->stats, SLOT, &c);
    return c;
}
