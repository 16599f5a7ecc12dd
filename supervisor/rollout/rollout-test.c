// Walks whole lives of rollouts with a worker, a verifier and a clock of the test's own: every
// step, every order in every phase, the deadline, the restart at each step. The journal is a real
// one.
#include "base/fs.h"
#include "rollout/rollout-internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC GR_USEC_PER_SEC
#define MSEC GR_USEC_PER_MSEC

// --- the verifier: these stand in for the library's
// ------------------------------------------------

struct gr_verified {
    int nothing;
};
struct gr_verification {
    struct gr_verify_callbacks cb;
};
static struct gr_verification the_verification;
static struct gr_contract contract = {.sla_error_rate = -1};

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
    return &contract;
}

// --- the world -----------------------------------------------------------------------------------

enum asked { NOTHING, STAGE, ROUTE, FORWARD, BACK };
static struct world {
    char dir[64];
    sd_event *event;
    struct gr_journal *journal;
    struct gr_rollout *r;
    uint64_t now;
    enum asked asked[8]; // outstanding, in order
    size_t n_asked;
    unsigned weight, shadow; // as the worker was told last
    bool no_worker, committed, released, convicted, ended, full_disk;
    struct gr_arm_sample candidate, stable; // what the worker counted
    struct gr_usage usage;                  // of the candidate's process; process 0: it has none
    uint64_t harmed;                        // ... in the harm budget
    char noted[GR_MESSAGE_MAX];
    unsigned notes, notes_before_back; // each waits for the disk
} w;

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
// The intent is in the journal before its effect is asked for.
static void assert_journaled(const struct gr_rollout *r)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    assert_int_equal(gr_journal_history(w.journal, NULL, 1, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(rows->phase, gr_rollout_row(r)->phase);
    assert_int_equal(rows->step, gr_rollout_row(r)->step);
    assert_int_equal(rows->gray.weight_permyriad, gr_rollout_row(r)->gray.weight_permyriad);
    assert_true(rows->gray.salt == gr_rollout_row(r)->gray.salt);
    gr_rollout_row_done(rows);
    free(rows);
}
static int op_route(void *u, struct gr_rollout *r)
{
    (void)u;
    if (w.no_worker)
        return -ECONNRESET;
    if (gr_rollout_row(r)->gray.hold != GR_HOLD_FAILURE) // what takes traffic away comes first
        assert_journaled(r);
    w.weight = gr_rollout_row(r)->gray.weight_permyriad;
    w.shadow = gr_rollout_row(r)->gray.shadow_permyriad;
    ask(ROUTE);
    return 0;
}
static int op_swap(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u;
    if (d == GR_FORWARD || gr_rollout_row(r)->gray.swapped) // else the way back waits for no disk
        assert_journaled(r);
    w.weight = d == GR_FORWARD ? 10000 : 0;
    if (d == GR_BACK)
        w.notes_before_back = w.notes;
    ask(d == GR_FORWARD ? FORWARD : BACK);
    return 0;
}
static int op_commit(void *u, struct gr_rollout *r, enum gr_direction d,
                     const struct gr_rollout_row *as, struct gr_error *e)
{
    (void)u, (void)r;
    if (w.full_disk && d == GR_FORWARD)
        return gr_error_set(e, -ENOSPC, GR_REASON_DISK_FULL, "the disk is full");
    w.committed = d == GR_FORWARD;
    return gr_journal_put_rollout(w.journal, as, e);
}
static void op_release(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u, (void)r, (void)d;
    w.released = true;
}
static bool op_sample(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *candidate,
                      struct gr_arm_sample *stable)
{
    (void)u, (void)r, (void)member;
    if (w.no_worker)
        return false;
    *candidate = w.candidate;
    *stable = w.stable;
    return true;
}
static void op_history(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *ret)
{
    (void)u, (void)r, (void)member;
    *ret = w.stable;
}
static bool op_usage(void *u, struct gr_rollout *r, size_t member, struct gr_usage *ret)
{
    (void)u, (void)r, (void)member;
    if (w.usage.process)
        *ret = w.usage;
    return w.usage.process != 0;
}
static uint64_t op_harmed(void *u, const struct gr_rollout *r, size_t member)
{
    (void)u, (void)r, (void)member;
    return w.harmed;
}
static void op_convict(void *u, struct gr_rollout *r, size_t member)
{
    (void)u, (void)r, (void)member;
    w.convicted = true;
}
static bool op_can_stage(void *u)
{
    (void)u;
    return !w.no_worker;
}
static void op_changed(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
}
static void op_noted(void *u, struct gr_rollout *r, const char *message_id, const char *sentence)
{
    (void)u, (void)r, (void)message_id;
    snprintf(w.noted, sizeof w.noted, "%s", sentence);
    w.notes++;
}
static void op_ended(void *u, struct gr_rollout *r)
{
    (void)u;
    assert_true(gr_phase_is_terminal(gr_rollout_row(r)->phase));
    w.ended = true;
}
static const struct gr_rollout_ops ops = {.verified = op_verified,
                                          .stage = op_stage,
                                          .unstage = op_unstage,
                                          .route = op_route,
                                          .swap = op_swap,
                                          .commit = op_commit,
                                          .release = op_release,
                                          .sample = op_sample,
                                          .usage = op_usage,
                                          .history = op_history,
                                          .harmed = op_harmed,
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
    contract.isolation_process = false;
    strcpy(w.dir, "/tmp/grayling-rollout-XXXXXX");
    if (!mkdtemp(w.dir) || sd_event_new(&w.event) < 0 ||
        gr_journal_open(w.dir, &w.journal, NULL) < 0)
        return -1;
    env = (struct gr_rollout_env){.event = w.event, .journal = w.journal, .ops = &ops};
    return 0;
}

static int leave_world(void **state)
{
    (void)state;
    gr_rollout_free(w.r);
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

static struct gr_desired *document(const char *version, const char *strategy)
{
    char text[2048];
    struct gr_name name = {"pay"};
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\",\"strategy\":%s}",
             version, version[0], strategy);
    if (gr_desired_parse(&name, 7, text, strlen(text), &d, &e) < 0)
        fail_msg("%s", e.message);
    return d;
}

static void begin(const char *strategy)
{
    struct gr_desired *to = document("2.0.0", strategy), *from = document("1.0.0", "{}");
    struct gr_plan_item item = {.kind = GR_PLAN_REPLACE, .module = {"pay"}, .to = to, .from = from};
    struct gr_plan plan = {.rollout = 7, .n = 1, .items = &item};
    struct gr_error e = {0};
    assert_int_equal(gr_rollout_new(&env, &plan, 0, &w.r, &e), 0);
    gr_desired_free(to);
    gr_desired_free(from);
}

static enum gr_phase phase(void)
{
    return gr_rollout_row(w.r)->phase;
}
static int64_t step(void)
{
    return gr_rollout_row(w.r)->step;
}
static void assert_at(enum gr_phase p, int64_t at)
{
    if (phase() != p || step() != at)
        fail_msg("expected %s at step %d, found %s at %d: %s", gr_phase_name(p), (int)at,
                 gr_phase_name(phase()), (int)step(), gr_rollout_row(w.r)->message);
}
static void assert_ended(enum gr_phase p, enum gr_reason reason)
{
    assert_true(w.ended);
    if (phase() != p || gr_rollout_row(w.r)->reason != reason)
        fail_msg("expected %s %s, found %s %s: %s", gr_phase_name(p), gr_reason_name(reason),
                 gr_phase_name(phase()), gr_reason_name(gr_rollout_row(w.r)->reason),
                 gr_rollout_row(w.r)->message);
    assert_non_null(strstr(gr_rollout_row(w.r)->message, " ")); // a sentence, always
}

static enum asked take(void)
{
    enum asked a = w.n_asked ? w.asked[0] : NOTHING;
    for (size_t i = 1; i < w.n_asked; i++)
        w.asked[i - 1] = w.asked[i];
    w.n_asked -= w.n_asked != 0;
    return a;
}
static void answer(enum asked expected)
{
    enum asked a = take();
    assert_int_equal(a, expected);
    if (a == STAGE)
        gr_rollout_staged(w.r, 0, 3, NULL);
    else
        gr_rollout_answered(w.r, NULL);
}
static void worker_went(void)
{
    struct gr_error e = {.code = -ECONNRESET};
    while (take() != NOTHING)
        gr_rollout_answered(w.r, &e);
    w.no_worker = true;
}
static void worker_came(void)
{
    w.no_worker = false;
    w.candidate = w.stable = (struct gr_arm_sample){0};
    gr_rollout_new_counters(w.r);
    gr_rollout_set_slot(w.r, 0, 4);
    gr_rollout_worker_ready(w.r);
}
static void verify(void)
{
    the_verification.cb.done(the_verification.cb.userdata, calloc(1, sizeof(struct gr_verified)),
                             NULL);
}
static void begin_and_stage(const char *strategy)
{
    begin(strategy);
    gr_rollout_begin(w.r);
    verify();
    answer(STAGE);
}
static void later(uint64_t usec)
{
    w.now += usec;
    gr_rollout_tick(w.r);
}
// So many requests of each, of which so many of the candidate failed.
static void traffic(uint64_t n, uint64_t errors)
{
    struct gr_arm_sample *arms[] = {&w.candidate, &w.stable};
    for (size_t i = 0; i < 2; i++) {
        arms[i]->requests += n;
        arms[i]->latency.count[gr_histogram_bucket(200000)] += n;
    }
    w.candidate.errors += errors;
}
static int order(enum gr_order_verb v, int64_t at, bool full, char *ret_message)
{
    struct gr_order o = {.verb = v, .rollout = 7, .step = at, .full = full};
    struct gr_error e = {0};
    strcpy(o.actor, "alice");
    strcpy(o.reason, "PAY-7");
    int k = gr_rollout_steer(w.r, &o, &e);
    if (k < 0)
        assert_true(e.message[0]);
    if (ret_message)
        strcpy(ret_message, e.message);
    return k;
}
// Killed and started again: what the journal says is all there is.
static void restart(void)
{
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    gr_rollout_free(w.r);
    w.r = NULL;
    gr_journal_close(w.journal);
    assert_int_equal(gr_journal_open(w.dir, &w.journal, NULL), 0);
    env.journal = w.journal;
    w.now += 3600 * SEC; // the machine's clock began anew, or ran on: neither matters
    w.n_asked = 0;
    assert_int_equal(gr_journal_open_rollouts(w.journal, &rows, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(gr_rollout_resume(&env, rows, &w.r), 0);
    free(rows);
    worker_came();
}

#define LADDER                                                                                     \
    "{\"steps\":[{\"shadow\":5},{\"weight\":1},{\"pause\":{\"duration\":\"10m\",\"requests\":100}" \
    "},"                                                                                           \
    "{\"weight\":25},{\"pause\":{}},{\"analysis\":{}},{\"weight\":100}],\"deadline\":\"1h\","      \
    "\"bake\":\"5m\"}"

// --- the ladder ----------------------------------------------------------------------------------

static void a_whole_ladder(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    assert_at(GR_PHASE_PROGRESSING, 0);
    assert_int_equal(w.shadow, 500);
    assert_int_equal(w.weight, 0);
    answer(ROUTE);
    assert_at(GR_PHASE_PROGRESSING, 1);
    assert_int_equal(w.weight, 100);
    assert_int_equal(w.shadow, 500);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 2);
    assert_true(gr_rollout_left(w.r).pause_usec == 600 * SEC);
    later(601 * SEC); // the time alone is not enough
    assert_at(GR_PHASE_PAUSED, 2);
    traffic(99, 0);
    later(MSEC);
    assert_at(GR_PHASE_PAUSED, 2);
    assert_true(gr_rollout_left(w.r).pause_requests == 1);
    traffic(1, 0);
    later(MSEC);
    assert_at(GR_PHASE_PROGRESSING, 3);
    assert_int_equal(w.weight, 2500);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 4);
    assert_true(gr_rollout_left(w.r).gate);
    later(20 * 60 * SEC);
    assert_at(GR_PHASE_PAUSED, 4);
    assert_int_equal(order(GR_ORDER_PROMOTE, 4, false, NULL), 0);
    assert_at(GR_PHASE_PROGRESSING, 5); // 100 of 200 requests: undecided
    assert_int_equal(take(), NOTHING);
    traffic(5000, 0);
    later(250 * MSEC);
    assert_at(GR_PHASE_PROGRESSING, 6);
    answer(FORWARD);
    assert_at(GR_PHASE_BAKING, 7);
    assert_true(w.committed);
    assert_true(gr_rollout_left(w.r).bake_usec == 300 * SEC);
    later(300 * SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
}

static void without_steps_it_swaps_at_once(void **state)
{
    (void)state;
    begin_and_stage("{\"bake\":\"1s\"}");
    assert_int_equal(phase(), GR_PHASE_STAGED);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    later(SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
}

static void a_ladder_that_shows_it_to_nobody_swaps_without_a_verdict(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":100}]}");
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void copies_are_seen_by_nobody(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"shadow\":10},{\"pause\":{}},{\"weight\":100}]}");
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), 0);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void undecided_never_promotes(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":50},{\"weight\":100}]}");
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_non_null(strstr(gr_rollout_row(w.r)->message, "0 of 200 requests"));
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), -EPERM);
    traffic(150, 0);
    later(SEC);
    assert_non_null(strstr(gr_rollout_row(w.r)->message, "150 of 200 requests"));
    traffic(5000, 0);
    later(SEC);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void undecided_goes_back_when_told_so(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":50},{\"pause\":{\"duration\":\"1m\"}},"
                    "{\"weight\":100}],\"analysis\":{\"on_inconclusive\":\"rollback\"}}");
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 1);
    later(61 * SEC);
    assert_int_equal(phase(), GR_PHASE_ROLLING_BACK);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_INCONCLUSIVE);
    assert_false(w.committed);
    assert_false(w.convicted);
}

static void nobody_calls_it_until_the_deadline(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":50},{\"weight\":100}],\"deadline\":\"30m\"}");
    answer(ROUTE);
    later(1800 * SEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_INCONCLUSIVE);
}

static void a_bad_version_goes_back_and_is_convicted(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    answer(ROUTE);
    answer(ROUTE);
    traffic(400, 200);
    later(250 * MSEC);
    assert_int_equal(phase(), GR_PHASE_ROLLING_BACK);
    assert_int_equal(w.weight, 0);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_ERROR_RATE_REGRESSED);
    assert_true(w.convicted && w.released && !w.committed);
}

static void the_harm_budget_ends_it(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{}},{\"weight\":100}],"
                    "\"harm\":{\"bad_responses\":3}}");
    answer(ROUTE);
    traffic(1000, 2);
    later(250 * MSEC);
    assert_int_equal(phase(), GR_PHASE_PAUSED);
    traffic(1000, 1);
    later(250 * MSEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_HARM_BUDGET_SPENT);
}

// Some of it went in a worker that drained: the counters of the one that serves do not show it.
static void a_budget_spent_in_two_workers_ends_it(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{}},{\"weight\":100}],"
                    "\"harm\":{\"bad_responses\":3}}");
    answer(ROUTE);
    traffic(1000, 1);
    w.harmed = 2;
    gr_rollout_tick(w.r); // as when a worker tells
    assert_int_equal(phase(), GR_PHASE_PAUSED);
    w.harmed = 3;
    gr_rollout_tick(w.r);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_HARM_BUDGET_SPENT);
    assert_non_null(strstr(gr_rollout_row(w.r)->message, "gave 3 bad answers, 2 of them in a"));
    assert_true(w.convicted);
}

static void the_budget_goes_on_in_the_bake(void **state)
{
    (void)state;
    begin_and_stage("{\"bake\":\"1h\",\"harm\":{\"bad_responses\":3}}");
    uint64_t total = 0, known = 0;
    assert_true(gr_rollout_harm(w.r, 0, &total, &known));
    assert_true(total == 3 && known == 0);
    answer(FORWARD);
    traffic(1000, 2);
    gr_rollout_tick(w.r);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    assert_true(gr_rollout_harm(w.r, 0, &total, &known));
    assert_true(total == 3 && known == 2); // of which a new worker gets the rest
    traffic(0, 1);
    gr_rollout_tick(w.r);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_HARM_BUDGET_SPENT);
}

// What was counted since the last look is the next supervisor's too, when this one ends in order.
static void the_numbers_outlive_an_orderly_end(void **state)
{
    (void)state;
    uint64_t total = 0, known = 0;
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{}},{\"weight\":100}],"
                    "\"harm\":{\"bad_responses\":3}}");
    answer(ROUTE);
    traffic(1000, 2);
    gr_rollout_keep_numbers(w.r);
    restart();
    assert_true(gr_rollout_harm(w.r, 0, &total, &known));
    assert_true(total == 3 && known == 2);
}

static void a_restart_before_the_first_look_judges_too(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":50},{\"pause\":{}},{\"weight\":100}]}");
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 1);
    restart();
    traffic(400, 200);
    later(250 * MSEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_ERROR_RATE_REGRESSED);
}

static void a_restart_before_the_first_look_at_the_bake_judges_too(void **state)
{
    (void)state;
    begin_and_stage("{\"bake\":\"1h\"}");
    answer(FORWARD);
    restart();
    traffic(4000, 2000);
    later(250 * MSEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_ERROR_RATE_REGRESSED);
}

#define PATIENT                                                                                    \
    "{\"steps\":[{\"weight\":10},{\"pause\":{}},{\"weight\":100}],\"on_failure\":\"pause\","       \
    "\"deadline\":\"1h\",\"bake\":\"1m\"}"

static void a_failure_can_wait_for_a_person(void **state)
{
    (void)state;
    begin_and_stage(PATIENT);
    answer(ROUTE);
    traffic(400, 200);
    later(250 * MSEC);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_int_equal(w.weight, 0);
    answer(ROUTE);
    assert_int_equal(gr_rollout_row(w.r)->reason, GR_REASON_ERROR_RATE_REGRESSED);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), -EPERM);
    assert_int_equal(order(GR_ORDER_RESUME, 1, false, NULL), -EPERM);
    later(SEC); // the same numbers do not fail it again
    assert_int_equal(phase(), GR_PHASE_PAUSED);
    later(3600 * SEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_ERROR_RATE_REGRESSED);
    assert_true(w.convicted);
}

static void a_failure_that_a_person_sends_back_is_convicted(void **state)
{
    (void)state;
    begin_and_stage(PATIENT);
    answer(ROUTE);
    traffic(400, 200);
    later(250 * MSEC);
    answer(ROUTE);
    assert_false(w.convicted); // while it waits
    assert_int_equal(order(GR_ORDER_ABORT, -1, false, NULL), 0);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
    assert_true(w.convicted);
}

static void a_person_may_overrule_a_failure(void **state)
{
    (void)state;
    begin_and_stage(PATIENT);
    answer(ROUTE);
    traffic(400, 200);
    later(250 * MSEC);
    answer(ROUTE);
    assert_int_equal(order(GR_ORDER_PROMOTE, -1, true, NULL), 0);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    traffic(400, 200);
    later(250 * MSEC);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    later(60 * SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
    assert_false(w.convicted);
}

static void a_full_disk_keeps_stable(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":100}]}");
    w.full_disk = true;
    answer(FORWARD);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_DISK_FULL);
    assert_false(w.committed);
}

// --- orders --------------------------------------------------------------------------------------

static void a_double_promote_never_skips(void **state)
{
    char why[GR_MESSAGE_MAX];
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{}},{\"pause\":{}},{\"weight\":100}]}");
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), 0);
    assert_at(GR_PHASE_PAUSED, 2);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, why), -ESTALE);
    assert_non_null(strstr(why, "alice ordered promote at step 2"));
    assert_non_null(strstr(why, "PAY-7"));
    assert_at(GR_PHASE_PAUSED, 2);
    assert_int_equal(order(GR_ORDER_PROMOTE, -1, false, NULL), -EINVAL);
}

static void another_rollout_is_told_so(void **state)
{
    struct gr_error e = {0};
    struct gr_order o = {.verb = GR_ORDER_ABORT, .rollout = 6, .step = -1};
    (void)state;
    begin(LADDER);
    assert_int_equal(gr_rollout_steer(w.r, &o, &e), -ESTALE);
    assert_non_null(strstr(e.message, "expected 7"));
}

static void a_hold_stops_the_clock_of_the_step(void **state)
{
    (void)state;
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{\"duration\":\"10m\"}},"
                    "{\"weight\":2},{\"weight\":100}]}");
    answer(ROUTE);
    later(240 * SEC);
    assert_int_equal(order(GR_ORDER_PAUSE, 1, false, NULL), 0);
    assert_string_equal(gr_rollout_row(w.r)->gray.held_by, "alice");
    assert_int_equal(order(GR_ORDER_PAUSE, 1, false, NULL), -EALREADY);
    later(1000 * SEC);
    assert_true(gr_rollout_left(w.r).pause_usec == 360 * SEC);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_int_equal(order(GR_ORDER_RESUME, 1, false, NULL), 0);
    assert_at(GR_PHASE_PAUSED, 1);
    later(359 * SEC);
    assert_at(GR_PHASE_PAUSED, 1);
    later(SEC);
    assert_at(GR_PHASE_PROGRESSING, 2);
    // and promote resumes and goes on
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 3);
    assert_int_equal(order(GR_ORDER_PAUSE, 3, false, NULL), 0);
    traffic(5000, 0);
    later(SEC);
    assert_at(GR_PHASE_PAUSED, 3); // the verdict is there, a person holds it
    assert_int_equal(order(GR_ORDER_PROMOTE, 3, true, NULL), 0);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void abort_stops_a_promotion_to_the_swap(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    answer(ROUTE);
    answer(ROUTE);
    assert_int_equal(order(GR_ORDER_PROMOTE, 2, true, NULL), 0);
    assert_int_equal(order(GR_ORDER_PROMOTE, 2, true, NULL), -EALREADY);
    assert_int_equal(order(GR_ORDER_PAUSE, 2, false, NULL), -EPERM); // the swap is asked for
    assert_int_equal(order(GR_ORDER_ABORT, -1, false, NULL), 0);
    assert_int_equal(phase(), GR_PHASE_ROLLING_BACK);
    answer(FORWARD); // the worker did it, and nothing is committed
    assert_false(w.committed);
    assert_int_equal(phase(), GR_PHASE_ROLLING_BACK);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
    assert_false(w.convicted);
}

// The worker has not answered yet when an operator who saw the step promotes it.
static void a_promote_before_the_answer_leaves_one_step(void **state)
{
    (void)state;
    char why[GR_MESSAGE_MAX];
    begin_and_stage("{\"steps\":[{\"pause\":{}},{\"weight\":10},{\"pause\":{}},{\"weight\":100}],"
                    "\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"}],\"deadline\":\"1h\"}");
    assert_at(GR_PHASE_PAUSED, 0);
    assert_int_equal(order(GR_ORDER_PROMOTE, 0, false, NULL), 0);
    assert_int_equal(order(GR_ORDER_PROMOTE, 0, false, why), -ESTALE); // the other operator
    assert_non_null(strstr(why, "alice ordered promote at step 1"));
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, why), -EALREADY); // not begun yet
    answer(ROUTE);
    assert_at(GR_PHASE_PROGRESSING, 1);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), 0);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, NULL), -ESTALE);
    answer(ROUTE);
    assert_int_equal(w.weight, 1000);
    assert_at(GR_PHASE_PAUSED, 2);
    assert_int_equal(take(), NOTHING);
}

static void an_abort_goes_before_it_is_told(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    answer(ROUTE);
    answer(ROUTE);
    unsigned before = w.notes;
    assert_int_equal(order(GR_ORDER_ABORT, -1, false, NULL), 0);
    assert_int_equal(w.notes_before_back, before);
    assert_int_equal(w.notes, before + 1);
    assert_non_null(strstr(w.noted, "alice ordered abort"));
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
}

// A look a second, 100 requests each, of which every tenth leaves `leak` descriptors open.
static void serve_in_its_process(unsigned looks, uint64_t leak)
{
    for (unsigned i = 0; i < looks && !w.ended && phase() == GR_PHASE_PAUSED; i++) {
        traffic(100, 0);
        w.usage.value[GR_RESOURCE_DESCRIPTORS] += 10 * leak;
        later(SEC);
    }
}

static const char isolated_ladder[] =
    "{\"steps\":[{\"weight\":50},{\"pause\":{\"duration\":\"5m\"}},{\"weight\":100}],"
    "\"deadline\":\"1h\"}";

static void a_process_that_leaks_is_taken_back(void **state)
{
    (void)state;
    contract.isolation_process = true;
    w.usage = (struct gr_usage){.process = 1, .value = {20 << 20, 30, 12}};
    begin_and_stage(isolated_ladder);
    answer(ROUTE);
    serve_in_its_process(200, 1);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_RESOURCE_LEAK);
    assert_true(w.convicted);
    const struct gr_verdict_record *record = gr_rollout_verdict(w.r, 0);
    assert_int_equal(record->verdict.gate, GR_GATE_DESCRIPTORS);
    assert_true(record->input.slope[GR_RESOURCE_DESCRIPTORS].per_request > 0.09);
    assert_int_equal(gr_verdict_replay(record, NULL), 0);
    assert_non_null(strstr(gr_rollout_row(w.r)->message, "descriptors per 10,000 requests"));
}

static void a_process_that_does_not_is_not(void **state)
{
    (void)state;
    contract.isolation_process = true;
    w.usage = (struct gr_usage){.process = 1, .value = {20 << 20, 30, 12}};
    begin_and_stage(isolated_ladder);
    answer(ROUTE);
    serve_in_its_process(9, 1); // warms up
    serve_in_its_process(400, 0);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    const struct gr_verdict_record *record = gr_rollout_verdict(w.r, 0);
    assert_int_equal(record->verdict.verdict, GR_VERDICT_SUCCESSFUL);
    assert_true(record->input.slope[GR_RESOURCE_DESCRIPTORS].points >= GR_GROWTH_POINTS_MIN);
}

static void a_version_in_the_worker_has_no_process(void **state)
{
    (void)state;
    w.usage = (struct gr_usage){.process = 1};
    begin_and_stage(isolated_ladder);
    answer(ROUTE);
    serve_in_its_process(400, 1);
    answer(FORWARD);
    assert_true(gr_rollout_verdict(w.r, 0)->input.slope_limit[GR_RESOURCE_DESCRIPTORS] < 0);
}

// Stable, which never failed, now fails with the candidate.
static void both_fail(unsigned looks)
{
    for (unsigned i = 0; i < looks; i++) {
        traffic(100, 20);
        w.stable.errors += 20;
        later(SEC);
    }
}

static void a_promotion_over_a_bad_stable_is_not_judged_again(void **state)
{
    (void)state;
    char why[GR_MESSAGE_MAX];
    struct gr_order o = {
        .verb = GR_ORDER_PROMOTE, .rollout = 7, .step = 1, .over_bad_stable = true};
    struct gr_error e = {0};
    traffic(1000, 0);
    w.candidate = (struct gr_arm_sample){0}; // stable alone, before the rollout
    begin_and_stage("{\"steps\":[{\"weight\":50},{\"weight\":100}],\"deadline\":\"1h\"}");
    answer(ROUTE);
    both_fail(20);
    assert_at(GR_PHASE_PAUSED, 1);
    assert_int_equal(gr_rollout_row(w.r)->gray.hold, GR_HOLD_BAD_STABLE);
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, false, why), -EPERM);
    assert_non_null(strstr(why, "--over-bad-stable"));
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, true, why), -EPERM);
    assert_non_null(strstr(why, "--over-bad-stable"));
    assert_int_equal(gr_rollout_steer(w.r, &o, &e), 0);
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
    struct gr_arm_sample stable = w.stable;
    traffic(2000, 400); // as bad as it was, and worse than stable once was
    w.stable = stable;
    later(SEC);
    assert_int_equal(gr_rollout_verdict(w.r, 0)->verdict.verdict, GR_VERDICT_FAILED);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void a_pause_cancels_a_promotion_that_waits(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    assert_int_equal(order(GR_ORDER_PROMOTE, 0, true, NULL), 0); // the share is being set
    assert_int_equal(order(GR_ORDER_PAUSE, 0, false, NULL), 0);
    answer(ROUTE);
    assert_int_equal(take(), NOTHING);
    assert_int_equal(phase(), GR_PHASE_PAUSED);
    assert_int_equal(order(GR_ORDER_RESUME, 0, false, NULL), 0);
    assert_at(GR_PHASE_PROGRESSING, 1);
}

static void a_swap_without_steps_can_be_aborted(void **state)
{
    (void)state;
    begin_and_stage("{}");
    assert_int_equal(order(GR_ORDER_ABORT, -1, false, NULL), 0);
    assert_int_equal(order(GR_ORDER_ABORT, -1, false, NULL), -EALREADY);
    answer(FORWARD);
    assert_false(w.committed);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
}

// Leads a rollout into a phase by the shortest way.
static void reach(enum gr_phase p)
{
    begin("{\"steps\":[{\"weight\":1},{\"analysis\":{}},{\"weight\":100}],\"deadline\":\"1h\"}");
    if (p == GR_PHASE_PENDING)
        return;
    gr_rollout_begin(w.r);
    if (p == GR_PHASE_FETCHING)
        return;
    the_verification.cb.station(the_verification.cb.userdata, GR_VERIFY_CHECK);
    if (p == GR_PHASE_VERIFYING)
        return;
    verify();
    answer(STAGE);
    answer(ROUTE);
    if (p == GR_PHASE_PROGRESSING)
        return;
    if (p == GR_PHASE_PAUSED) {
        assert_int_equal(order(GR_ORDER_PAUSE, 1, false, NULL), 0);
        return;
    }
    if (p == GR_PHASE_ROLLING_BACK || p == GR_PHASE_ROLLED_BACK) {
        assert_int_equal(order(GR_ORDER_ABORT, 1, false, NULL), 0);
        if (p == GR_PHASE_ROLLED_BACK)
            answer(BACK);
        return;
    }
    assert_int_equal(order(GR_ORDER_PROMOTE, 1, true, NULL), 0);
    answer(FORWARD);
    if (p == GR_PHASE_HEALTHY)
        later(3600 * SEC);
}

static void again(void **state)
{
    assert_int_equal(leave_world(state), 0);
    assert_int_equal(enter_world(state), 0);
}

static void every_order_in_every_phase(void **state)
{
    static const struct {
        enum gr_phase in;
        int result[GR_ORDER_VERB_COUNT]; // promote, pause, resume, abort, retry
    } table[] = {
        {GR_PHASE_PENDING, {-EPERM, -EPERM, -EPERM, 0, -EPERM}},
        {GR_PHASE_FETCHING, {-EPERM, -EPERM, -EPERM, 0, -EPERM}},
        {GR_PHASE_VERIFYING, {-EPERM, -EPERM, -EPERM, 0, -EPERM}},
        {GR_PHASE_PROGRESSING, {0, 0, -EALREADY, 0, -EPERM}},
        {GR_PHASE_PAUSED, {0, -EALREADY, 0, 0, -EPERM}},
        {GR_PHASE_BAKING, {-EALREADY, -EPERM, -EPERM, 0, -EPERM}},
        {GR_PHASE_ROLLING_BACK, {-EPERM, -EPERM, -EPERM, -EALREADY, -EPERM}},
        {GR_PHASE_ROLLED_BACK, {-ESTALE, -ESTALE, -ESTALE, -ESTALE, -ESTALE}},
        {GR_PHASE_HEALTHY, {-ESTALE, -ESTALE, -ESTALE, -ESTALE, -ESTALE}},
    };
    for (size_t i = 0; i < GR_COUNT(table); i++)
        for (unsigned v = 0; v < GR_ORDER_VERB_COUNT; v++) {
            reach(table[i].in);
            assert_int_equal(phase(), table[i].in);
            int k = order((enum gr_order_verb)v, step(), false, NULL);
            if (k != table[i].result[v])
                fail_msg("%s in %s: expected %d, found %d",
                         gr_order_verb_name((enum gr_order_verb)v), gr_phase_name(table[i].in),
                         table[i].result[v], k);
            if (k < 0)
                assert_int_equal(phase(), table[i].in); // a refusal changes nothing
            else if (v == GR_ORDER_ABORT)
                assert_true(phase() == GR_PHASE_ROLLING_BACK || phase() == GR_PHASE_REJECTED);
            again(state);
        }
}

static void the_deadline_ends_every_phase(void **state)
{
    static const struct {
        enum gr_phase in, end;
    } table[] = {{GR_PHASE_PENDING, GR_PHASE_REJECTED},
                 {GR_PHASE_FETCHING, GR_PHASE_REJECTED},
                 {GR_PHASE_VERIFYING, GR_PHASE_REJECTED},
                 {GR_PHASE_PROGRESSING, GR_PHASE_ROLLED_BACK},
                 {GR_PHASE_PAUSED, GR_PHASE_ROLLED_BACK}};
    for (size_t i = 0; i < GR_COUNT(table); i++) {
        reach(table[i].in);
        later(3600 * SEC);
        if (table[i].end == GR_PHASE_ROLLED_BACK)
            answer(BACK);
        // it waited for a verdict, or for a person, or for bytes
        assert_ended(table[i].end, gr_rollout_row(w.r)->step ? GR_REASON_INCONCLUSIVE
                                                             : GR_REASON_DEADLINE_EXCEEDED);
        again(state);
    }
    begin_and_stage("{\"steps\":[{\"weight\":1},{\"pause\":{}},{\"weight\":100}]}");
    answer(ROUTE);
    later(3600 * SEC);
    answer(BACK);
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_DEADLINE_EXCEEDED);
    const char *message = gr_rollout_row(w.r)->message; // for how long, and for what
    assert_non_null(strstr(message, "was still Paused at its deadline, after 1h"));
    assert_non_null(strstr(message, "step 2 of 3: a gate: grayctl promote opens it"));
}

static void a_newer_one_replaces_it(void **state)
{
    static const enum gr_phase in[] = {GR_PHASE_PENDING,     GR_PHASE_FETCHING, GR_PHASE_VERIFYING,
                                       GR_PHASE_PROGRESSING, GR_PHASE_PAUSED,   GR_PHASE_BAKING};
    for (size_t i = 0; i < GR_COUNT(in); i++) {
        reach(in[i]);
        gr_rollout_supersede(w.r, 9);
        if (in[i] >= GR_PHASE_PROGRESSING)
            answer(BACK);
        assert_ended(GR_PHASE_SUPERSEDED, GR_REASON_NONE);
        again(state);
    }
}

// --- restarts and workers ------------------------------------------------------------------------

static void a_restart_goes_on_at_each_step(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    uint64_t salt = gr_rollout_row(w.r)->gray.salt;
    assert_true(salt != 0);
    restart(); // in the shadow step, before its answer
    assert_at(GR_PHASE_PROGRESSING, 0);
    assert_int_equal(w.shadow, 500);
    answer(ROUTE);
    assert_at(GR_PHASE_PROGRESSING, 1);
    restart();
    assert_at(GR_PHASE_PROGRESSING, 1);
    assert_int_equal(w.weight, 100);
    assert_int_equal(w.shadow, 500);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 2);
    traffic(60, 0);
    later(400 * SEC); // a checkpoint falls here
    restart();
    assert_at(GR_PHASE_PAUSED, 2);
    assert_true(gr_rollout_left(w.r).pause_usec == 200 * SEC);
    assert_true(gr_rollout_left(w.r).pause_requests == 40);
    assert_true(gr_rollout_left(w.r).deadline_usec == 3200 * SEC);
    assert_int_equal(w.weight, 100);
    while (w.n_asked)
        answer(ROUTE);
    traffic(40, 0);
    later(200 * SEC);
    assert_at(GR_PHASE_PROGRESSING, 3);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 4);
    restart();
    assert_at(GR_PHASE_PAUSED, 4);
    assert_true(gr_rollout_left(w.r).gate);
    while (w.n_asked)
        answer(ROUTE);
    assert_int_equal(order(GR_ORDER_PROMOTE, 4, false, NULL), 0);
    assert_at(GR_PHASE_PROGRESSING, 5);
    restart();
    assert_at(GR_PHASE_PROGRESSING, 5);
    while (w.n_asked)
        answer(ROUTE);
    traffic(5000, 0);
    later(SEC);
    assert_at(GR_PHASE_PROGRESSING, 6);
    restart(); // the swap was asked for: nothing of it was committed, so it is asked for again
    assert_at(GR_PHASE_PROGRESSING, 6);
    assert_int_equal(w.asked[w.n_asked - 1], FORWARD);
    answer(FORWARD);
    assert_at(GR_PHASE_BAKING, 7);
    later(100 * SEC);
    restart();
    assert_at(GR_PHASE_BAKING, 7);
    assert_true(gr_rollout_left(w.r).bake_usec == 200 * SEC);
    assert_true(gr_rollout_row(w.r)->gray.salt == salt);
    later(200 * SEC);
    assert_ended(GR_PHASE_HEALTHY, GR_REASON_NONE);
}

static void a_restart_keeps_a_persons_hold_and_the_numbers(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    answer(ROUTE);
    answer(ROUTE);
    traffic(70, 1);
    later(100 * SEC);
    assert_int_equal(order(GR_ORDER_PAUSE, 2, false, NULL), 0);
    restart();
    while (w.n_asked)
        answer(ROUTE);
    assert_string_equal(gr_rollout_row(w.r)->gray.held_by, "alice");
    assert_string_equal(gr_rollout_row(w.r)->gray.order.reason, "PAY-7");
    traffic(30, 0);
    later(2000 * SEC);
    assert_at(GR_PHASE_PAUSED, 2);
    assert_true(gr_rollout_verdict(w.r, 0)->input.candidate.requests == 100);
    assert_true(gr_rollout_verdict(w.r, 0)->input.candidate.errors == 1);
    assert_int_equal(order(GR_ORDER_RESUME, 2, false, NULL), 0);
    assert_true(gr_rollout_left(w.r).pause_usec == 500 * SEC);
}

static void a_restart_on_the_way_back_is_back(void **state)
{
    (void)state;
    reach(GR_PHASE_ROLLING_BACK);
    restart();
    assert_int_equal(phase(), GR_PHASE_ROLLING_BACK);
    assert_true(gr_rollout_restore_without_worker(w.r, SIZE_MAX, NULL));
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_OPERATOR_ABORT);
    assert_false(w.committed);
}

static void a_worker_that_goes_takes_no_step_along(void **state)
{
    (void)state;
    begin_and_stage(LADDER);
    worker_went();
    assert_at(GR_PHASE_PROGRESSING, 0);
    later(SEC);
    worker_came();
    answer(ROUTE);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 2);
    traffic(50, 0);
    later(300 * SEC);
    gr_rollout_measure(w.r);
    worker_went();
    later(100 * SEC);
    worker_came(); // its counters begin at zero
    while (w.n_asked)
        answer(ROUTE);
    assert_true(gr_rollout_left(w.r).pause_usec == 200 * SEC);
    assert_true(gr_rollout_left(w.r).pause_requests == 50);
    traffic(50, 0);
    later(200 * SEC);
    assert_at(GR_PHASE_PROGRESSING, 3);
    worker_went();
    worker_came();
    assert_int_equal(w.weight, 2500);
    answer(ROUTE);
    assert_at(GR_PHASE_PAUSED, 4);
    assert_int_equal(order(GR_ORDER_PROMOTE, 4, true, NULL), 0);
    worker_went(); // in the swap
    assert_int_equal(phase(), GR_PHASE_PROGRESSING);
    worker_came();
    answer(FORWARD);
    assert_int_equal(phase(), GR_PHASE_BAKING);
}

static void a_candidate_that_killed_its_worker_is_out(void **state)
{
    struct gr_error e = {.reason = GR_REASON_CRASHED, .message = "it crashed"};
    (void)state;
    begin_and_stage(LADDER);
    answer(ROUTE);
    answer(ROUTE);
    worker_went();
    assert_true(gr_rollout_restore_without_worker(w.r, 0, &e));
    assert_ended(GR_PHASE_ROLLED_BACK, GR_REASON_CRASHED);
    assert_true(w.convicted && !w.committed);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_world, leave_world)
    const struct CMUnitTest tests[] = {
        T(a_whole_ladder),
        T(without_steps_it_swaps_at_once),
        T(a_ladder_that_shows_it_to_nobody_swaps_without_a_verdict),
        T(copies_are_seen_by_nobody),
        T(undecided_never_promotes),
        T(undecided_goes_back_when_told_so),
        T(nobody_calls_it_until_the_deadline),
        T(a_bad_version_goes_back_and_is_convicted),
        T(the_harm_budget_ends_it),
        T(a_budget_spent_in_two_workers_ends_it),
        T(the_budget_goes_on_in_the_bake),
        T(the_numbers_outlive_an_orderly_end),
        T(a_restart_before_the_first_look_judges_too),
        T(a_restart_before_the_first_look_at_the_bake_judges_too),
        T(a_failure_can_wait_for_a_person),
        T(a_failure_that_a_person_sends_back_is_convicted),
        T(a_person_may_overrule_a_failure),
        T(a_full_disk_keeps_stable),
        T(a_double_promote_never_skips),
        T(another_rollout_is_told_so),
        T(a_hold_stops_the_clock_of_the_step),
        T(abort_stops_a_promotion_to_the_swap),
        T(a_promote_before_the_answer_leaves_one_step),
        T(an_abort_goes_before_it_is_told),
        T(a_process_that_leaks_is_taken_back),
        T(a_process_that_does_not_is_not),
        T(a_version_in_the_worker_has_no_process),
        T(a_promotion_over_a_bad_stable_is_not_judged_again),
        T(a_pause_cancels_a_promotion_that_waits),
        T(a_swap_without_steps_can_be_aborted),
        T(every_order_in_every_phase),
        T(the_deadline_ends_every_phase),
        T(a_newer_one_replaces_it),
        T(a_restart_goes_on_at_each_step),
        T(a_restart_keeps_a_persons_hold_and_the_numbers),
        T(a_restart_on_the_way_back_is_back),
        T(a_worker_that_goes_takes_no_step_along),
        T(a_candidate_that_killed_its_worker_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
