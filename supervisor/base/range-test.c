// Ranges: every form that node-semver's documentation lists, its examples, the prerelease rule, and
// what is refused.
#include "base/range.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// Versions separated by blanks.
static const struct {
    const char *range, *inside, *outside;
} table[] = {
    // comparators, alone, joined by blanks (all hold) and by || (one holds)
    {">=1.2.7", "1.2.7 1.2.8 2.5.3 1.3.9", "1.2.6 1.1.0 1.2.7-rc.1"},
    {">1.2.7", "1.2.8 2.0.0", "1.2.7 1.2.7+build 0.9.0"},
    {"<1.2.7", "1.2.6 0.0.0", "1.2.7 1.2.7-rc.1 2.0.0"},
    {"<=1.2.7", "1.2.7 1.2.6 1.2.7+build", "1.2.8 1.2.7-rc.1"},
    {"=1.2.7", "1.2.7 1.2.7+build", "1.2.6 1.2.8 1.2.7-rc.1"},
    {"1.2.7", "1.2.7 1.2.7+a.b", "1.2.6 1.2.8"},
    {">=1.2.7 <1.3.0", "1.2.7 1.2.8 1.2.99", "1.2.6 1.3.0 1.1.0"},
    {"1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0"},
    {"1.2 <1.2.9 || >2.0.0", "1.2.0 1.2.8 2.0.1", "1.2.9 1.2.10 2.0.0 1.1.9"},
    {">=1.0.0 <2.0.0 <1.5.0", "1.0.0 1.4.9", "1.5.0 1.9.0"},
    {">1.0.0 <1.0.0", "", "1.0.0 0.9.9 1.0.1"},
    {"1.2.3 1.2.4", "", "1.2.3 1.2.4"},
    {"0.1.2||1.2.4", "0.1.2 1.2.4", "0.1.3 1.2.3"},
    {"  1.2.3  ||  2.x  ", "1.2.3 2.9.9", "1.2.4 3.0.0"},
    // blanks behind an operator
    {">= 1.2.3", "1.2.3 2.0.0", "1.2.2"},
    {"< 2  >  1.1", "1.2.0 1.9.9", "1.1.5 2.0.0"},
    {"^ 1.2", "1.2.0 1.9.0", "2.0.0"},
    {"~   1.2.3", "1.2.3 1.2.9", "1.3.0"},
    // comparators of versions that are left open
    {">1", "2.0.0 3.1.0", "1.0.0 1.9.9 2.0.0-rc.1"},
    {">1.2", "1.3.0 2.0.0", "1.2.0 1.2.9"},
    {">=1", "1.0.0 9.0.0", "0.9.9 1.0.0-rc.1"},
    {">=1.2", "1.2.0 2.0.0", "1.1.9"},
    {">=1.x.x", "1.0.0", "0.9.9"},
    {"<1", "0.9.9", "1.0.0 1.0.0-rc.1"},
    {"<1.2", "1.1.9 0.0.0", "1.2.0 1.2.0-alpha"},
    {"<=1", "1.9.9 0.0.1", "2.0.0 2.0.0-rc.1"},
    {"<=1.2", "1.2.9 1.0.0", "1.3.0 1.3.0-rc.1"},
    {"<=0.7.x", "0.7.2 0.6.2", "0.8.0"},
    {"=1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"},
    {"=0.7.x", "0.7.0 0.7.9", "0.8.0 0.6.9"},
    {">*", "", "0.0.0 1.0.0"},
    {"<*", "", "0.0.0 0.0.0-0 1.0.0"},
    {"<X || 1", "1.0.0", "2.0.0 0.0.0"},
    {">=*", "0.0.0 1.0.0", "1.0.0-rc.1"},
    {"<=x", "0.0.0 1.0.0", "1.0.0-rc.1"},
    // hyphen ranges
    {"1.2.3 - 2.3.4", "1.2.3 2.3.4 2.0.0", "1.2.2 2.3.5 2.3.4-rc.1"},
    {"1.2 - 2.3.4", "1.2.0 2.3.4", "1.1.9 2.3.5"},
    {"1.2.3 - 2.3", "1.2.3 2.3.99", "2.4.0 2.4.0-rc.1"},
    {"1.2.3 - 2", "1.2.3 2.99.0", "3.0.0 3.0.0-rc.1"},
    {"1 - 2", "1.0.0 2.9.9", "0.9.9 3.0.0"},
    {"* - 2.1", "0.0.0 2.1.9", "2.2.0"},
    {"1.2 - *", "1.2.0 99.0.0", "1.1.9"},
    {"1.2.3-beta - 2.0.0", "1.2.3-beta 1.2.3-rc 1.2.3 2.0.0", "1.2.3-alpha 2.0.0-rc 2.0.1"},
    {"1.0.0 - 2.0.0-beta", "1.0.0 1.9.9 2.0.0-beta 2.0.0-alpha", "2.0.0-rc 2.0.0 1.0.0-rc"},
    {"1.0.0+a - 2.0.0+b", "1.0.0 2.0.0 2.0.0+c", "2.0.1"},
    {"1.2.3   -   1.2.5 || 3", "1.2.4 3.1.0", "1.2.6 2.0.0"},
    // x-ranges
    {"", "0.0.0 1.2.3", "1.2.3-rc.1"},
    {"*", "0.0.0 1.2.3 1.2.3+b", "1.2.3-rc.1 0.0.0-0"},
    {"x", "9.9.9", "9.9.9-9"},
    {"X.X.X", "1.2.3", ""},
    {"1", "1.0.0 1.9.9", "0.9.9 2.0.0 2.0.0-rc.1 1.0.0-rc.1"},
    {"1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"},
    {"1.X.*", "1.0.0 1.9.9", "2.0.0"},
    {"1.2", "1.2.0 1.2.9", "1.1.9 1.3.0 1.3.0-rc.1"},
    {"1.2.x", "1.2.0 1.2.9", "1.3.0"},
    {"1.2.*", "1.2.0 1.2.9", "1.3.0"},
    {"0", "0.0.0 0.9.9", "1.0.0"},
    {"0.0", "0.0.0 0.0.9", "0.1.0"},
    {"1.2.x-beta", "1.2.0 1.2.9", "1.2.0-rc 1.3.0"},
    {"* 1.x", "1.0.0", "2.0.0"},
    {"1.x || >=2.5.0 || 5.0.0 - 7.2.3", "1.2.3 2.5.0 6.0.0 9.0.0", "2.4.9 0.1.0"},
    // tilde ranges
    {"~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 1.3.0-rc.1 1.2.3-rc.1"},
    {"~1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"},
    {"~1", "1.0.0 1.9.9", "0.9.9 2.0.0"},
    {"~0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"},
    {"~0.2", "0.2.0 0.2.9", "0.3.0"},
    {"~0", "0.0.0 0.9.9", "1.0.0"},
    {"~1.x", "1.0.0 1.9.9", "2.0.0"},
    {"~*", "0.0.0 5.0.0", "5.0.0-rc.1"},
    {"~1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.2.4",
     "1.2.3-beta.1 1.2.4-beta.2 1.3.0 1.3.0-beta.3"},
    // caret ranges
    {"^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0 2.0.0-rc.1 1.2.3-rc.1 1.3.0-rc.1"},
    {"^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"},
    {"^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"},
    {"^0.0.0", "0.0.0", "0.0.1"},
    {"^1.2.x", "1.2.0 1.9.9", "1.1.9 2.0.0"},
    {"^0.0.x", "0.0.0 0.0.9", "0.1.0"},
    {"^0.0", "0.0.0 0.0.9", "0.1.0"},
    {"^0.1", "0.1.0 0.1.9", "0.0.9 0.2.0"},
    {"^1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"},
    {"^0.x", "0.0.0 0.9.9", "1.0.0"},
    {"^0", "0.0.0 0.9.9", "1.0.0"},
    {"^2", "2.0.0 2.9.9", "1.9.9 3.0.0"},
    {"^x", "0.0.0 5.0.0", "5.0.0-rc.1"},
    {"^1.2.3+build", "1.2.3 1.3.0", "1.2.2 2.0.0"},
    {"^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3-rc 1.2.3 1.9.0",
     "1.2.3-beta.1 1.2.4-beta.2 2.0.0 2.0.0-beta.2"},
    {"^0.0.3-beta", "0.0.3-beta 0.0.3-pr.2 0.0.3", "0.0.3-alpha 0.0.4 0.0.4-beta"},
    {"^0.2.3-beta", "0.2.3-beta 0.2.9", "0.3.0 0.2.4-beta"},
    // the prerelease rule: some comparator of the set names a prerelease of the same three numbers
    {">1.2.3-alpha.3", "1.2.3-alpha.7 1.2.3 3.4.5", "3.4.5-alpha.9 1.2.3-alpha.3 1.2.3-alpha.2"},
    {"<2.0.0-rc.1", "1.9.9 2.0.0-rc.0 2.0.0-alpha", "2.0.0-rc.1 2.0.0 1.9.9-rc.1"},
    {"<=2.0.0-rc.1", "2.0.0-rc.1 2.0.0-beta", "2.0.0-rc.2 2.0.0"},
    {"1.2.3-beta", "1.2.3-beta 1.2.3-beta+b", "1.2.3 1.2.3-rc"},
    {">=1.2.3-a <1.2.3-c", "1.2.3-a 1.2.3-b", "1.2.3-c 1.2.3"},
    {">=1.0.0-a >=1.0.0", "1.0.0", "1.0.0-b"}, // both must hold
    {">=1.0.0 <2.0.0-rc", "1.0.0 2.0.0-beta", "1.0.0-rc 1.5.0-beta 2.0.0-rc"},
    {"^1.0.0 || 2.0.0-rc.1", "1.5.0 2.0.0-rc.1", "2.0.0-rc.2 2.0.0 1.5.0-rc.1"},
    {">=0.0.0-0", "0.0.0-0 0.0.0-a 0.0.0 3.0.0", "0.0.1-a 3.0.0-a"},
    {"1.0.0-9 || 1.0.0-10", "1.0.0-9 1.0.0-10", "1.0.0-1 1.0.0-100"},
    {">1.0.0-9", "1.0.0-10 1.0.0-a", "1.0.0-8 1.0.0-9"},
    {">1.0.0-a.b|| 9", "1.0.0-a.b.c 1.0.0-b 9.0.0", "1.0.0-a 1.0.0-a.a"},
    {">=1.0.0-a || *", "1.0.0", "1.0.0-a"}, // "*" swallows the others, as in node-semver
    {">=1.0.0-a || >=0.0.0", "1.0.0", "1.0.0-a"},
    // large numbers
    {"^9007199254740990", "9007199254740990.1.0", "9007199254740991.0.0"},
};

static void expect(const char *range, const char *versions, bool inside)
{
    struct gr_range r;
    struct gr_error e = {0};
    char copy[256], *save = NULL;
    if (gr_range_parse(range, &r, &e) < 0)
        fail_msg("%s", e.message);
    assert_string_equal(r.text, range);
    assert_true(strlen(versions) < sizeof copy);
    strcpy(copy, versions);
    for (char *v = strtok_r(copy, " ", &save); v; v = strtok_r(NULL, " ", &save)) {
        struct gr_version version;
        assert_int_equal(gr_version_parse(v, &version), 0);
        if (gr_range_matches(&r, &version) != inside)
            fail_msg("%s is expected %s \"%s\"", v, inside ? "inside" : "outside", range);
    }
}

static void the_documented_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(table); i++) {
        expect(table[i].range, table[i].inside, true);
        expect(table[i].range, table[i].outside, false);
    }
}

static void malformed_ranges_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *range, *sentence;
    } bad[] = {
        {"latest", "expected a number, x or * at \"latest\""},
        {"v1.2.3", "expected a number, x or * at \"v1.2.3\""},
        {"~>1.2", "expected a number, x or * at \">1.2\""},
        {"==1.2.3", "expected a number, x or * at \"=1.2.3\""},
        {"=>1.2.3", "expected a number"},
        {"> =1.2.3", "expected a number, x or * at \"=1.2.3\""},
        {"^^1", "expected a number"},
        {"^", "expected a number, x or * at its end"},
        {">=", "expected a number, x or * at its end"},
        {"1.", "expected a number, x or * at its end"},
        {"1..2", "expected a number, x or * at \".2\""},
        {"1.2.3.4", "expected a blank or || at \".4\""},
        {"01.2.3", "expected a version, or its beginning, at \"01.2.3\""},
        {"1.02", "expected a version, or its beginning, at \"1.02\""},
        {"1.2-beta", "expected a blank or || at \"-beta\""},
        {"1.2.3-", "expected a version, or its beginning,"},
        {"1.2.3-01", "expected a version, or its beginning,"},
        {"1.2.3-a..b", "expected a version, or its beginning,"},
        {"1.2.3+", "expected a version, or its beginning,"},
        {"1.2.3-b_ta", "expected a blank or || at \"_ta\""},
        {"1.x.3", "expected no number behind one that is left open at \"3\""},
        {"~x.1", "expected no number behind one that is left open at \"1\""},
        {"1 - 2.x.3", "expected no number behind one that is left open at \"3\""},
        {"*1", "expected a blank or || at \"1\""},
        {"xx", "expected a blank or || at \"x\""},
        {"1.2.3<2", "expected a blank or || at \"<2\""},
        {"1 | 2", "expected || at \"| 2\""},
        {"1 ||| 2", "expected || at \"| 2\""},
        {"1 && 2", "expected a number, x or *"},
        {"1, 2", "expected a blank or ||"},
        {"1 - 2 3", "expected nothing but || behind a range from - to at \"3\""},
        {"1 - 2 - 3", "expected nothing but ||"},
        {"1 -2", "expected a number, x or * at \"-2\""},
        {"1- 2", "expected a blank or || at \"- 2\""},
        {"1 - ^2", "expected a number, x or * at \"^2\""},
        {"^1 - 2", "expected a number, x or * at \"- 2\""},
        {"3 1 - 2", "expected a number, x or * at \"- 2\""},
        {"1\t2", "expected a blank or ||"},
        {"\n", "expected a number"},
        {"9007199254740993.0.0", "expected a version"},
        {"99999999999999999999999999", "expected a version"},
        {"1||1||1||1||1||1||1||1||1||1||1||1||1||1||1||1||1", "more than 32 comparators"},
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_range r;
        struct gr_error e = {0};
        int status = gr_range_parse(bad[i].range, &r, &e);
        if (status != -EINVAL || !strstr(e.message, bad[i].sentence))
            fail_msg("\"%s\": expected -EINVAL \"%s\", got %d \"%s\"", bad[i].range,
                     bad[i].sentence, status, e.message);
        assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
        assert_int_equal(gr_range_parse(bad[i].range, &r, NULL), -EINVAL);
    }
}

static void the_length_has_a_cap(void **state)
{
    (void)state;
    struct gr_range r;
    struct gr_error e = {0};
    char text[GR_RANGE_MAX + 2];
    memset(text, ' ', sizeof text);
    text[0] = '1';
    text[GR_RANGE_MAX] = '\0';
    assert_int_equal(gr_range_parse(text, &r, &e), 0);
    memset(text, '1', sizeof text);
    text[GR_RANGE_MAX] = '\0';
    assert_int_equal(gr_range_parse(text, &r, &e), -EINVAL); // a number of 127 digits
    text[GR_RANGE_MAX] = ' ';
    text[GR_RANGE_MAX + 1] = '\0';
    assert_int_equal(gr_range_parse(text, &r, &e), -EINVAL);
    assert_non_null(strstr(e.message, "of 128 characters: expected at most 127"));
}

static void a_zeroed_range_holds_nothing(void **state)
{
    (void)state;
    struct gr_range none = {0};
    struct gr_version v;
    assert_int_equal(gr_version_parse("1.0.0", &v), 0);
    assert_false(gr_range_matches(&none, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_forms),
        cmocka_unit_test(malformed_ranges_are_refused_with_their_place),
        cmocka_unit_test(the_length_has_a_cap),
        cmocka_unit_test(a_zeroed_range_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
