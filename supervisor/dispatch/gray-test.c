// The routing decision: exact shares, members that only join as a weight grows, rules in order, and
// what neither a strange header nor an unlucky pattern can do.
#include "base/macros.h"
#include "dispatch/gray.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SALT UINT64_C(0x0123456789abcdef)

static struct gr_gray *make(const struct gr_gray_spec *spec)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    if (gr_gray_new(spec, NULL, &g, &e) < 0)
        fail_msg("%s", e.message);
    return g;
}

static struct gr_gray *gray(unsigned weight, const char *sticky, const char *match)
{
    return make(&(struct gr_gray_spec){.rollout = 7,
                                       .salt = SALT,
                                       .weight_permyriad = weight,
                                       .sticky = sticky,
                                       .match_json = match});
}

static struct grayling_request request(const struct grayling_header *headers, uint32_t n)
{
    return (struct grayling_request){.struct_size = sizeof(struct grayling_request),
                                     .interface_name = "com.example.pay.PayService",
                                     .method_name = "Charge",
                                     .n_headers = n,
                                     .headers = headers};
}

// Decides a request with one header.
static bool decide(const struct gr_gray *g, const char *name, const char *value,
                   struct gr_gray_decision *ret)
{
    struct grayling_header h = {name, value};
    struct grayling_request q = request(&h, 1);
    return gr_gray_decide(g, &q, ret);
}

// --- turns -------------------------------------------------------------------------------------

// Over any window of n turns, wherever it begins, the candidate has n * weight to within one
// request: by prefix sums over two periods, every window up to a period is looked at by its
// extremes (the largest and the smallest deviation of a prefix).
static void test_every_weight_is_exact_over_every_window(void **state)
{
    (void)state;
    for (unsigned weight = 0; weight <= GR_GRAY_BUCKETS; weight++) {
        int64_t sum = 0, low = 0, high = 0; // deviation of the prefix, in 1/10000 of a request
        for (uint64_t i = 0; i < 2 * GR_GRAY_BUCKETS; i++) {
            sum += (gr_gray_is_turn(i, weight) ? GR_GRAY_BUCKETS : 0) - (int64_t)weight;
            low = sum < low ? sum : low;
            high = sum > high ? sum : high;
        }
        assert_int_equal(sum, 0);
        assert_true(high - low < GR_GRAY_BUCKETS); // hence no window deviates by a whole request
    }
}

static void test_windows_counted_one_by_one(void **state)
{
    (void)state;
    static const unsigned weights[] = {1, 25, 100, 333, 2500, 5000, 6667, 9999};
    static const unsigned windows[] = {1, 3, 7, 40, 100, 399, 1000};
    for (size_t w = 0; w < GR_COUNT(weights); w++)
        for (size_t n = 0; n < GR_COUNT(windows); n++)
            for (uint64_t from = 0; from < 3000; from += 7) {
                int64_t got = 0;
                for (uint64_t i = from; i < from + windows[n]; i++)
                    got += gr_gray_is_turn(UINT64_MAX / 2 + i, weights[w]);
                int64_t off = got * GR_GRAY_BUCKETS - (int64_t)windows[n] * weights[w];
                assert_true(off > -GR_GRAY_BUCKETS && off < GR_GRAY_BUCKETS);
            }
}

static void test_a_changed_weight_goes_on_with_the_turns(void **state)
{
    (void)state;
    GR_AUTO_GRAY struct gr_gray *a = gray(2500, NULL, NULL);
    unsigned hits = 0;
    for (int i = 0; i < 3; i++)
        hits += gr_gray_turn(a);
    assert_int_equal(hits, 0);
    struct gr_gray *b;
    struct gr_gray_spec spec = {.rollout = 7, .weight_permyriad = 2500};
    assert_int_equal(gr_gray_new(&spec, a, &b, NULL), 0);
    assert_true(gr_gray_turn(b)); // the fourth of four
    gr_gray_unref(a);
    a = NULL; // the turns outlive the gray that began them
    for (int i = 0; i < 4000; i++)
        hits += gr_gray_turn(b);
    assert_int_equal(hits, 1000);
    gr_gray_unref(b);
}

static void test_nobody_and_everybody(void **state)
{
    (void)state;
    GR_AUTO_GRAY struct gr_gray *none = gray(0, NULL, NULL), *all = gray(10000, NULL, NULL);
    for (int i = 0; i < 30000; i++) {
        assert_false(gr_gray_turn(none));
        assert_true(gr_gray_turn(all));
    }
}

// --- sticky keys -------------------------------------------------------------------------------

static void test_raising_adds_and_lowering_removes_the_newest(void **state)
{
    (void)state;
    static const unsigned weights[] = {1, 100, 2500, 5000, 10000};
    struct gr_gray *grays[GR_COUNT(weights)];
    for (size_t w = 0; w < GR_COUNT(weights); w++)
        grays[w] = gray(weights[w], "header:X-User-Id", NULL);
    unsigned members[GR_COUNT(weights)] = {0};
    for (int user = 0; user < 20000; user++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", user);
        int bucket = -1;
        for (size_t w = 0; w < GR_COUNT(weights); w++) {
            struct gr_gray_decision d;
            assert_true(decide(grays[w], "x-user-id", key, &d));
            assert_int_equal(d.rule, -1);
            assert_true(bucket < 0 || d.bucket == bucket); // the same at every weight
            bucket = d.bucket;
            // Membership is the bucket's rank, so who joined last leaves first.
            assert_int_equal(d.candidate, (unsigned)bucket < weights[w]);
            members[w] += d.candidate;
        }
    }
    assert_int_equal(members[4], 20000);
    // Five standard deviations of a binomial around 5000 of 20000; the keys are fixed.
    assert_true(fabs(members[2] - 5000.0) < 5 * sqrt(20000 * 0.25 * 0.75));
    for (size_t w = 0; w < GR_COUNT(weights); w++)
        gr_gray_unref(grays[w]);
}

static void test_the_salt_chooses_the_members(void **state)
{
    (void)state;
    for (int user = 0; user < 1000; user++) {
        char key[16];
        int len = snprintf(key, sizeof(key), "user-%d", user);
        assert_int_equal(gr_gray_bucket(SALT, key, (size_t)len),
                         gr_gray_bucket(SALT, key, (size_t)len));
    }
    // Written down once, so that a changed hash (other members after an upgrade) is noticed.
    assert_int_equal(gr_gray_bucket(0, "7", 1), 0x162a);
    assert_int_equal(gr_gray_bucket(SALT, "alice", 5), 0x3d3);
}

// Chi-square of independence over 10 x 10 cells (81 degrees of freedom): 0.1 % lies above 126.1.
static void test_two_rollouts_choose_independently(void **state)
{
    (void)state;
    enum { CELLS = 10, KEYS = 100000 };
    for (uint64_t seed = 1; seed <= 5; seed++) {
        unsigned both[CELLS][CELLS] = {0}, a[CELLS] = {0}, b[CELLS] = {0};
        for (int k = 0; k < KEYS; k++) {
            char key[24];
            size_t len = (size_t)snprintf(key, sizeof(key), "u%d", k);
            unsigned x = gr_gray_bucket(SALT + seed, key, len) * CELLS / GR_GRAY_BUCKETS;
            unsigned y = gr_gray_bucket(SALT * (seed + 1), key, len) * CELLS / GR_GRAY_BUCKETS;
            both[x][y]++, a[x]++, b[y]++;
        }
        double chi = 0;
        for (int x = 0; x < CELLS; x++)
            for (int y = 0; y < CELLS; y++) {
                double expected = (double)a[x] * b[y] / KEYS, off = both[x][y] - expected;
                chi += off * off / expected;
            }
        print_message("chi-square %.1f\n", chi);
        assert_true(chi < 126.1);
    }
}

// --- what a key is -----------------------------------------------------------------------------

static void expect_key(const char *sticky, const char *header, const char *value, const char *key)
{
    GR_AUTO_GRAY struct gr_gray *g = gray(5000, sticky, NULL);
    struct gr_gray_decision d;
    bool decided = decide(g, header, value, &d);
    if (decided != (key != NULL))
        fail_msg("%s, %s: %s: %s decided", sticky, header, value, decided ? "was" : "was not");
    int bucket = key ? (int)gr_gray_bucket(SALT, key, strlen(key)) : -1;
    if (d.bucket != bucket)
        fail_msg("%s, %s: %s: bucket %d, not that of %s", sticky, header, value, d.bucket, key);
}

static void test_keys(void **state)
{
    (void)state;
    static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const struct {
        const char *sticky, *header, *value, *key;
    } cases[] = {
        {"header:x-user-id", "x-user-id", "7", "7"},
        {"header:X-USER-ID", "x-user-id", " 7\t", "7"},
        {"header:x-user-id", "x-user", "7", NULL},
        {"header:x-user-id", "x-user-id", "", NULL},
        {"tenant", "x-tenant-id", "acme", "acme"},
        {"trace", "traceparent", parent, "0af7651916cd43dd8448eb211c80319c"},
        {"trace", "traceparent", "00-0af7651916cd43dd8448eb211c80319c", NULL},
        {"trace", "traceparent", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"trace", "traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01", NULL},
        {"trace", "traceparent", "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
         "0af7651916cd43dd8448eb211c80319c"},
        {"cookie:uid", "cookie", "uid=7", "7"},
        {"cookie:uid", "cookie", "a=1; uid=7; b=2", "7"},
        {"cookie:uid", "cookie", "a=1;uid=7", "7"},
        {"cookie:uid", "cookie", "a=1;  uid = 7 ;b", "7"},
        {"cookie:uid", "cookie", "uid=\"7\"", "7"},
        {"cookie:uid", "cookie", "uid=\"", "\""},
        {"cookie:uid", "cookie", "uid=a=b", "a=b"},
        {"cookie:uid", "cookie", "xuid=1; uidx=2; UID=3", NULL},
        {"cookie:uid", "cookie", "uid", NULL},
        {"cookie:uid", "cookie", "uid=", NULL},
        {"cookie:uid", "cookie", ";;=; =5", NULL},
        {"cookie:uid", "cookie", "uid=1; uid=2", "1"},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++)
        expect_key(cases[i].sticky, cases[i].header, cases[i].value, cases[i].key);
}

static void test_a_cookie_in_a_later_field(void **state)
{
    (void)state;
    const struct grayling_header fields[] = {
        {"cookie", "a=1"}, {"host", "uid=9"}, {"cookie", "b=2; uid=7"}};
    struct grayling_request q = request(fields, GR_COUNT(fields));
    GR_AUTO_GRAY struct gr_gray *g = gray(1, "cookie:uid", NULL);
    struct gr_gray_decision d;
    assert_true(gr_gray_decide(g, &q, &d));
    assert_int_equal(d.bucket, gr_gray_bucket(SALT, "7", 1));
}

// --- rules -------------------------------------------------------------------------------------

static int rule_for(const char *match, const char *header, const char *value, bool *ret_candidate)
{
    GR_AUTO_GRAY struct gr_gray *g = gray(0, NULL, match);
    struct gr_gray_decision d;
    bool decided = decide(g, header, value, &d);
    assert_int_equal(decided, d.rule >= 0);
    *ret_candidate = d.candidate;
    return d.rule;
}

static void test_every_subject_and_test(void **state)
{
    (void)state;
    static const struct {
        const char *match, *header, *value;
        bool fits;
    } cases[] = {
        {"[{\"header\":\"X-Canary\",\"exact\":\"1\"}]", "x-canary", "1", true},
        {"[{\"header\":\"x-canary\",\"exact\":\"1\"}]", "x-canary", "11", false},
        {"[{\"header\":\"x-canary\",\"exact\":\"\"}]", "x-canary", "", true},
        {"[{\"header\":\"x-canary\",\"exact\":\"\"}]", "x-other", "", false},
        {"[{\"header\":\"x-canary\",\"prefix\":\"te\"}]", "x-canary", "test", true},
        {"[{\"header\":\"x-canary\",\"prefix\":\"te\"}]", "x-canary", "t", false},
        {"[{\"header\":\"x-canary\",\"regex\":\"^[0-9]{2}$\"}]", "x-canary", "12", true},
        {"[{\"header\":\"x-canary\",\"regex\":\"^[0-9]{2}$\"}]", "x-canary", "123", false},
        {"[{\"header\":\"user-agent\",\"regex\":\"Android|iPhone\"}]", "user-agent",
         "Mozilla (Android 14)", true},
        {"[{\"header\":\"x\",\"regex\":\"(a)(b)(c)\"}]", "x", "abc", true},
        {"[{\"header\":\"x\",\"regex\":\"\\\\xff\"}]", "x", "\xff", true}, // bytes
        {"[{\"cookie\":\"beta\",\"exact\":\"yes\"}]", "cookie", "a=1; beta=yes", true},
        {"[{\"cookie\":\"beta\",\"prefix\":\"y\"}]", "cookie", "beta=no", false},
        {"[{\"cookie\":\"beta\",\"regex\":\"^(yes|on)$\"}]", "cookie", "beta=on", true},
        {"[{\"tenant\":true,\"exact\":\"acme\"}]", "x-tenant-id", "acme", true},
        {"[{\"tenant\":true,\"prefix\":\"acme-\"}]", "x-tenant-id", "acme-eu", true},
        {"[{\"tenant\":true,\"regex\":\"-eu$\"}]", "x-tenant-id", "acme-us", false},
        {"[{\"path\":true,\"exact\":\"/com.example.pay.PayService/Charge\"}]", "x", "", true},
        {"[{\"path\":true,\"prefix\":\"/com.example.pay.\"}]", "x", "", true},
        {"[{\"path\":true,\"regex\":\"/Refund$\"}]", "x", "", false},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        bool candidate;
        int rule = rule_for(cases[i].match, cases[i].header, cases[i].value, &candidate);
        if (rule != (cases[i].fits ? 0 : -1) || candidate != cases[i].fits)
            fail_msg("%s, %s: %s: rule %d", cases[i].match, cases[i].header, cases[i].value, rule);
    }
}

static void test_the_first_rule_wins_over_key_and_weight(void **state)
{
    (void)state;
    GR_AUTO_GRAY struct gr_gray *g =
        gray(10000, "header:x-user-id",
             "[{\"header\":\"x-user-id\",\"exact\":\"7\",\"to\":\"stable\"},"
             "{\"header\":\"x-user-id\",\"prefix\":\"7\",\"to\":\"candidate\"},"
             "{\"path\":true,\"prefix\":\"/other\",\"to\":\"stable\"}]");
    struct gr_gray_decision d;
    assert_true(decide(g, "x-user-id", "7", &d));
    assert_true(d.rule == 0 && !d.candidate && d.bucket == -1);
    assert_true(decide(g, "x-user-id", "77", &d));
    assert_true(d.rule == 1 && d.candidate);
    assert_true(decide(g, "x-user-id", "8", &d));
    assert_true(d.rule == -1 && d.candidate && d.bucket >= 0);
    assert_false(decide(g, "x-other", "8", &d));
    GR_AUTO_GRAY struct gr_gray *nobody =
        gray(0, NULL, "[{\"header\":\"x-canary\",\"exact\":\"1\"}]");
    assert_true(decide(nobody, "x-canary", "1", &d) && d.candidate); // at weight 0 too
}

static void test_every_field_of_a_name_is_tried(void **state)
{
    (void)state;
    const struct grayling_header fields[] = {{"x-group", "a"}, {"x-group", "b"}};
    struct grayling_request q = request(fields, GR_COUNT(fields));
    GR_AUTO_GRAY struct gr_gray *g = gray(0, NULL, "[{\"header\":\"x-group\",\"exact\":\"b\"}]");
    struct gr_gray_decision d;
    assert_true(gr_gray_decide(g, &q, &d) && d.candidate);
}

// --- bounds ------------------------------------------------------------------------------------

static void expect_given_up(const char *pattern, const char *value)
{
    char match[512];
    snprintf(match, sizeof(match), "[{\"header\":\"x\",\"regex\":\"%s\"}]", pattern);
    GR_AUTO_GRAY struct gr_gray *g = gray(10000, NULL, match);
    struct gr_gray_decision d;
    assert_false(decide(g, "x", value, &d)); // no match, so the weight decides
    if (d.given_up != 1)
        fail_msg("%s: given up %u times", pattern, d.given_up);
}

// Each of these would run for longer than the universe, or for seconds at every place where a match
// could begin. That they are given up is counted; how long it takes is not measured.
static void test_a_catastrophic_pattern_is_given_up(void **state)
{
    (void)state;
    static char value[8192 + 1];
    memset(value, 'a', sizeof(value) - 2);
    value[sizeof(value) - 2] = 'b';
    expect_given_up("(a+)+$", value);
    expect_given_up("^(a|aa)+$", value);
    expect_given_up("(.*)*[cd]", value);
    expect_given_up("a*a*a*[cd]", value);
    expect_given_up("[a]+[cd]", value);         // only quadratic, and without a step back
    expect_given_up("^(?:(?=a)a)*[cd]", value); // deep
    static char longer[8192 + 3];
    memset(longer, 'a', sizeof(longer) - 1);
    expect_given_up("a", longer); // beyond what is looked at
}

static void test_a_long_value_costs_no_bound(void **state)
{
    (void)state;
    static char value[8192 + 1];
    memset(value, 'x', sizeof(value) - 1);
    memcpy(value + sizeof(value) - 4, "end", 3);
    GR_AUTO_GRAY struct gr_gray *g = gray(0, NULL, "[{\"header\":\"x\",\"regex\":\"end$\"}]");
    struct gr_gray_decision d;
    assert_true(decide(g, "x", value, &d) && d.candidate);
    assert_int_equal(d.given_up, 0);
}

// --- refusals ----------------------------------------------------------------------------------

static void expect_refused(const struct gr_gray_spec *spec, const char *begin, const char *part)
{
    struct gr_gray *g = NULL;
    struct gr_error e = {0};
    assert_int_equal(gr_gray_new(spec, NULL, &g, &e), -EINVAL);
    assert_null(g);
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    if (strncmp(e.message, begin, strlen(begin)) != 0 || !strstr(e.message, part))
        fail_msg("%s", e.message);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        struct gr_gray_spec spec;
        const char *begin, *part;
    } cases[] = {
        {{.weight_permyriad = 10001}, "weight: ", "found 10001"},
        {{.shadow_permyriad = 10001}, "shadow: ", "0 to 10000"},
        {{.sticky = "user"}, "sticky: ", "found \"user\""},
        {{.sticky = "header:"}, "sticky: ", "header:NAME"},
        {{.sticky = "tenants"}, "sticky: ", "found"},
        {{.match_json = "{}"}, "match: ", "at most 32"},
        {{.match_json = "["}, "", "byte"},
        {{.match_json = "[{\"path\":true}]"}, "match[0]: ", "exactly one of"},
        {{.match_json = "[{\"path\":true,\"exact\":\"\",\"prefix\":\"\"}]"},
         "match[0]: ",
         "exactly"},
        {{.match_json = "[{\"path\":false,\"exact\":\"\"}]"}, "match[0].path: ", "true"},
        {{.match_json = "[{\"header\":\"\",\"exact\":\"\"}]"}, "match[0].header: ", "name"},
        {{.match_json = "[{\"path\":true,\"exact\":\"a\",\"to\":\"all\"}]"},
         "match[0].to: ",
         "found \"all\""},
        {{.match_json = "[{\"path\":true,\"exact\":\"a\",\"x\":1}]"}, "match[0].x: ", "unknown"},
        {{.match_json = "[{\"path\":true,\"exact\":\"a\"},{\"path\":true,\"regex\":\"(\"}]"},
         "match[1].regex: ",
         "parenthesis"},
        {{.match_json = "[{\"path\":true,\"regex\":\"(*UTF)a\"}]"}, "match[0].regex: ", "UTF"},
        {{.match_json = "[{\"path\":true,\"regex\":\"((a{1,900}){1,900}){1,900}\"}]"},
         "match[0].regex: ",
         "too large"},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++)
        expect_refused(&cases[i].spec, cases[i].begin, cases[i].part);
}

static void test_a_pattern_is_checked_before_it_is_used(void **state)
{
    (void)state;
    struct gr_error e = {0};
    assert_int_equal(gr_gray_check_pattern("^a+$", "strategy.match[0].regex", &e), 0);
    assert_int_equal(gr_gray_check_pattern("a{2,1}", "strategy.match[0].regex", &e), -EINVAL);
    assert_non_null(strstr(e.message, "strategy.match[0].regex: expected a regular expression"));
    assert_non_null(strstr(e.message, "found \"a{2,1}\": numbers out of order"));
    assert_non_null(strstr(e.message, "(at byte 5)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_weight_is_exact_over_every_window),
        cmocka_unit_test(test_windows_counted_one_by_one),
        cmocka_unit_test(test_a_changed_weight_goes_on_with_the_turns),
        cmocka_unit_test(test_nobody_and_everybody),
        cmocka_unit_test(test_raising_adds_and_lowering_removes_the_newest),
        cmocka_unit_test(test_the_salt_chooses_the_members),
        cmocka_unit_test(test_two_rollouts_choose_independently),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_a_cookie_in_a_later_field),
        cmocka_unit_test(test_every_subject_and_test),
        cmocka_unit_test(test_the_first_rule_wins_over_key_and_weight),
        cmocka_unit_test(test_every_field_of_a_name_is_tried),
        cmocka_unit_test(test_a_catastrophic_pattern_is_given_up),
        cmocka_unit_test(test_a_long_value_costs_no_bound),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_pattern_is_checked_before_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
