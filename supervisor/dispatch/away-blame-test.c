// An in-process caller that waits for a version in another process which hangs: who is blamed, by
// whom, and what time is left to the caller. The other side of the ring is in this process.
#include "dispatch/away.h"
#include "dispatch/internal.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FAR "com.example.far.Far"
#define NEAR "com.example.near.Near"
#define HOUR_USEC UINT64_C(3600000000)
enum { NEAR_SLOT = 1, FAR_SLOT = 2 };

static const char far_json[] =
    "{\"module\":\"far\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":["
    "{\"interface\":\"" FAR
    "\",\"version\":\"1.0.0\",\"methods\":{\"Quick\":{\"deadline\":\"1ms\"},"
    "\"Slow\":{\"deadline\":\"1h\"},\"Any\":{}}}],"
    "\"requires\":{},\"optional\":{},\"execution\":\"inline\",\"isolation\":\"process\"}";
static const char near_json[] =
    "{\"module\":\"near\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":["
    "{\"interface\":\"" NEAR "\",\"version\":\"1.0.0\",\"methods\":{"
    "\"Ask\":{}}}],\"requires\":{},\"optional\":{\"" FAR "\":\"^1\"},"
    "\"execution\":\"inline\",\"isolation\":\"worker\"}";

static struct {
    struct gr_dispatch *d;
    struct gr_instance *near, *far;
    struct gr_thread *seat;
    struct gr_ring *server;
    pthread_t answerer;
    _Atomic bool inside; // the far version has been asked
    int go[2];           // it answers at a byte
    unsigned overdue, faults;
    bool looks; // near, after far has answered, whether it is late itself
    unsigned late_back;
} t;

static void on_fault(void *userdata, const struct gr_fault *f)
{
    (void)userdata, (void)f;
    t.faults++;
}

// --- the caller --------------------------------------------------------------------------------

static int32_t near_handle(void *self, struct grayling_call *c, const struct grayling_request *q)
{
    (void)self;
    char method[16];
    struct grayling_bytes got;
    snprintf(method, sizeof(method), "%.*s", (int)q->payload.size, (const char *)q->payload.data);
    int32_t code = t.near->host.call(c, FAR, method, (struct grayling_bytes){0}, &got);
    if (t.looks)
        t.late_back = gr_dispatch_overdue(t.d, NULL, NULL);
    return code;
}

static const struct grayling_module near_block = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(near_block),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .handle = near_handle,
};

// --- the callee --------------------------------------------------------------------------------

static void overdue(void *userdata, const char *interface_name, const char *method_name,
                    const char *request_id)
{
    (void)userdata, (void)interface_name, (void)method_name, (void)request_id;
    t.overdue++;
}

static void nothing(void *userdata)
{
    (void)userdata;
}

static void *answer_when_told(void *arg)
{
    struct gr_ring_question *q = calloc(1, sizeof(*q));
    char c;
    (void)arg;
    if (!q)
        abort();
    gr_ring_wait(t.server, 0);
    if (gr_ring_question(t.server, 0, q) < 0)
        abort();
    atomic_store(&t.inside, true);
    if (read(t.go[0], &c, 1) == 1)
        gr_ring_answer(t.server, 0, GRAYLING_OK, 0, "");
    free(q);
    return NULL;
}

// --- both --------------------------------------------------------------------------------------

static void add(const char *json, const char *module, struct gr_instance **ret, bool away,
                unsigned slot)
{
    static const struct gr_away_callbacks cb = {
        .overdue = overdue, .end = nothing, .free = nothing};
    struct gr_error e = {0};
    struct gr_contract *contract;
    struct gr_swap_result ignored;
    const struct gr_load load = {.path = "/nowhere/one.so", .fd = -1, .slot = slot};
    assert_int_equal(gr_contract_parse(json, strlen(json), &contract, &e), 0);
    if (away)
        assert_int_equal(gr_away_new(t.d, &load, contract, &cb, ret, &e), 0);
    else
        assert_int_equal(gr_instance_adopt(t.d, &load, contract, &near_block, NULL, ret, &e), 0);
    assert_int_equal(gr_dispatch_route(t.d, &(struct gr_change){.module = module, .stable = *ret},
                                       1, &ignored, &e),
                     0);
}

// timeout: of methods that declare no deadline. A request without one is never too late to begin.
static void begin(uint64_t timeout_usec, uint64_t grace_usec)
{
    struct gr_error e = {0};
    struct gr_ring *ring;
    int fd;
    memset(&t, 0, sizeof(t));
    const struct gr_dispatch_options o = {.max_threads = 2,
                                          .call_timeout_usec = timeout_usec,
                                          .call_grace_usec = grace_usec,
                                          .on_fault = on_fault};
    assert_int_equal(gr_dispatch_new(&o, &t.d, &e), 0);
    add(near_json, "near", &t.near, false, NEAR_SLOT);
    gr_host_init(t.near);
    add(far_json, "far", &t.far, true, FAR_SLOT);
    assert_int_equal(gr_thread_attach(t.d, &t.seat), 0);
    assert_int_equal(gr_ring_new(gr_away_slots(t.d), &ring, &fd), 0);
    assert_int_equal(gr_ring_map(fd, &t.server), 0);
    close(fd);
    assert_int_equal(gr_away_attach(t.far, ring), 0);
    assert_int_equal(pipe(t.go), 0);
    assert_int_equal(pthread_create(&t.answerer, NULL, answer_when_told, NULL), 0);
}

static void end(void)
{
    close(t.go[1]);
    pthread_join(t.answerer, NULL);
    close(t.go[0]);
    gr_thread_detach(t.seat);
    gr_away_detach(t.far, NULL);
    gr_ring_free(t.server);
    gr_dispatch_free(t.d);
}

static int32_t ask(const char *interface_name, const char *method, const char *payload,
                   uint64_t deadline_usec)
{
    struct gr_response r;
    struct grayling_request q = {.struct_size = sizeof(q),
                                 .interface_name = interface_name,
                                 .method_name = method,
                                 .payload = {payload, strlen(payload)},
                                 .deadline_usec = deadline_usec};
    assert_int_equal(gr_dispatch_call(t.seat, &q, &r), GR_CALL_DONE);
    int32_t code = r.code;
    gr_response_done(t.d, &r);
    return code;
}

static struct gr_counters counters(unsigned slot)
{
    struct gr_counters c;
    gr_stats_read(t.d->stats, slot, &c);
    return c;
}

// However far apart the two limits are, and whichever of them is the earlier one.
static void whoever_hangs_is_blamed(void **state)
{
    static const char *const methods[] = {"Quick", "Slow", "Any"};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(methods); i++) {
        begin(1000, 20000);
        assert_int_equal(ask(NEAR, "Ask", methods[i], 0), GRAYLING_DEADLINE_EXCEEDED);
        assert_int_equal(t.overdue, 1); // its process is ended
        assert_int_equal(counters(FAR_SLOT).faults_by[GR_FAULT_TIMEOUT], 1);
        end();
    }
}

// It has waited past its own limit, and is asked whether it is late the moment it has the answer.
static void the_caller_is_left_time_to_answer(void **state)
{
    (void)state;
    begin(1000, 100000);
    t.looks = true;
    t.late_back = 99;
    assert_int_equal(ask(NEAR, "Ask", "Slow", 0), GRAYLING_DEADLINE_EXCEEDED);
    assert_int_equal(t.late_back, 0);
    assert_int_equal(counters(NEAR_SLOT).faults, 0);
    assert_int_equal(t.faults, 0); // nothing that the worker would be replaced for
    end();
}

static void *look_for_the_overdue(void *ret)
{
    while (!atomic_load(&t.inside))
        ;
    atomic_store(&t.seat->inside->due_nsec[0], 1); // as if all its time had passed
    *(unsigned *)ret = gr_dispatch_overdue(t.d, NULL, NULL);
    if (write(t.go[1], "x", 1) != 1)
        abort();
    return NULL;
}

// The look comes before the callee's own limit.
static void who_waits_for_another_process_is_not_given_up(void **state)
{
    pthread_t looker;
    unsigned found = 99;
    (void)state;
    begin(HOUR_USEC, HOUR_USEC);
    assert_int_equal(pthread_create(&looker, NULL, look_for_the_overdue, &found), 0);
    assert_int_equal(ask(NEAR, "Ask", "Slow", 0), GRAYLING_OK);
    pthread_join(looker, NULL);
    assert_int_equal(found, 0);
    assert_int_equal(t.faults, 0);
    end();
}

static void *answer_late(void *asked_usec)
{
    while (gr_mono_now().usec < *(uint64_t *)asked_usec + 10000)
        ;
    if (write(t.go[1], "x", 1) != 1)
        abort();
    return NULL;
}

// Its time and the grace are over while the method's are not: a client in a hurry convicts nobody.
static void a_clients_haste_ends_no_process(void **state)
{
    pthread_t late;
    (void)state;
    begin(HOUR_USEC, 1000);
    uint64_t asked_usec = gr_mono_now().usec + 300000;
    assert_int_equal(pthread_create(&late, NULL, answer_late, &asked_usec), 0);
    assert_int_equal(ask(FAR, "Slow", "", asked_usec), GRAYLING_OK);
    pthread_join(late, NULL);
    assert_int_equal(t.overdue, 0);
    assert_int_equal(counters(FAR_SLOT).faults, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_hangs_is_blamed),
        cmocka_unit_test(the_caller_is_left_time_to_answer),
        cmocka_unit_test(who_waits_for_another_process_is_not_given_up),
        cmocka_unit_test(a_clients_haste_ends_no_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
