// The memory of contracts: what is kept is found by its digest, and what is older than the cap goes
// first.
#include "base/limits.h"
#include "control/contracts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_digest digest(unsigned n)
{
    struct gr_digest d;
    char text[GR_DIGEST_TEXT_MAX];
    snprintf(text, sizeof text, "sha256:%064x", n);
    assert_int_equal(gr_digest_parse(text, &d), 0);
    return d;
}
static struct gr_contract *contract(unsigned minor)
{
    char text[256];
    struct gr_contract *c = NULL;
    snprintf(text, sizeof text,
             "{\"module\":\"pay\",\"version\":\"1.%u.0\",\"abi\":{\"major\":1,\"minor\":0},"
             "\"provides\":[{\"interface\":\"com.example.Pay\",\"version\":\"1.0.0\","
             "\"methods\":{\"Do\":{}}}]}",
             minor);
    assert_int_equal(gr_contract_parse(text, strlen(text), &c, NULL), 0);
    return c;
}

static void what_is_kept_is_a_copy_by_its_digest(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contracts_done) struct gr_contracts all = {0};
    struct gr_digest one = digest(1), two = digest(2);
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = contract(1), *other = contract(2);
    assert_null(gr_contracts_find(&all, &one));
    const struct gr_contract *kept = gr_contracts_keep(&all, &one, c);
    assert_ptr_not_equal(kept, c);
    assert_string_equal(kept->version.text, "1.1.0");
    assert_ptr_equal(gr_contracts_keep(&all, &one, other), kept); // a digest has one contract
    assert_ptr_equal(gr_contracts_find(&all, &one), kept);
    assert_null(gr_contracts_find(&all, &two));
}

static void the_oldest_goes_first(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contracts_done) struct gr_contracts all = {0};
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = contract(1);
    for (unsigned i = 0; i <= GR_CONTRACTS_MAX; i++) {
        struct gr_digest d = digest(i);
        assert_non_null(gr_contracts_keep(&all, &d, c));
    }
    struct gr_digest first = digest(0), second = digest(1), last = digest(GR_CONTRACTS_MAX);
    assert_null(gr_contracts_find(&all, &first));
    assert_non_null(gr_contracts_find(&all, &second));
    assert_non_null(gr_contracts_find(&all, &last));
    assert_int_equal(all.n, GR_CONTRACTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_a_copy_by_its_digest),
        cmocka_unit_test(the_oldest_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
