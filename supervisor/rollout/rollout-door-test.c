// Rollouts of modules that hold state: what is refused before anything is staged, the swap that
// waits for a person, the bake that does not go back by itself, and the way back that is tried
// again because the state is worth it.
#include "rollout/rollout-internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEC GR_USEC_PER_SEC

// --- the verifier: these stand in for the library's
// ------------------------------------------------

struct gr_verified {
    int nothing;
};
struct gr_verification {
    struct gr_verify_callbacks cb;
};
static struct gr_verification the_verification;

enum asked { NOTHING, STAGE, ROUTE, FORWARD, BACK };
static struct world {
    char dir[64];
    sd_event *event;
    struct gr_journal *journal;
    struct gr_rollout *r;
    uint64_t now;
    enum asked asked[8]; // outstanding, in order
    size_t n_asked;
    struct gr_contract *from, *to;
    struct gr_arm_sample candidate, stable;
    bool one_way;   // as the worker was told with the last exchange
    bool committed; // the new version is in force
    bool settled, convicted, ended, full_disk;
    char noted[GR_MESSAGE_MAX];
} w;

int gr_verification_start(struct gr_verifier *v, const struct gr_verify_request *r,
                          const struct gr_verify_callbacks *cb, struct gr_verification **ret,
                          struct gr_error *e)
{
    (void)v, (void)r, (void)e;
    the_verification.cb = *cb;
    *ret = &the_verification;
    return 0;
}
void gr_verification_cancel(struct gr_verification *v)
{
    (void)v;
}
void gr_verified_free(struct gr_verified *v)
{
    free(v);
}
const struct gr_contract *gr_verified_contract(const struct gr_verified *v)
{
    (void)v;
    return w.to;
}

// --- the world -----------------------------------------------------------------------------------

static struct gr_mono op_now(void *u)
{
    (void)u;
    return (struct gr_mono){w.now};
}
static void ask(enum asked a)
{
    assert_true(w.n_asked < GR_COUNT(w.asked));
    w.asked[w.n_asked++] = a;
}
static void op_verified(void *u, const struct gr_verified *v)
{
    (void)u, (void)v;
}
static const struct gr_contract *op_in_force(void *u, const struct gr_name *module)
{
    (void)u, (void)module;
    return w.from;
}
static int op_stage(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v)
{
    (void)u, (void)r, (void)member, (void)v;
    ask(STAGE);
    return 0;
}
static void op_unstage(void *u, int slot)
{
    (void)u, (void)slot;
}
static int op_route(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
    ask(ROUTE);
    return 0;
}
static int op_swap(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u;
    w.one_way = gr_rollout_is_one_way(r, 0, d);
    ask(d == GR_FORWARD ? FORWARD : BACK);
    return 0;
}
static int op_commit(void *u, struct gr_rollout *r, enum gr_direction d,
                     const struct gr_rollout_row *as, struct gr_error *e)
{
    (void)u, (void)r;
    if (w.full_disk && d == GR_FORWARD)
        return gr_error_set(e, -ENOSPC, GR_REASON_DISK_FULL, "the disk is full");
    w.committed = d != GR_BACK;
    w.settled = d == GR_SETTLE;
    return gr_journal_put_rollout(w.journal, as, e);
}
static void op_release(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u, (void)r, (void)d;
}
static bool op_sample(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *candidate,
                      struct gr_arm_sample *stable)
{
    (void)u, (void)r, (void)member;
    *candidate = w.candidate;
    *stable = w.stable;
    return true;
}
static void op_history(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *ret)
{
    (void)u, (void)r, (void)member;
    *ret = w.stable;
}
static void op_convict(void *u, struct gr_rollout *r, size_t member)
{
    (void)u, (void)r, (void)member;
    w.convicted = true;
}
static bool op_can_stage(void *u)
{
    (void)u;
    return true;
}
static void op_changed(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
}
static void op_noted(void *u, struct gr_rollout *r, const char *message_id, const char *sentence)
{
    (void)u, (void)r, (void)message_id;
    snprintf(w.noted, sizeof w.noted, "%s", sentence);
}
static void op_ended(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
    w.ended = true;
}
static const struct gr_rollout_ops ops = {.verified = op_verified,
                                          .in_force = op_in_force,
                                          .stage = op_stage,
                                          .unstage = op_unstage,
                                          .route = op_route,
                                          .swap = op_swap,
                                          .commit = op_commit,
                                          .release = op_release,
                                          .sample = op_sample,
                                          .history = op_history,
                                          .convict = op_convict,
                                          .can_stage = op_can_stage,
                                          .changed = op_changed,
                                          .noted = op_noted,
                                          .ended = op_ended,
                                          .now = op_now};
static struct gr_rollout_env env;

static int enter_world(void **state)
{
    (void)state;
    w = (struct world){.now = 1000 * SEC};
    strcpy(w.dir, "/tmp/grayling-rollout-XXXXXX");
    if (!mkdtemp(w.dir) || sd_event_new(&w.event) < 0 ||
        gr_journal_open(w.dir, &w.journal, NULL) < 0)
        return -1;
    env = (struct gr_rollout_env){.event = w.event, .journal = w.journal, .ops = &ops};
    return 0;
}

static void forget_rollout(void)
{
    gr_rollout_free(gr_steal(w.r));
    gr_contract_free(gr_steal(w.from));
    gr_contract_free(gr_steal(w.to));
    w.n_asked = 0;
    w.committed = w.settled = w.ended = w.convicted = false;
    w.candidate = w.stable = (struct gr_arm_sample){0};
}

static int leave_world(void **state)
{
    (void)state;
    forget_rollout();
    gr_journal_close(w.journal);
    sd_event_unref(w.event);
    DIR *d = opendir(w.dir);
    for (struct dirent *de; d && (de = readdir(d));)
        unlinkat(dirfd(d), de->d_name, 0);
    if (d)
        closedir(d);
    return rmdir(w.dir);
}

// --- what tests do
// ---------------------------------------------------------------------------------

#define V1 "{\"schema\":1}"
#define V1_READS_2 "{\"schema\":1,\"imports\":[2]}"
#define V2 "{\"schema\":2,\"imports\":[1]}"
#define V3 "{\"schema\":3}"

static struct gr_contract *contract_of(const char *version, const char *state)
{
    char text[512];
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"abi\":{\"major\":1,\"minor\":0},\"module\":\"counter\",\"version\":\"%s\","
             "\"provides\":[]%s%s}",
             version, state ? ",\"state\":" : "", state ? state : "");
    if (gr_contract_parse(text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.message);
    return c;
}

static struct gr_desired *document(const char *version, const char *more)
{
    char text[2048];
    struct gr_name name = {"counter"};
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\"%s}",
             version, version[0], more);
    if (gr_desired_parse(&name, 7, text, strlen(text), &d, &e) < 0)
        fail_msg("%s", e.message);
    return d;
}

// From 1.0.0 with the state `from` to 2.0.0 with the state `to`; `more` of the document.
static void begin(const char *from, const char *to, const char *more)
{
    struct gr_desired *next = document("2.0.0", more), *before = document("1.0.0", "");
    struct gr_plan_item item = {
        .kind = GR_PLAN_REPLACE, .module = {"counter"}, .to = next, .from = before};
    struct gr_plan plan = {.rollout = 7, .n = 1, .items = &item};
    struct gr_error e = {0};
    forget_rollout();
    w.from = contract_of("1.0.0", from);
    w.to = contract_of("2.0.0", to);
    assert_int_equal(gr_rollout_new(&env, &plan, 0, &w.r, &e), 0);
    gr_desired_free(next);
    gr_desired_free(before);
    gr_rollout_begin(w.r);
    the_verification.cb.done(the_verification.cb.userdata, calloc(1, sizeof(struct gr_verified)),
                             NULL);
}

static const struct gr_rollout_row *row(void)
{
    return gr_rollout_row(w.r);
}
static void assert_at(enum gr_phase p, enum gr_hold hold)
{
    if (row()->phase != p || row()->gray.hold != hold)
        fail_msg("expected %s %s, found %s %s: %s", gr_phase_name(p), gr_hold_name(hold),
                 gr_phase_name(row()->phase), gr_hold_name(row()->gray.hold), row()->message);
}
static void assert_ended(enum gr_phase p, enum gr_reason reason)
{
    assert_true(w.ended);
    if (row()->phase != p || row()->reason != reason)
        fail_msg("expected %s %s, found %s %s: %s", gr_phase_name(p), gr_reason_name(reason),
                 gr_phase_name(row()->phase), gr_reason_name(row()->reason), row()->message);
}
static void assert_says(const char *text)
{
    if (!strstr(row()->message, text))
        fail_msg("expected \"%s\" in: %s", text, row()->message);
}
static enum asked take(void)
{
    enum asked a = w.n_asked ? w.asked[0] : NOTHING;
    for (size_t i = 1; i < w.n_asked; i++)
        w.asked[i - 1] = w.asked[i];
    w.n_asked -= w.n_asked != 0;
    return a;
}
static void answer_with(enum asked expected, const struct gr_error *why)
{
    enum asked a = take();
    assert_int_equal(a, expected);
    if (a == STAGE)
        gr_rollout_staged(w.r, 0, 3, NULL);
    else
        gr_rollout_answered(w.r, why);
}
static void answer(enum asked expected)
{
    answer_with(expected, NULL);
}
static void handover_fails(enum asked expected)
{
    struct gr_error e = {0};
    gr_error_set(&e, -EIO, GR_REASON_STATE_HANDOVER_FAILED, "import_state() refused it");
    answer_with(expected, &e);
}
static void later(uint64_t usec)
{
    w.now += usec;
    gr_rollout_tick(w.r);
}
static void bad_traffic(void)
{
    struct gr_arm_sample *arms[] = {&w.candidate, &w.stable};
    for (size_t i = 0; i < 2; i++) {
        arms[i]->requests += 2000;
        arms[i]->latency.count[gr_histogram_bucket(200000)] += 2000;
    }
    w.candidate.errors += 1000;
    later(250 * GR_USEC_PER_MSEC);
}
static int order(struct gr_order o, char *ret_message)
{
    struct gr_error e = {0};
    o.rollout = 7;
    o.step = row()->step;
    strcpy(o.actor, "alice");
    int k = gr_rollout_steer(w.r, &o, &e);
    assert_true(k == 0 || e.message[0]);
    if (ret_message)
        strcpy(ret_message, e.message);
    return k;
}
#define PROMOTE(...) order((struct gr_order){.verb = GR_ORDER_PROMOTE, __VA_ARGS__}, NULL)
#define ABORT(...) order((struct gr_order){.verb = GR_ORDER_ABORT, __VA_ARGS__}, NULL)

static void restart(void)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    gr_rollout_free(gr_steal(w.r));
    w.n_asked = 0;
    assert_int_equal(gr_journal_open_rollouts(w.journal, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(gr_rollout_resume(&env, rows, &w.r), 0);
    free(rows);
    gr_rollout_set_slot(w.r, 0, 4);
    gr_rollout_worker_ready(w.r);
}
static void to_the_bake(const char *from, const char *to)
{
    begin(from, to, ",\"one_way\":true,\"strategy\":{\"bake\":\"5m\"}");
    answer(STAGE);
    answer(FORWARD);
    assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
}

// --- before anything is staged
// --------------------------------------------------------------------

static void a_state_that_nobody_reads_is_refused(void **state)
{
    (void)state;
    begin(V1, V3, "");
    assert_int_equal(take(), NOTHING);
    assert_ended(GR_PHASE_REJECTED, GR_REASON_STATE_HANDOVER_FAILED);
    assert_says("counter 2.0.0 (schema 3");
    assert_says("1.0.0 (schema 1");
    assert_int_equal(row()->members[0].reason, GR_REASON_STATE_HANDOVER_FAILED);
    begin(V1, V3, ",\"one_way\":true"); // the document agrees to the loss
    answer(STAGE);
    answer(FORWARD);
    assert_true(w.one_way);
    assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
}

static void a_share_of_the_requests_is_refused(void **state)
{
    (void)state;
    begin(V1, V1, ",\"strategy\":{\"steps\":[{\"weight\":10},{\"weight\":100}]}");
    assert_ended(GR_PHASE_REJECTED, GR_REASON_DOCUMENT_INVALID);
    assert_says("strategy.steps[0].weight: counter 1.0.0 holds state");
    begin(V1, V1, ",\"strategy\":{\"steps\":[{\"shadow\":10},{\"pause\":{}},{\"weight\":100}]}");
    answer(STAGE);
    answer(ROUTE);
    assert_int_equal(PROMOTE(), 0);
    answer(FORWARD);
    assert_false(w.one_way);
    assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
}

// --- before the swap
// ------------------------------------------------------------------------------

static void a_swap_without_a_way_back_waits_for_a_person(void **state)
{
    (void)state;
    static const char *const all[] = {
        "", ",\"strategy\":{\"steps\":[{\"shadow\":10},{\"weight\":100}]}",
        ",\"strategy\":{\"steps\":[{\"weight\":100}]}"};
    char said[GR_MESSAGE_MAX];
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        begin(V1, V2, all[i]);
        answer(STAGE);
        if (strstr(all[i], "shadow"))
            answer(ROUTE);
        assert_int_equal(take(), NOTHING);
        assert_at(GR_PHASE_PAUSED, GR_HOLD_ONE_WAY);
        assert_int_equal(row()->gray.door, GR_DOOR_CLOSED);
        assert_says("counter 2.0.0 (schema 2, imports 1) cannot hand its state back to 1.0.0");
        assert_says("grayctl promote counter --one-way");
        later(600 * SEC);
        assert_int_equal(take(), NOTHING);
        const struct gr_order plain = {.verb = GR_ORDER_PROMOTE},
                              full = {.verb = GR_ORDER_PROMOTE, .full = true};
        assert_int_equal(order(plain, said), -EPERM);
        assert_non_null(strstr(said, "expected an order that agrees to that: promote --one-way"));
        assert_int_equal(order(full, said), -EPERM);
        assert_non_null(strstr(said, "promote --full --one-way"));
        assert_at(GR_PHASE_PAUSED, GR_HOLD_ONE_WAY);
        assert_int_equal(PROMOTE(.one_way = true), 0);
        answer(FORWARD);
        assert_true(w.one_way);
        assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
        assert_int_equal(row()->gray.door, GR_DOOR_OPEN);
    }
}

static void a_way_back_is_no_door(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{V1, V1}, {V1_READS_2, V2}, {NULL, NULL}};
    for (size_t i = 0; i < GR_COUNT(pairs); i++) {
        begin(pairs[i][0], pairs[i][1], "");
        answer(STAGE);
        answer(FORWARD);
        assert_false(w.one_way);
        assert_int_equal(row()->gray.door, GR_DOOR_NONE);
        assert_int_equal(ABORT(), 0);
        answer(BACK);
        assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
        assert_false(w.one_way);
    }
}

static void it_can_be_agreed_to_before(void **state)
{
    (void)state;
    begin(V1, V2, ",\"strategy\":{\"steps\":[{\"shadow\":10},{\"pause\":{}},{\"weight\":100}]}");
    answer(STAGE);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, GR_HOLD_STEP);
    assert_int_equal(PROMOTE(.one_way = true), 0);
    answer(FORWARD);
    begin(V1, V2, ",\"strategy\":{\"steps\":[{\"shadow\":10},{\"pause\":{}},{\"weight\":100}]}");
    answer(STAGE);
    answer(ROUTE);
    assert_int_equal(PROMOTE(), 0); // opens the gate, not the door
    assert_at(GR_PHASE_PAUSED, GR_HOLD_ONE_WAY);
    assert_int_equal(PROMOTE(.full = true, .one_way = true), 0);
    answer(FORWARD);
    assert_true(w.one_way);
}

static void a_person_may_also_leave_it(void **state)
{
    (void)state;
    begin(V1, V2, "");
    answer(STAGE);
    assert_int_equal(ABORT(), 0); // nothing is lost by that
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
    begin(V1, V2, ",\"strategy\":{\"deadline\":\"1h\"}");
    answer(STAGE);
    later(3601 * SEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_DEADLINE_EXCEEDED);
    assert_says("a person who agrees to a swap without a way back");
}

static void a_restart_finds_the_door_as_it_was(void **state)
{
    (void)state;
    begin(V1, V2, "");
    answer(STAGE);
    restart();
    while (take() == ROUTE)
        gr_rollout_answered(w.r, NULL);
    assert_at(GR_PHASE_PAUSED, GR_HOLD_ONE_WAY);
    assert_int_equal(PROMOTE(), -EPERM);
    assert_int_equal(PROMOTE(.one_way = true), 0);
    answer(FORWARD);
    restart();
    assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
    assert_int_equal(ABORT(), -EPERM);
    later(600 * SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
}

// --- behind the door
// ------------------------------------------------------------------------------

static void a_bake_without_a_way_back_does_not_go_back_by_itself(void **state)
{
    (void)state;
    to_the_bake(V1, V2);
    bad_traffic();
    assert_int_equal(take(), NOTHING);
    assert_at(GR_PHASE_BAKING, GR_HOLD_FAILURE);
    assert_true(gr_rollout_is_stuck(w.r));
    assert_int_equal(row()->reason, GR_REASON_ERROR_RATE_REGRESSED);
    assert_says("It is not taken back by itself: counter 2.0.0 (schema 2");
    assert_string_equal(w.noted, row()->message);
    assert_false(w.convicted);
    later(3600 * SEC); // the bake does not end either
    assert_at(GR_PHASE_BAKING, GR_HOLD_FAILURE);
    restart();
    assert_at(GR_PHASE_BAKING, GR_HOLD_FAILURE);
    assert_true(gr_rollout_is_stuck(w.r));
    assert_int_equal(ABORT(), -EPERM);
    assert_int_equal(ABORT(.one_way = true), 0);
    answer(BACK);
    assert_true(w.one_way && w.convicted);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
}

static void a_person_may_keep_what_failed(void **state)
{
    (void)state;
    to_the_bake(V1, V2);
    bad_traffic();
    assert_int_equal(PROMOTE(), -EPERM);
    assert_int_equal(PROMOTE(.full = true), 0);
    assert_false(gr_rollout_is_stuck(w.r));
    bad_traffic();
    assert_at(GR_PHASE_BAKING, GR_HOLD_NONE);
    later(600 * SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
    assert_false(w.convicted);
}

static void a_newer_release_takes_over_from_it(void **state)
{
    (void)state;
    to_the_bake(V1, V2);
    bad_traffic();
    gr_rollout_supersede(w.r, 8);
    assert_int_equal(take(), NOTHING); // it stays in force: the newer one starts from it
    assert_true(w.settled && w.committed);
    assert_true(w.ended);
    assert_int_equal(row()->phase, GR_PHASE_SUPERSEDED);
}

static void a_dead_worker_took_the_reason_for_the_door_along(void **state)
{
    (void)state;
    struct gr_error e = {0};
    to_the_bake(V1, V2);
    gr_error_set(&e, -EFAULT, GR_REASON_CRASHED, "it faulted, and the worker is replaced");
    gr_rollout_fail(w.r, 0, &e);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_CRASHED);
    to_the_bake(V1, V2);
    gr_error_set(&e, -EFAULT, GR_REASON_CRASHED, "the worker ended inside it");
    assert_true(gr_rollout_restore_without_worker(w.r, 0, &e));
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_CRASHED);
    assert_true(w.convicted);
    assert_false(w.committed);
}

// --- the way back
// ---------------------------------------------------------------------------------

static void a_way_back_whose_handover_fails_is_tried_again(void **state)
{
    (void)state;
    begin(V1, V1, "");
    answer(STAGE);
    answer(FORWARD);
    bad_traffic();
    assert_at(GR_PHASE_ROLLING_BACK, GR_HOLD_NONE);
    for (unsigned i = 0; i < GR_BACK_TRIES_QUIET; i++) {
        assert_false(gr_rollout_is_stuck(w.r));
        handover_fails(BACK);
        assert_int_equal(take(), NOTHING); // a moment later
        later(GR_BACK_AGAIN_USEC_MAX);
    }
    assert_true(gr_rollout_is_stuck(w.r));
    assert_says("the way back waits for its state: import_state() refused it");
    assert_int_equal(row()->reason, GR_REASON_ERROR_RATE_REGRESSED);
    assert_true(w.committed);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_ERROR_RATE_REGRESSED);
    assert_false(w.committed);
}

static void a_person_may_go_back_without_the_state(void **state)
{
    (void)state;
    begin(V1, V1, "");
    answer(STAGE);
    answer(FORWARD);
    assert_int_equal(ABORT(), 0);
    handover_fails(BACK);
    assert_int_equal(ABORT(), -EALREADY);
    assert_int_equal(ABORT(.one_way = true), 0);
    assert_true(w.one_way);
    handover_fails(BACK); // then the worker is replaced
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
}

static void calls_that_do_not_end_hold_the_way_back_only_so_long(void **state)
{
    (void)state;
    struct gr_error e = {0};
    gr_error_set(&e, -ETIMEDOUT, GR_REASON_FREEZE_TIMEOUT, "a call was still inside");
    begin(V1, V1, "");
    answer(STAGE);
    answer(FORWARD);
    assert_int_equal(ABORT(), 0);
    for (unsigned i = 0; i < GR_BACK_TRIES_MAX; i++) {
        assert_true(gr_rollout_tries_back_again(w.r, &e));
        answer_with(BACK, &e);
        later(GR_BACK_AGAIN_USEC_MAX);
    }
    assert_false(gr_rollout_tries_back_again(w.r, &e)); // the worker is replaced
    answer_with(BACK, &e);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
    begin(NULL, NULL, ""); // without state at once
    answer(STAGE);
    answer(FORWARD);
    assert_int_equal(ABORT(), 0);
    answer_with(BACK, &e);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
}

static void a_swap_that_was_not_journaled_goes_back_with_its_state(void **state)
{
    (void)state;
    w.full_disk = true;
    begin(V1, V1, "");
    answer(STAGE);
    answer(FORWARD);
    assert_true(gr_rollout_swap_was_asked(w.r)); // so that it goes back with a freeze
    handover_fails(BACK);
    later(GR_BACK_AGAIN_USEC_MAX);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_DISK_FULL);
}

static void a_swap_that_failed_needs_no_freeze_to_go_back(void **state)
{
    (void)state;
    struct gr_error e = {0};
    gr_error_set(&e, -ETIMEDOUT, GR_REASON_FREEZE_TIMEOUT, "a call was still inside");
    begin(V1, V1, ",\"strategy\":{\"steps\":[{\"shadow\":10},{\"weight\":100}]}");
    answer(STAGE);
    answer(ROUTE);
    assert_true(gr_rollout_swap_was_asked(w.r));
    answer_with(FORWARD, &e);
    assert_false(gr_rollout_swap_was_asked(w.r));
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_FREEZE_TIMEOUT);
}

int main(void)
{
#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, enter_world, leave_world)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_state_that_nobody_reads_is_refused),
        IN_WORLD(a_share_of_the_requests_is_refused),
        IN_WORLD(a_swap_without_a_way_back_waits_for_a_person),
        IN_WORLD(a_way_back_is_no_door),
        IN_WORLD(it_can_be_agreed_to_before),
        IN_WORLD(a_person_may_also_leave_it),
        IN_WORLD(a_restart_finds_the_door_as_it_was),
        IN_WORLD(a_bake_without_a_way_back_does_not_go_back_by_itself),
        IN_WORLD(a_person_may_keep_what_failed),
        IN_WORLD(a_newer_release_takes_over_from_it),
        IN_WORLD(a_dead_worker_took_the_reason_for_the_door_along),
        IN_WORLD(a_way_back_whose_handover_fails_is_tried_again),
        IN_WORLD(a_person_may_go_back_without_the_state),
        IN_WORLD(calls_that_do_not_end_hold_the_way_back_only_so_long),
        IN_WORLD(a_swap_that_was_not_journaled_goes_back_with_its_state),
        IN_WORLD(a_swap_that_failed_needs_no_freeze_to_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
