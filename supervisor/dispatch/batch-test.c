// A batch in its bake, seen from outside through dispatch.h: what one of its versions breaks is
// answered by the versions before, all of them or none.
#include "dispatch/testmodules/fixture.h"

#define BATCH 77

struct seen {
    int32_t code;
    bool rescued;
    char text[64], message[256];
};

static struct seen ask(struct fixture *f, const char *interface_name, const char *method_name,
                       const char *payload)
{
    struct grayling_request q = request_to(interface_name, method_name, payload, strlen(payload));
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    struct seen s = {.code = r.code, .rescued = r.rescued};
    snprintf(s.text, sizeof(s.text), "%.*s", (int)r.payload.size, (const char *)r.payload.data);
    snprintf(s.message, sizeof(s.message), "%s", r.message);
    gr_response_done(f->d, &r);
    return s;
}

static void expect(const struct seen *s, bool rescued, const char *text)
{
    if (s->code != GRAYLING_OK)
        fail_msg("code %d: %s", s->code, s->message);
    assert_string_equal(s->text, text);
    assert_int_equal(s->rescued, rescued);
}

// Both halves in 2.0.0 with 1.0.0 before them, and guide, which asks probe and then peer. The
// batches are the halves': equal ones came together.
static struct fixture *bake(void **state, int64_t probe, int64_t peer)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0); // here: cmocka has put its own handlers before
    const struct gr_change changes[] = {
        {.module = "probe",
         .stable = load_module(f, "probe-2.0.0"),
         .rescue = load_module(f, "probe-1.0.0"),
         .batch = probe},
        {.module = "peer",
         .stable = load_module(f, "peer-2.0.0"),
         .rescue = load_module(f, "peer-1.0.0"),
         .batch = peer},
        {.module = "guide", .stable = load_module(f, "guide-1.0.0")}};
    struct gr_swap_result result;
    if (gr_dispatch_swap(f->d, changes, GR_COUNT(changes), 5 * SECOND, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
    return f;
}

static void test_a_batch_that_breaks_is_answered_whole_by_what_was_before(void **state)
{
    struct fixture *f = bake(state, BATCH, BATCH);
    struct seen s = ask(f, GUIDE, "Walk", "");
    expect(&s, false, "2.0.0+2.0.0");
    s = ask(f, GUIDE, "Walk", "crash"); // probe had run
    expect(&s, true, "1.0.0+1.0.0");
    s = ask(f, PROBE, "Visit", "a crash b"); // probe itself asks
    expect(&s, true, "1.0.0+1.0.0+1.0.0+1.0.0");
    s = ask(f, GUIDE, "Walk", ""); // the next request is new
    expect(&s, false, "2.0.0+2.0.0");
}

static void test_what_may_not_be_asked_again_fails(void **state)
{
    struct fixture *f = bake(state, BATCH, BATCH);
    struct seen s = ask(f, GUIDE, "WalkOnce", "crash");
    assert_true(s.code == GRAYLING_INTERNAL && !s.rescued);
    s = ask(f, PROBE, "VisitOnce", "a crash b");
    assert_true(s.code == GRAYLING_INTERNAL && !s.rescued);
}

// The first of its batch in a request may be answered for at once; the others follow it.
static void test_who_comes_after_the_first_that_broke_is_as_before_too(void **state)
{
    struct fixture *f = bake(state, BATCH, BATCH);
    struct seen s = ask(f, PROBE, "Try", "null");
    expect(&s, true, "1.0.0");
    s = ask(f, PEER, "Version", "crash");
    expect(&s, true, "1.0.0");
}

// Released apart, each is answered for where it failed.
static void test_modules_that_came_apart_are_no_batch(void **state)
{
    struct fixture *f = bake(state, BATCH, BATCH + 1);
    struct seen s = ask(f, GUIDE, "WalkOnce", "crash");
    expect(&s, false, "2.0.0+1.0.0"); // guide itself answered
    route(f, "peer", load_module(f, "peer-2.0.0"), load_module(f, "peer-1.0.0"));
    s = ask(f, GUIDE, "WalkOnce", "crash");
    expect(&s, false, "2.0.0+1.0.0");
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_a_batch_that_breaks_is_answered_whole_by_what_was_before),
        WITH_FIXTURE(test_what_may_not_be_asked_again_fails),
        WITH_FIXTURE(test_who_comes_after_the_first_that_broke_is_as_before_too),
        WITH_FIXTURE(test_modules_that_came_apart_are_no_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
