// Where artifacts may come from: the table of addresses, and every kind of refusal with its
// sentence.
#include "verifier/address.h"
#include "verifier/policy.h"
#include "verifier/testing/harness.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *address, *kind; // NULL: public
} ADDRESSES[] = {
    {"93.184.216.34", NULL},
    {"0.0.0.0", "unspecified"},
    {"10.1.2.3", "private"},
    {"100.64.0.1", "carrier-grade NAT"},
    {"100.128.0.1", NULL},
    {"127.0.0.1", "loopback"},
    {"127.255.255.254", "loopback"},
    {"169.254.169.254", "link-local"},
    {"172.15.255.255", NULL},
    {"172.16.0.1", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"192.168.1.1", "private"},
    {"192.0.0.8", "protocol assignment"},
    {"198.18.0.1", "benchmarking"},
    {"203.0.113.9", "documentation"},
    {"224.0.0.1", "multicast"},
    {"255.255.255.255", "reserved"},
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::ffff:127.0.0.1", "loopback"},
    {"::ffff:93.184.216.34", NULL},
    {"::7f00:1", "IPv4-compatible"},
    {"64:ff9b::10.0.0.1", "private"},
    {"64:ff9b::93.184.216.34", NULL},
    {"64:ff9b:1::1", "local NAT64"},
    {"2001::1", "Teredo"},
    {"2001:db8::1", "documentation"},
    {"2002:7f00:1::", "6to4"},
    {"2606:2800:220:1:248:1893:25c8:1946", NULL},
    {"fc00::1", "unique local"},
    {"fd12:3456::1", "unique local"},
    {"fe80::1", "link-local"},
    {"fec0::1", "site-local"},
    {"ff02::1", "multicast"},
    {"4000::1", "reserved"},
};

static void addresses_are_classified(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(ADDRESSES); i++) {
        struct gr_address a;
        assert_int_equal(gr_address_parse(ADDRESSES[i].address, &a), 0);
        const char *kind = gr_address_special(&a);
        if (!kind || !ADDRESSES[i].kind ? kind != ADDRESSES[i].kind
                                        : strcmp(kind, ADDRESSES[i].kind) != 0)
            fail_msg("%s is %s instead of %s", ADDRESSES[i].address, kind ? kind : "public",
                     ADDRESSES[i].kind ? ADDRESSES[i].kind : "public");
    }
}

static void ranges_are_strict(void **state)
{
    const char *const bad[] = {
        "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "fd00::1/8",
        "::/129",      "10.0.0",     "",          "example.org", "1.2.3.4.5/8"};
    struct gr_address a;
    (void)state;
    for (size_t i = 0; i < GR_COUNT(bad); i++)
        assert_int_equal(gr_address_parse(bad[i], &a), -EINVAL);
    struct gr_address range, inside, outside;
    assert_int_equal(gr_address_parse("10.0.0.0/8", &range), 0);
    assert_int_equal(gr_address_parse("::ffff:10.9.9.9", &inside), 0);
    assert_int_equal(gr_address_parse("11.0.0.0", &outside), 0);
    assert_true(gr_address_within(&inside, &range));
    assert_false(gr_address_within(&outside, &range));
}

static struct gr_policy *policy(const char *schemes, const char *hosts, const char *roots)
{
    struct gr_policy *p;
    assert_int_equal(gr_policy_new(schemes, hosts, roots, &p, NULL), 0);
    return p;
}

static void configuration_is_checked(void **state)
{
    struct gr_policy *p;
    struct gr_error e;
    (void)state;
    assert_int_equal(gr_policy_new("https gopher", "", "", &p, &e), -EINVAL);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "AllowSchemes=", "gopher",
                      "https, http and file");
    assert_int_equal(gr_policy_new("https", "10.0.0.1/8", "", &p, &e), -EINVAL);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "AllowHosts=", "10.0.0.1/8");
    assert_int_equal(gr_policy_new("https", "", "incoming", &p, &e), -EINVAL);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "FileRoots=", "absolute");
}

static void sources_are_refused(void **state)
{
    static const struct {
        const char *text, *a, *b;
    } cases[] = {
        {"http://example.org/x.so", "\"http\"", "AllowSchemes="},
        {"ftp://example.org/x.so", "\"ftp\"", "AllowSchemes="},
        {"https://user:secret@example.org/x.so", "user name or password", "remove"},
        {"https://user@example.org/x.so", "user name or password", "remove"},
        {"https://127.0.0.1/x.so", "loopback", "AllowHosts="},
        {"https://2130706433/x.so", "loopback", "AllowHosts="},
        {"https://0x7f.1/x.so", "loopback", "AllowHosts="},
        {"https://[::1]/x.so", "loopback", "AllowHosts="},
        {"https://[::ffff:10.0.0.1]/x.so", "private", "AllowHosts="},
        {"https://169.254.169.254/latest/meta-data", "link-local", "AllowHosts="},
        {"/srv/in/x.so", "no address", "file:///"},
        {"", "no address", "file:///"},
        {"file://server/srv/in/x.so", "no address", "file:///"},
        {"file:///etc/passwd", "no directory", "FileRoots="},
        {"file:///srv/in/../../etc/passwd", "\"..\"", "plain path"},
        {"file:///srv/in/%2e%2e/%2e%2e/etc/passwd", "\"..\"", "plain path"},
        {"file:///srv/inside/x.so", "no directory", "FileRoots="},
        {"file:///srv/in/x%00.so", "control characters", "path"},
    };
    struct gr_policy *p = policy("https file", "", "/srv/in/ /srv/other");
    (void)state;
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        struct gr_source s;
        struct gr_error e = {0};
        if (gr_policy_parse(p, cases[i].text, NULL, &s, &e) == 0)
            fail_msg("accepted: %s", cases[i].text);
        TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, cases[i].a, cases[i].b);
        assert_null(strstr(e.message, "secret"));
        assert_false(e.retryable);
    }
    gr_policy_unref(p);
}

static void files_are_found_below_their_root(void **state)
{
    struct gr_policy *p = policy("file", "", "/srv /srv/in");
    struct gr_source s;
    (void)state;
    assert_int_equal(gr_policy_parse(p, "file:///srv/in/a%20b/x.so", NULL, &s, NULL), 0);
    assert_string_equal(s.root, "/srv/in");
    assert_string_equal(s.path, "a b/x.so");
    gr_source_done(&s);
    assert_int_equal(gr_policy_parse(p, "file:///srv/..in/x.so", NULL, &s, NULL), 0);
    assert_string_equal(s.path, "..in/x.so");
    gr_source_done(&s);
    gr_policy_unref(p);
}

static int redirect(const struct gr_policy *p, const char *from, const char *to, struct gr_error *e)
{
    struct gr_source a, b;
    assert_int_equal(gr_policy_parse(p, from, NULL, &a, NULL), 0);
    int r = gr_policy_parse(p, to, &a, &b, e);
    if (r == 0)
        gr_source_done(&b);
    gr_source_done(&a);
    return r;
}

static void redirects_never_weaken(void **state)
{
    struct gr_policy *p = policy("https http file", "", "/srv");
    struct gr_error e;
    (void)state;
    assert_int_equal(redirect(p, "https://a.example/x", "https://b.example/x", &e), 0);
    assert_int_equal(redirect(p, "http://a.example/x", "https://a.example/x", &e), 0);
    assert_int_equal(redirect(p, "https://a.example/x", "http://a.example/x", &e), -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "from https to http", "final address");
    assert_int_equal(redirect(p, "https://a.example/x", "file:///srv/x", &e), -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "from https to file");
    gr_policy_unref(p);
}

static int connect_to(const struct gr_policy *p, const char *url, const char *address,
                      struct gr_error *e)
{
    struct gr_source s;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    assert_int_equal(gr_policy_parse(p, url, NULL, &s, e), 0);
    bool v4 = inet_pton(AF_INET, address, &in.sin_addr) == 1;
    if (!v4)
        assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    int r = gr_policy_check_address(p, &s, v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
                                    v4 ? sizeof in : sizeof in6, e);
    gr_source_done(&s);
    return r;
}

static void addresses_decide_after_names(void **state)
{
    struct gr_policy *any = policy("https", NULL, "");
    struct gr_policy *some = policy("https", "artifacts.example 10.2.0.0/16 ::1", "");
    struct gr_error e;
    (void)state;
    // a public name that resolves to a private address: rebinding
    assert_int_equal(connect_to(any, "https://a.example/x", "192.168.0.1", &e), -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "a.example", "192.168.0.1", "private",
                      "AllowHosts=");
    assert_int_equal(connect_to(any, "https://a.example/x", "::ffff:192.168.0.1", &e), -EACCES);
    assert_int_equal(connect_to(any, "https://a.example/x", "93.184.216.34", &e), 0);
    // named ones may be anywhere; a list allows only what it names
    assert_int_equal(connect_to(some, "https://ARTIFACTS.example/x", "192.168.0.1", &e), 0);
    assert_int_equal(connect_to(some, "https://a.example/x", "10.2.3.4", &e), 0);
    assert_int_equal(connect_to(some, "https://a.example/x", "::1", &e), 0);
    assert_int_equal(connect_to(some, "https://a.example/x", "10.3.0.0", &e), -EACCES);
    assert_int_equal(connect_to(some, "https://a.example/x", "93.184.216.34", &e), -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "names neither", "a.example");
    gr_policy_unref(any);
    gr_policy_unref(some);
}

static void hosts_outside_a_list_of_names_are_refused_at_once(void **state)
{
    struct gr_policy *p = policy("https", "artifacts.example", "");
    struct gr_source s;
    struct gr_error e;
    (void)state;
    assert_int_equal(gr_policy_parse(p, "https://other.example/x?token=secret", NULL, &s, &e),
                     -EACCES);
    TEST_ASSERT_ERROR(&e, GR_REASON_SOURCE_REFUSED, "other.example", "AllowHosts=");
    assert_null(strstr(e.message, "secret"));
    gr_policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_classified),
        cmocka_unit_test(ranges_are_strict),
        cmocka_unit_test(configuration_is_checked),
        cmocka_unit_test(sources_are_refused),
        cmocka_unit_test(files_are_found_below_their_root),
        cmocka_unit_test(redirects_never_weaken),
        cmocka_unit_test(addresses_decide_after_names),
        cmocka_unit_test(hosts_outside_a_list_of_names_are_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
