// A batch that failed: the guilty member is told its own sentence, the innocent one who failed.
#include "state/blame.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_rollout_member members[2];
static struct gr_rollout_row row;

static int batch(void **state)
{
    (void)state;
    memset(members, 0, sizeof members);
    members[0].module = (struct gr_name){"auth"};
    members[1].module = (struct gr_name){"pay"};
    members[1].reason = GR_REASON_DIGEST_MISMATCH;
    snprintf(members[1].message, GR_MESSAGE_MAX, "other bytes came");
    row = (struct gr_rollout_row){
        .phase = GR_PHASE_REJECTED, .reason = members[1].reason, .n = 2, .members = members};
    snprintf(row.message, sizeof row.message, "of the batch");
    return 0;
}

static void each_member_is_told_its_part(void **state)
{
    (void)state;
    char buf[GR_MESSAGE_MAX];
    assert_string_equal(gr_rollout_row_sentence(&row, 1, buf), "other bytes came");
    const char *innocent = gr_rollout_row_sentence(&row, 0, buf);
    static const char *const told[] = {
        "nothing was found wrong with auth", "because pay of the same transaction failed",
        "Mend pay, or write auth alone", "(DigestMismatch): other bytes came"};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (!strstr(innocent, told[i]))
            fail_msg("\"%s\" lacks \"%s\"", innocent, told[i]);
}

static void where_nobody_failed_the_row_speaks(void **state)
{
    (void)state;
    char buf[GR_MESSAGE_MAX];
    row.phase = GR_PHASE_HEALTHY;
    assert_string_equal(gr_rollout_row_sentence(&row, 0, buf), "of the batch");
    row.phase = GR_PHASE_ROLLED_BACK;
    members[1].reason = GR_REASON_NONE;
    assert_string_equal(gr_rollout_row_sentence(&row, 0, buf), "of the batch");
}

static void the_way_out_is_never_cut_off(void **state)
{
    (void)state;
    char buf[GR_MESSAGE_MAX];
    for (size_t i = 0; i + 2 < GR_MESSAGE_MAX; i += 2)
        memcpy(members[1].message + i, "\xc3\xa4", 2);
    members[1].message[GR_MESSAGE_MAX - 2] = '\0';
    const char *innocent = gr_rollout_row_sentence(&row, 0, buf);
    size_t len = strlen(innocent);
    assert_non_null(strstr(innocent, "write auth alone"));
    assert_true(len >= GR_MESSAGE_MAX - 2);
    assert_memory_equal(innocent + len - 2, "\xc3\xa4", 2); // no half character at the end
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_member_is_told_its_part, batch),
        cmocka_unit_test_setup(where_nobody_failed_the_row_speaks, batch),
        cmocka_unit_test_setup(the_way_out_is_never_cut_off, batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
