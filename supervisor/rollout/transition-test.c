// Walks every (phase, event) pair: what is listed leads where it says, everything else is refused,
// and nothing leaves a terminal phase.
#include "rollout/transition.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void every_pair_is_listed_or_refused(void **state)
{
    (void)state;
    unsigned listed = 0;
    for (unsigned p = 0; p < GR_PHASE_COUNT; p++)
        for (unsigned ev = 0; ev < GR_ROLLOUT_EVENT_COUNT; ev++) {
            enum gr_phase next = GR_PHASE_COUNT;
            int r = gr_transition((enum gr_phase)p, (enum gr_rollout_event)ev, &next);
            if (r == 0) {
                listed++;
                assert_true(next < GR_PHASE_COUNT);
                assert_int_not_equal(next, p);
                assert_false(gr_phase_is_terminal((enum gr_phase)p));
            } else {
                assert_int_equal(r, -EPERM);
                assert_int_equal(next, GR_PHASE_COUNT); // untouched
            }
        }
    assert_int_equal(listed, 32);
}

static bool reaches_terminal(enum gr_phase from, unsigned depth)
{
    if (gr_phase_is_terminal(from))
        return true;
    for (unsigned ev = 0; depth && ev < GR_ROLLOUT_EVENT_COUNT; ev++) {
        enum gr_phase next;
        if (gr_transition(from, (enum gr_rollout_event)ev, &next) == 0 &&
            reaches_terminal(next, depth - 1))
            return true;
    }
    return false;
}

static void every_life_can_end(void **state)
{
    (void)state;
    for (unsigned p = 0; p < GR_PHASE_COUNT; p++)
        assert_true(reaches_terminal((enum gr_phase)p, GR_PHASE_COUNT));
}

static void serving_versions_are_never_just_refused(void **state)
{
    (void)state;
    enum gr_phase next;
    static const enum gr_phase seen[] = {GR_PHASE_PROGRESSING, GR_PHASE_PAUSED, GR_PHASE_BAKING};
    // once traffic saw it, the way out leads through RollingBack
    for (size_t i = 0; i < GR_COUNT(seen); i++) {
        assert_int_equal(gr_transition(seen[i], GR_ROLLOUT_REFUSE, &next), -EPERM);
        assert_int_equal(gr_transition(seen[i], GR_ROLLOUT_FAIL, &next), 0);
        assert_int_equal(next, GR_PHASE_ROLLING_BACK);
        assert_int_equal(gr_transition(seen[i], GR_ROLLOUT_SUPERSEDE, &next), 0);
        assert_int_equal(next, GR_PHASE_ROLLING_BACK);
    }
}

static void what_is_paused_never_comes_into_force(void **state)
{
    (void)state;
    enum gr_phase next;
    assert_int_equal(gr_transition(GR_PHASE_PAUSED, GR_ROLLOUT_SWAPPED, &next), -EPERM);
    assert_int_equal(gr_transition(GR_PHASE_PAUSED, GR_ROLLOUT_BAKED, &next), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_is_listed_or_refused),
        cmocka_unit_test(every_life_can_end),
        cmocka_unit_test(serving_versions_are_never_just_refused),
        cmocka_unit_test(what_is_paused_never_comes_into_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
