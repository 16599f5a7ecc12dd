// Calls from module to module (host->call), as both sides see them: herald asks, scribe notes what
// it got. Same thread, same bytes, same table, the deadline and the metadata of the request; what
// the callee did is counted for the callee, and why it failed reaches whoever asked.
#include "dispatch/testmodules/exam.h"
#include "dispatch/testmodules/fixture.h"
#include <errno.h>
#include <semaphore.h>

#define HERALD "com.example.herald.Herald"
#define MINUTE (60 * SECOND)

static const struct grayling_header headers[] = {
    {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    {"tracestate", "vendor=opaque,other=1"},
    {"x-tenant-id", "acme"},
    {"x-grayling-shadow", "1"},
};

struct asked {
    struct gr_response r;
    struct exam *exam; // what is in the payload: its address is what both sides must see
};

static struct fixture *start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0); // here: cmocka has put its own handlers before
    route(f, "scribe", load_module(f, "scribe-1.0.0"), NULL);
    route(f, "herald", load_module(f, "herald-1.0.0"), NULL);
    return f;
}

// Herald's `method`, which asks scribe's `what`.
static void ask(struct fixture *f, const char *method, const char *what, uint64_t deadline_usec,
                struct asked *ret)
{
    ret->exam->ask = what;
    struct grayling_request q = request_to(HERALD, method, &ret->exam, sizeof(ret->exam));
    q.deadline_usec = deadline_usec;
    q.headers = headers;
    q.n_headers = GR_COUNT(headers);
    q.codec = GRAYLING_CODEC_PROTO;
    q.request_id = "r-4711";
    assert_int_equal(gr_dispatch_call(f->t, &q, &ret->r), GR_CALL_DONE);
}

static void expect_answer(const struct asked *a, const char *text)
{
    if (a->r.code != GRAYLING_OK)
        fail_msg("code %d: %s", a->r.code, a->r.message);
    assert_int_equal(a->r.payload.size, strlen(text));
    assert_memory_equal(a->r.payload.data, text, strlen(text));
}

// --- thread, bytes, table ----------------------------------------------------------------------

static void test_same_thread_and_the_same_bytes(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    ask(f, "Ask", "Note", 0, &a);
    expect_answer(&a, "1.0.0+");
    assert_true(pthread_equal(e.caller.thread, pthread_self()));
    assert_true(pthread_equal(e.callee.thread, pthread_self()));
    assert_ptr_equal(e.caller.request.payload.data, &a.exam);
    assert_ptr_equal(e.callee.request.payload.data, &a.exam);
    assert_non_null(e.kept);
    assert_ptr_equal(e.answer.data, e.kept); // handed over
    gr_response_done(f->d, &a.r);
}

// What a module answers with respond() may be on its stack: one copy, for all that read it.
static void test_an_answer_that_is_not_handed_over_is_copied_once(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    ask(f, "Ask", "Echo", 0, &a); // echoes the payload
    assert_int_equal(a.r.code, GRAYLING_OK);
    assert_int_equal(e.answer.size, sizeof(a.exam));
    assert_ptr_not_equal(e.answer.data, &a.exam);
    gr_response_done(f->d, &a.r);

    struct grayling_request q =
        request_to("com.example.scribe.Scribe", "Note", &a.exam, sizeof(a.exam));
    assert_int_equal(gr_dispatch_call(f->t, &q, &a.r), GR_CALL_DONE);
    assert_ptr_equal(a.r.payload.data, e.kept); // the outermost answer neither
    gr_response_done(f->d, &a.r);
}

struct exchange {
    struct fixture *f;
    struct gr_instance *next;
    int r;
};

static void exchange_scribe(void *arg)
{
    struct exchange *x = arg;
    struct gr_swap_result result;
    const struct gr_change c = {.module = "scribe", .stable = x->next};
    x->r = gr_dispatch_route(x->f->d, &c, 1, &result, &x->f->e);
}

static void test_an_exchange_in_the_middle_is_not_seen(void **state)
{
    struct fixture *f = start(state);
    struct exchange x = {.f = f, .next = load_module(f, "scribe-2.0.0"), .r = -1};
    struct exam e = {.between = exchange_scribe, .test = &x};
    struct asked a = {.exam = &e};
    ask(f, "Ask", "Note", 0, &a);
    assert_int_equal(x.r, 0);
    expect_answer(&a, "1.0.0+1.0.0");
    gr_response_done(f->d, &a.r);
    e.between = NULL;
    ask(f, "Ask", "Note", 0, &a);
    expect_answer(&a, "2.0.0+"); // it did happen
    gr_response_done(f->d, &a.r);
}

// --- deadline and metadata ---------------------------------------------------------------------

static void test_the_deadline_is_inherited(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    uint64_t hour = gr_mono_now().usec + 60 * MINUTE;
    ask(f, "Ask", "Note", hour, &a);
    assert_int_equal(e.caller.request.deadline_usec, hour);
    assert_int_equal(e.callee.request.deadline_usec, hour);
    assert_in_range(e.callee.left_usec, 1, e.caller.left_usec);
    gr_response_done(f->d, &a.r);

    ask(f, "Ask", "Note", 0, &a); // none stays none
    assert_int_equal(e.callee.request.deadline_usec, 0);
    assert_true(e.callee.left_usec == UINT64_MAX);
    gr_response_done(f->d, &a.r);

    ask(f, "AskSoon", "Note", hour, &a); // the caller's contract binds whom it calls
    assert_true(e.caller.request.deadline_usec < hour);
    assert_int_equal(e.callee.request.deadline_usec, e.caller.request.deadline_usec);
    gr_response_done(f->d, &a.r);
}

// Brief takes ten minutes at most.
static void test_the_callees_contract_only_shortens_it_and_only_for_the_callee(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    uint64_t begin = gr_mono_now().usec, hour = begin + 60 * MINUTE, minute = begin + 1 * MINUTE;
    ask(f, "Ask", "Brief", hour, &a);
    uint64_t end = gr_mono_now().usec;
    assert_in_range(e.callee.request.deadline_usec, begin + 10 * MINUTE, end + 10 * MINUTE);
    assert_in_range(e.callee.left_usec, 1, 10 * MINUTE);
    assert_int_equal(e.after.request.deadline_usec, hour);
    assert_in_range(e.after.left_usec, hour - end, e.caller.left_usec);
    gr_response_done(f->d, &a.r);

    ask(f, "Ask", "Brief", minute, &a);
    assert_int_equal(e.callee.request.deadline_usec, minute);
    gr_response_done(f->d, &a.r);

    ask(f, "Ask", "Brief", 0, &a);
    assert_true(e.callee.request.deadline_usec != 0);
    assert_true(e.caller.left_usec == UINT64_MAX && e.after.left_usec == UINT64_MAX);
    gr_response_done(f->d, &a.r);
}

static void test_metadata_and_request_id_reach_the_callee(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    ask(f, "Ask", "Note", 0, &a);
    const struct grayling_request *q = &e.callee.request;
    assert_string_equal(q->request_id, "r-4711");
    assert_int_equal(q->n_headers, GR_COUNT(headers));
    for (size_t i = 0; i < GR_COUNT(headers); i++) { // as they came, traceparent too
        assert_string_equal(q->headers[i].name, headers[i].name);
        assert_string_equal(q->headers[i].value, headers[i].value);
    }
    assert_int_equal(q->codec, GRAYLING_CODEC_PROTO);
    assert_string_equal(q->interface_name, "com.example.scribe.Scribe");
    assert_string_equal(q->method_name, "Note");
    assert_int_equal(e.after.request.method, 0); // the caller's own is what it was
    gr_response_done(f->d, &a.r);
}

// --- what is counted ---------------------------------------------------------------------------

static struct gr_counters counters_of(const struct fixture *f, unsigned slot)
{
    struct gr_counters c;
    gr_stats_read(f->stats, slot, &c);
    return c;
}

static uint64_t timed(const struct gr_counters *c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        n += c->latency.count[i];
    return n;
}

// Slots are given in the order of loading: scribe 1, herald 2.
static void test_calls_errors_and_latency_are_the_callees(void **state)
{
    static const struct {
        const char *method;
        int32_t code;
    } asks[] = {{"Note", GRAYLING_OK},
                {"Refuse", GRAYLING_FAILED_PRECONDITION},
                {"Fail", GRAYLING_INTERNAL},
                {"Crash", GRAYLING_INTERNAL}};
    struct fixture *f = start(state);
    struct exam e = {0};
    struct asked a = {.exam = &e};
    for (size_t i = 0; i < GR_COUNT(asks); i++) {
        ask(f, "Ask", asks[i].method, 0, &a);
        assert_int_equal(e.code, asks[i].code);
        assert_int_equal(a.r.code, asks[i].code);
        gr_response_done(f->d, &a.r);
    }
    char answer[64];
    assert_int_equal(call_text(f, "com.example.scribe.Scribe", "Echo", "x", answer), GRAYLING_OK);
    struct gr_counters c = counters_of(f, 1);
    assert_int_equal(gr_counters_total(&c), 5);
    assert_int_equal(gr_counters_nested(&c), 4);
    assert_int_equal(c.requests[GRAYLING_OK], 2);
    assert_int_equal(c.nested[GRAYLING_OK], 1);
    assert_int_equal(c.nested[GRAYLING_FAILED_PRECONDITION], 1);
    assert_int_equal(c.nested[GRAYLING_INTERNAL], 2);
    assert_int_equal(c.faults, 1);
    assert_int_equal(timed(&c), 5);
    struct gr_counters h = counters_of(f, 2);
    assert_int_equal(gr_counters_total(&h), 4);
    assert_int_equal(gr_counters_nested(&h), 0);
    assert_int_equal(h.faults, 0);
    assert_in_range(c.latency_sum_nsec, 1, UINT64_MAX);
}

// --- why ---------------------------------------------------------------------------------------

static void expect_why(struct fixture *f, const char *what, int32_t code, const char *why)
{
    struct exam e = {0};
    struct asked a = {.exam = &e};
    ask(f, "Ask", what, 0, &a);
    assert_int_equal(a.r.code, code);
    assert_string_equal(a.r.message, why);
    gr_response_done(f->d, &a.r);
}

static void test_why_a_callee_failed_reaches_who_asked(void **state)
{
    struct fixture *f = start(state);
    expect_why(f, "Refuse", GRAYLING_FAILED_PRECONDITION,
               "com.example.scribe.Scribe/Refuse: scribe has no ink");
    expect_why(f, "Fail", GRAYLING_INTERNAL, "");
    expect_why(f, "Crash", GRAYLING_INTERNAL,
               "com.example.scribe.Scribe/Crash: the module failed while it answered this request");
    expect_why(f, "Nothing", GRAYLING_UNIMPLEMENTED,
               "com.example.scribe.Scribe/Nothing was not called: no module here provides it in a "
               "version that the caller can use");
}

static void test_a_callers_own_end_has_its_own_reason(void **state)
{
    struct fixture *f = start(state);
    struct exam e = {.end = GRAYLING_NOT_FOUND};
    struct asked a = {.exam = &e};
    ask(f, "Ask", "Refuse", 0, &a);
    assert_int_equal(a.r.code, GRAYLING_NOT_FOUND);
    assert_string_equal(a.r.message, "");
    gr_response_done(f->d, &a.r);
    e.end = GRAYLING_OK;
    e.say = "nothing was written";
    ask(f, "Ask", "Refuse", 0, &a);
    assert_int_equal(a.r.code, GRAYLING_FAILED_PRECONDITION);
    assert_string_equal(a.r.message, "nothing was written");
    gr_response_done(f->d, &a.r);
}

static void test_too_deep_is_told(void **state)
{
    struct fixture *f = *state;
    struct grayling_request q = request_to(PROBE, "Deep", "", 0);
    struct gr_response r;
    route(f, "probe", load_module(f, "probe-1.0.0"), NULL);
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    assert_int_equal(r.code, GRAYLING_RESOURCE_EXHAUSTED);
    assert_string_equal(r.message,
                        "com.example.probe.Probe/Deep was not called: the request is 8 modules "
                        "deep already, which is the most; one of them has to call less far down");
    struct gr_counters c = counters_of(f, 1);
    assert_int_equal(gr_counters_total(&c), GR_CALL_DEPTH_MAX);
    assert_int_equal(gr_counters_nested(&c), GR_CALL_DEPTH_MAX - 1);
    gr_response_done(f->d, &r);
}

// --- who holds a freeze up ---------------------------------------------------------------------

struct waiting {
    struct fixture *f;
    sem_t inside, go;
};

static void wait_to_go(void *arg)
{
    struct waiting *w = arg;
    sem_post(&w->inside);
    while (sem_wait(&w->go) != 0)
        continue;
}

static void *ask_and_wait(void *arg)
{
    struct waiting *w = arg;
    struct fixture mine = *w->f;
    struct exam e = {.between = wait_to_go, .test = w};
    struct asked a = {.exam = &e};
    assert_int_equal(gr_thread_attach(w->f->d, &mine.t), 0);
    ask(&mine, "Ask", "Wait", 0, &a);
    gr_response_done(w->f->d, &a.r);
    gr_thread_detach(mine.t);
    return NULL;
}

static void test_a_freeze_names_the_callee_that_holds_it_up(void **state)
{
    struct waiting w = {.f = start(state)};
    pthread_t thread;
    struct gr_swap_result result;
    const struct gr_change c = {.module = "herald", .stable = load_module(w.f, "herald-1.0.0")};
    assert_true(sem_init(&w.inside, 0, 0) == 0 && sem_init(&w.go, 0, 0) == 0);
    assert_int_equal(pthread_create(&thread, NULL, ask_and_wait, &w), 0);
    while (sem_wait(&w.inside) != 0)
        continue;
    assert_int_equal(gr_dispatch_swap(w.f->d, &c, 1, 1000, &result, &w.f->e), -ETIMEDOUT);
    assert_non_null(strstr(w.f->e.message, "inside module herald, method " HERALD "/Ask"));
    assert_non_null(strstr(w.f->e.message, "now in its call of module scribe, method "
                                           "com.example.scribe.Scribe/Wait; nothing has changed"));
    sem_post(&w.go);
    pthread_join(thread, NULL);
    sem_destroy(&w.inside);
    sem_destroy(&w.go);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_same_thread_and_the_same_bytes),
        WITH_FIXTURE(test_an_answer_that_is_not_handed_over_is_copied_once),
        WITH_FIXTURE(test_an_exchange_in_the_middle_is_not_seen),
        WITH_FIXTURE(test_the_deadline_is_inherited),
        WITH_FIXTURE(test_the_callees_contract_only_shortens_it_and_only_for_the_callee),
        WITH_FIXTURE(test_metadata_and_request_id_reach_the_callee),
        WITH_FIXTURE(test_calls_errors_and_latency_are_the_callees),
        WITH_FIXTURE(test_why_a_callee_failed_reaches_who_asked),
        WITH_FIXTURE(test_a_callers_own_end_has_its_own_reason),
        WITH_FIXTURE(test_too_deep_is_told),
        WITH_FIXTURE(test_a_freeze_names_the_callee_that_holds_it_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
