// A rollout that is verified and may not come into force yet: it waits in Pending for its
// admission, and ends there by deadline, order or a newer one, or goes on, alone or with an older
// one that it takes along. Verifier, worker, clock and admission are the test's own, the journal is
// a real one.
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

// --- the verifier: these stand in for the library's
// ------------------------------------------------

struct gr_verified {
    int nothing;
};
struct gr_verification {
    struct gr_verify_callbacks cb;
};
static struct gr_verification verifications[8];
static size_t n_verifications;
static int verified_alive; // every one of them is freed in the end
static const struct gr_contract contract = {.sla_error_rate = -1};

int gr_verification_start(struct gr_verifier *v, const struct gr_verify_request *r,
                          const struct gr_verify_callbacks *cb, struct gr_verification **ret,
                          struct gr_error *e)
{
    (void)v, (void)r, (void)e;
    assert_true(n_verifications < GR_COUNT(verifications));
    *ret = &verifications[n_verifications++];
    (*ret)->cb = *cb;
    return 0;
}
void gr_verification_cancel(struct gr_verification *v)
{
    (void)v;
}
void gr_verified_free(struct gr_verified *v)
{
    verified_alive -= v != NULL;
    free(v);
}
const struct gr_contract *gr_verified_contract(const struct gr_verified *v)
{
    (void)v;
    return &contract;
}

// --- the world -----------------------------------------------------------------------------------

static struct world {
    char dir[64];
    sd_event *event;
    struct gr_journal *journal;
    uint64_t now;
    enum gr_resolve_verdict verdict; // what the admission says
    struct gr_error why;
    size_t culprit;
    struct gr_rollout *takes; // the admission takes it along
    size_t n_order, order[4]; // ... and names this order
    char story[64]; // members that were given to the worker ("+1"), and slots taken out ("-4")
    unsigned asked, staged, swapped, changed, ended; // how often each was called
} w;

static struct gr_mono op_now(void *u)
{
    (void)u;
    return (struct gr_mono){w.now};
}
static void op_verified(void *u, const struct gr_verified *v)
{
    (void)u, (void)v;
}
static enum gr_resolve_verdict op_admit(void *u, struct gr_rollout *r, struct gr_admission *ret)
{
    (void)u;
    w.asked++;
    if (w.takes)
        assert_int_equal(gr_rollout_absorb(r, w.takes), 0);
    w.takes = NULL;
    ret->why = w.why;
    ret->culprit = w.culprit;
    ret->n_order = w.n_order;
    for (size_t i = 0; i < w.n_order; i++)
        ret->order[i] = w.order[i];
    return w.verdict;
}
static void note(char what, int number)
{
    size_t len = strlen(w.story);
    snprintf(w.story + len, sizeof w.story - len, "%c%d", what, number);
}
static int op_stage(void *u, struct gr_rollout *r, size_t member, const struct gr_verified *v)
{
    (void)u, (void)r;
    assert_non_null(v);
    w.staged++;
    note('+', (int)member);
    return 0;
}
static void op_unstage(void *u, int slot)
{
    (void)u;
    note('-', slot);
}
static int op_swap(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u, (void)r, (void)d;
    w.swapped++;
    return 0;
}
static int op_commit(void *u, struct gr_rollout *r, enum gr_direction d,
                     const struct gr_rollout_row *as, struct gr_error *e)
{
    (void)u, (void)r, (void)d;
    return gr_journal_put_rollout(w.journal, as, e);
}
static void op_release(void *u, struct gr_rollout *r, enum gr_direction d)
{
    (void)u, (void)r, (void)d;
}
static bool op_sample(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *candidate,
                      struct gr_arm_sample *stable)
{
    (void)u, (void)r, (void)member, (void)candidate, (void)stable;
    return false;
}
static void op_history(void *u, struct gr_rollout *r, size_t member, struct gr_arm_sample *ret)
{
    (void)u, (void)r, (void)member;
    *ret = (struct gr_arm_sample){0};
}
static bool op_can_stage(void *u)
{
    (void)u;
    return true;
}
static void op_changed(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
    w.changed++;
}
static void op_noted(void *u, struct gr_rollout *r, const char *message_id, const char *sentence)
{
    (void)u, (void)r, (void)message_id, (void)sentence;
}
static void op_ended(void *u, struct gr_rollout *r)
{
    (void)u, (void)r;
    w.ended++;
}
static const struct gr_rollout_ops ops = {.verified = op_verified,
                                          .admit = op_admit,
                                          .stage = op_stage,
                                          .unstage = op_unstage,
                                          .swap = op_swap,
                                          .commit = op_commit,
                                          .release = op_release,
                                          .sample = op_sample,
                                          .history = op_history,
                                          .can_stage = op_can_stage,
                                          .changed = op_changed,
                                          .noted = op_noted,
                                          .ended = op_ended,
                                          .now = op_now};
static struct gr_rollout_env env;

static void says(enum gr_resolve_verdict verdict, enum gr_reason reason, const char *sentence)
{
    w.verdict = verdict;
    w.culprit = SIZE_MAX;
    w.why = (struct gr_error){0};
    if (sentence)
        gr_error_set(&w.why, -EAGAIN, reason, "%s", sentence);
}
static void says_wait(const char *sentence)
{
    says(GR_RESOLVE_WAIT, GR_REASON_UPGRADE_LOCK_INCOMPLETE, sentence);
}

static int enter_world(void **state)
{
    (void)state;
    w = (struct world){.now = 1000 * SEC};
    n_verifications = 0;
    says_wait("pay waits for auth.");
    strcpy(w.dir, "/tmp/grayling-wait-XXXXXX");
    if (!mkdtemp(w.dir) || sd_event_new(&w.event) < 0 ||
        gr_journal_open(w.dir, &w.journal, NULL) < 0)
        return -1;
    env = (struct gr_rollout_env){.event = w.event, .journal = w.journal, .ops = &ops};
    return 0;
}

static int leave_world(void **state)
{
    (void)state;
    gr_journal_close(w.journal);
    sd_event_unref(w.event);
    DIR *d = opendir(w.dir);
    for (struct dirent *de; d && (de = readdir(d));)
        unlinkat(dirfd(d), de->d_name, 0);
    if (d)
        closedir(d);
    assert_int_equal(verified_alive, 0);
    return rmdir(w.dir);
}

// --- what tests do
// ---------------------------------------------------------------------------------

static struct gr_desired *document(const char *module, int64_t revision, const char *version,
                                   const char *strategy)
{
    char text[1024];
    struct gr_name name;
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_name_parse(module, strlen(module), &name), 0);
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"sha256:%064x\",\"source\":"
             "\"https://a.example/x.so\",\"strategy\":%s}",
             version, version[0], strategy);
    if (gr_desired_parse(&name, revision, text, strlen(text), &d, &e) < 0)
        fail_msg("%s", e.message);
    return d;
}

// 1.0.0 is in force, and 2.0.0 is wished; strategy NULL: the module is to go.
static struct gr_rollout *rollout(const char *module, int64_t id, const char *strategy)
{
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *to = strategy ? document(module, id, "2.0.0", strategy) : NULL;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *from = document(module, 1, "1.0.0", "{}");
    struct gr_plan_item item = {.kind = strategy ? GR_PLAN_REPLACE : GR_PLAN_REMOVE,
                                .module = from->module,
                                .to = to,
                                .from = from};
    struct gr_plan plan = {.rollout = id, .n = 1, .items = &item};
    struct gr_rollout *r = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_rollout_new(&env, &plan, 0, &r, &e), 0);
    return r;
}
#define AUTO_ROLLOUT GR_CLEANUP(gr_rollout_freep)
static void gr_rollout_freep(struct gr_rollout **r)
{
    gr_rollout_free(*r);
}

// Begun, verified and asked for its admission.
static struct gr_rollout *waiting(const char *module, int64_t id, const char *strategy)
{
    n_verifications = 0;
    struct gr_rollout *r = rollout(module, id, strategy);
    gr_rollout_begin(r);
    for (size_t i = 0; i < n_verifications; i++) {
        struct gr_verify_callbacks cb = verifications[i].cb;
        verified_alive++;
        cb.done(cb.userdata, calloc(1, sizeof(struct gr_verified)), NULL);
    }
    n_verifications = 0;
    return r;
}

static void assert_at(struct gr_rollout *r, enum gr_phase p, enum gr_reason reason)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    if (row->phase != p || row->reason != reason)
        fail_msg("expected %s %s, found %s %s: %s", gr_phase_name(p), gr_reason_name(reason),
                 gr_phase_name(row->phase), gr_reason_name(row->reason), row->message);
}
static void assert_says(struct gr_rollout *r, const char *part)
{
    if (!strstr(gr_rollout_row(r)->message, part))
        fail_msg("expected \"%s\" in \"%s\"", part, gr_rollout_row(r)->message);
}
static enum gr_phase journaled(int64_t id)
{
    enum gr_phase p = GR_PHASE_COUNT;
    assert_int_equal(gr_journal_find_rollout(w.journal, id, &p, NULL), 1);
    return p;
}

// --- waiting -------------------------------------------------------------------------------------

static void it_waits_in_pending_and_goes_on_when_admitted(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, "{\"bake\":\"1s\"}");
    assert_at(r, GR_PHASE_PENDING, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
    assert_says(r, "pay waits for auth.");
    assert_true(gr_rollout_is_awaiting(r));
    assert_int_equal(journaled(7), GR_PHASE_PENDING);
    gr_rollout_begin(r);        // whoever looks for what may begin
    gr_rollout_worker_ready(r); // ... or has a worker
    assert_int_equal(w.asked, 1);
    assert_int_equal(w.staged, 0);
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    gr_rollout_reconsider(r);
    assert_at(r, GR_PHASE_VERIFYING, GR_REASON_NONE);
    assert_false(gr_rollout_is_awaiting(r));
    assert_int_equal(w.staged, 1);
    gr_rollout_staged(r, 0, 3, NULL);
    gr_rollout_answered(r, NULL);
    assert_at(r, GR_PHASE_BAKING, GR_REASON_NONE);
    gr_rollout_reconsider(r); // nothing waits any more
    assert_int_equal(w.asked, 2);
}

static void what_it_waits_for_is_told_when_it_changes(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, "{}");
    unsigned told = w.changed;
    gr_rollout_reconsider(r);
    assert_int_equal(w.changed, told);
    says_wait("pay waits for shop.");
    gr_rollout_reconsider(r);
    assert_int_equal(w.changed, told + 1);
    assert_says(r, "pay waits for shop.");
    assert_at(r, GR_PHASE_PENDING, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
}

static void the_deadline_refuses_it(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, "{\"deadline\":\"30m\"}");
    w.now += 1799 * SEC;
    gr_rollout_tick(r);
    assert_at(r, GR_PHASE_PENDING, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
    w.now += SEC;
    gr_rollout_tick(r);
    assert_at(r, GR_PHASE_REJECTED, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
    assert_says(r, "pay waits for auth.");
    assert_says(r, "deadline");
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.staged, 0);
    assert_int_equal(journaled(7), GR_PHASE_REJECTED);
}

static void a_refusal_names_the_one_to_blame(void **state)
{
    (void)state;
    says(GR_RESOLVE_REFUSE, GR_REASON_DEPENDENCY_MISSING, "nobody provides com.example.Ledger.");
    w.culprit = 0;
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, "{}");
    assert_at(r, GR_PHASE_REJECTED, GR_REASON_DEPENDENCY_MISSING);
    assert_int_equal(gr_rollout_row(r)->members[0].reason, GR_REASON_DEPENDENCY_MISSING);
    AUTO_ROLLOUT struct gr_rollout *late = NULL;
    says_wait("shop waits for auth.");
    late = waiting("shop", 8, "{}");
    says(GR_RESOLVE_REFUSE, GR_REASON_CONTRACT_INCOMPATIBLE, "auth is of another kind now.");
    gr_rollout_reconsider(late);
    assert_at(late, GR_PHASE_REJECTED, GR_REASON_CONTRACT_INCOMPATIBLE);
}

static void a_person_or_a_newer_one_ends_it(void **state)
{
    (void)state;
    struct gr_order o = {.verb = GR_ORDER_PROMOTE, .rollout = 7, .step = 0};
    struct gr_error e = {0};
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, "{}"), *other = waiting("shop", 8, "{}");
    assert_int_equal(gr_rollout_steer(r, &o, &e), -EPERM);
    assert_non_null(strstr(e.message, "pay waits for auth."));
    o.verb = GR_ORDER_ABORT;
    assert_int_equal(gr_rollout_steer(r, &o, &e), 0);
    assert_at(r, GR_PHASE_REJECTED, GR_REASON_OPERATOR_ABORT);
    gr_rollout_supersede(other, 9);
    assert_at(other, GR_PHASE_SUPERSEDED, GR_REASON_NONE);
    gr_rollout_reconsider(other); // which has ended
    assert_int_equal(w.asked, 2);
}

static void a_removal_waits_too(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *r = waiting("pay", 7, NULL);
    assert_at(r, GR_PHASE_PENDING, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
    assert_int_equal(journaled(7), GR_PHASE_PENDING);
    assert_int_equal(w.swapped, 0);
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    gr_rollout_reconsider(r);
    assert_at(r, GR_PHASE_STAGED, GR_REASON_NONE);
    assert_int_equal(w.swapped, 1);
}

// --- together ------------------------------------------------------------------------------------

// auth's own rollout takes along what pay's waited with.
static struct gr_rollout *join(struct gr_rollout *older, const char *strategy)
{
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    w.takes = older;
    return waiting("auth", 9, strategy);
}

static void the_newer_one_takes_the_older_along(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *older =
        waiting("pay", 7, "{\"deadline\":\"2h\",\"bake\":\"1s\"}");
    w.now += 60 * SEC;
    AUTO_ROLLOUT struct gr_rollout *r = join(older, "{\"deadline\":\"1h\",\"bake\":\"1s\"}");
    const struct gr_rollout_row *row = gr_rollout_row(r);
    assert_int_equal(gr_rollout_row(older)->phase, GR_PHASE_SUPERSEDED);
    assert_int_equal(journaled(7), GR_PHASE_SUPERSEDED);
    assert_non_null(strstr(gr_rollout_row(older)->message, "9"));
    assert_int_equal(row->n, 2);
    assert_string_equal(row->members[0].module.s, "auth"); // sorted, as every rollout is
    assert_string_equal(row->members[1].module.s, "pay");
    assert_string_equal(row->members[1].to->version.text, "2.0.0");
    assert_string_equal(row->members[1].from->version.text, "1.0.0");
    assert_int_equal(gr_rollout_revision(r, 0), 9);
    assert_int_equal(gr_rollout_revision(r, 1), 7);
    assert_true(gr_rollout_left(r).deadline_usec == 7140 * SEC);
    assert_int_equal(w.staged, 1);
    gr_rollout_staged(r, 0, 3, NULL);
    assert_int_equal(w.staged, 2);
    assert_int_equal(w.swapped, 0);
    gr_rollout_staged(r, 1, 4, NULL);
    assert_int_equal(w.swapped, 1); // both in one
    gr_rollout_answered(r, NULL);
    assert_at(r, GR_PHASE_BAKING, GR_REASON_NONE);
    w.now += SEC;
    gr_rollout_tick(r);
    assert_at(r, GR_PHASE_HEALTHY, GR_REASON_NONE);
}

static void one_that_fails_takes_all_of_them_back(void **state)
{
    (void)state;
    struct gr_error e = {.code = -EINVAL, .reason = GR_REASON_INIT_FAILED, .message = "no key."};
    AUTO_ROLLOUT struct gr_rollout *older = waiting("pay", 7, "{}"), *r = join(older, "{}");
    gr_rollout_staged(r, 0, 3, NULL);
    gr_rollout_staged(r, 1, -1, &e);
    assert_at(r, GR_PHASE_ROLLED_BACK, GR_REASON_INIT_FAILED);
    assert_int_equal(gr_rollout_row(r)->members[0].reason, GR_REASON_NONE);
    assert_int_equal(gr_rollout_row(r)->members[1].reason, GR_REASON_INIT_FAILED);
    assert_int_equal(w.swapped, 0);
}

static void taken_along_it_may_still_have_to_wait(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *first = waiting("pay", 7, "{}"), *second = NULL;
    says_wait("auth and pay wait for shop.");
    w.takes = first;
    second = waiting("auth", 9, "{}");
    assert_at(second, GR_PHASE_PENDING, GR_REASON_UPGRADE_LOCK_INCOMPLETE);
    assert_int_equal(gr_rollout_row(second)->n, 2);
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    w.takes = second;
    AUTO_ROLLOUT struct gr_rollout *third = waiting("shop", 11, "{}");
    assert_int_equal(gr_rollout_row(third)->n, 3);
    assert_int_equal(w.staged, 1);
    assert_int_equal(gr_rollout_row(second)->phase, GR_PHASE_SUPERSEDED);
}

static void a_newer_one_that_waits_takes_along_what_came_late(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *newer = waiting("auth", 9, "{}"),
                                   *older = waiting("pay", 7, "{}");
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    w.takes = older;
    gr_rollout_reconsider(newer);
    assert_at(newer, GR_PHASE_VERIFYING, GR_REASON_NONE);
    assert_int_equal(w.staged, 1);
    assert_int_equal(gr_rollout_row(older)->phase, GR_PHASE_SUPERSEDED);
}

// auth, pay and shop: pay first, then auth, and shop last.
static struct gr_rollout *three_in_order(void)
{
    struct gr_rollout *first = waiting("pay", 7, "{}"), *second;
    w.takes = first;
    second = waiting("auth", 9, "{}");
    gr_rollout_free(first);
    says(GR_RESOLVE_GO, GR_REASON_NONE, NULL);
    w.takes = second;
    w.n_order = 3;
    w.order[0] = 1, w.order[1] = 0, w.order[2] = 2;
    struct gr_rollout *third = waiting("shop", 11, "{}");
    gr_rollout_free(second);
    return third;
}

static void members_are_staged_one_after_the_other_in_the_order_of_the_admission(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *r = three_in_order();
    assert_true(gr_rollout_is_admitted(r));
    assert_string_equal(w.story, "+1");
    gr_rollout_staged(r, 1, 11, NULL);
    assert_string_equal(w.story, "+1+0");
    gr_rollout_staged(r, 0, 10, NULL);
    assert_string_equal(w.story, "+1+0+2");
    assert_int_equal(w.swapped, 0);
    gr_rollout_staged(r, 2, 12, NULL);
    assert_int_equal(w.swapped, 1);
}

static void who_needs_one_that_failed_is_not_staged_and_the_others_leave_in_reverse(void **state)
{
    (void)state;
    struct gr_error e = {.code = -EINVAL, .reason = GR_REASON_INIT_FAILED, .message = "no key."};
    AUTO_ROLLOUT struct gr_rollout *r = three_in_order();
    gr_rollout_staged(r, 1, 11, NULL);
    gr_rollout_staged(r, 0, 10, NULL);
    gr_rollout_staged(r, 2, -1, &e);
    assert_string_equal(w.story, "+1+0+2-10-11");
    assert_at(r, GR_PHASE_ROLLED_BACK, GR_REASON_INIT_FAILED);
}

static void a_lost_worker_has_all_of_them_staged_again(void **state)
{
    (void)state;
    struct gr_error gone = {.code = -ECONNRESET, .reason = GR_REASON_INTERNAL, .message = "gone."};
    AUTO_ROLLOUT struct gr_rollout *r = three_in_order();
    gr_rollout_staged(r, 1, 11, NULL);
    gr_rollout_staged(r, 0, -1, &gone);
    assert_int_equal(gr_rollout_slot(r, 1), -1); // it went along
    gr_rollout_worker_ready(r);
    assert_string_equal(w.story, "+1+0+1");
}

static void removals_go_together(void **state)
{
    (void)state;
    AUTO_ROLLOUT struct gr_rollout *older = waiting("pay", 7, NULL), *r = join(older, NULL);
    assert_at(r, GR_PHASE_STAGED, GR_REASON_NONE);
    assert_int_equal(gr_rollout_row(r)->n, 2);
    assert_int_equal(w.swapped, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter_world, leave_world)
    const struct CMUnitTest tests[] = {
        T(it_waits_in_pending_and_goes_on_when_admitted),
        T(what_it_waits_for_is_told_when_it_changes),
        T(the_deadline_refuses_it),
        T(a_refusal_names_the_one_to_blame),
        T(a_person_or_a_newer_one_ends_it),
        T(a_removal_waits_too),
        T(the_newer_one_takes_the_older_along),
        T(one_that_fails_takes_all_of_them_back),
        T(taken_along_it_may_still_have_to_wait),
        T(a_newer_one_that_waits_takes_along_what_came_late),
        T(members_are_staged_one_after_the_other_in_the_order_of_the_admission),
        T(who_needs_one_that_failed_is_not_staged_and_the_others_leave_in_reverse),
        T(a_lost_worker_has_all_of_them_staged_again),
        T(removals_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
