// The cache of contracts: what is asked for stays, and nothing grows.
#include "base/limits.h"
#include "control/contracts.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_digest digest_of(unsigned n)
{
    struct gr_digest d = {.bytes = {(uint8_t)n, (uint8_t)(n >> 8), 7}};
    return d;
}

static struct gr_contract *contract_of(unsigned n)
{
    char text[512];
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"abi\":{\"major\":1,\"minor\":0},\"module\":\"pay\",\"version\":\"1.%u.0\","
             "\"provides\":[{\"interface\":\"com.example.pay.PayService\",\"version\":\"1.0.0\","
             "\"methods\":{\"Charge\":{\"idempotent\":true}}}]}",
             n);
    if (gr_contract_parse(text, strlen(text), &c, &e) < 0)
        fail_msg("%s", e.message);
    return c;
}

static void put(struct gr_contracts *s, unsigned n)
{
    struct gr_contract *c = contract_of(n);
    struct gr_digest d = digest_of(n);
    assert_int_equal(gr_contracts_put(s, &d, c), 0);
    gr_contract_free(c); // it keeps a copy
}

static void assert_known(struct gr_contracts *s, unsigned n, bool known)
{
    char version[32];
    struct gr_digest d = digest_of(n);
    const struct gr_contract *c = gr_contracts_find(s, &d);
    assert_int_equal(c != NULL, known);
    snprintf(version, sizeof version, "1.%u.0", n);
    if (known)
        assert_string_equal(c->version.text, version);
}

static void what_was_put_is_found(void **state)
{
    (void)state;
    struct gr_contracts *s = NULL;
    assert_int_equal(gr_contracts_new(&s), 0);
    assert_known(s, 1, false);
    put(s, 1);
    put(s, 1);
    put(s, 2);
    assert_known(s, 1, true);
    assert_known(s, 2, true);
    const struct gr_contract bare = {.sla_error_rate = -1};
    struct gr_digest d = digest_of(3);
    assert_int_equal(gr_contracts_put(s, &d, &bare), -EINVAL);
    assert_known(s, 3, false);
    gr_contracts_free(s);
}

static void what_nobody_asks_for_goes_first(void **state)
{
    (void)state;
    struct gr_contracts *s = NULL;
    assert_int_equal(gr_contracts_new(&s), 0);
    for (unsigned n = 0; n < GR_CONTRACTS_KEPT; n++)
        put(s, n);
    assert_known(s, 0, true); // asked for just now
    put(s, GR_CONTRACTS_KEPT);
    assert_known(s, 0, true);
    assert_known(s, 1, false);
    assert_known(s, GR_CONTRACTS_KEPT, true);
    gr_contracts_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(what_nobody_asks_for_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
