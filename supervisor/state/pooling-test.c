// Whose requests go to the pool by what they may call.
#include "state/pooling.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

// `needs`: members of the contract, with a comma before.
static struct gr_contract *module(const char *name, const char *execution, const char *needs)
{
    char text[768];
    struct gr_contract *c = NULL;
    struct gr_error e = {0};
    snprintf(text, sizeof text,
             "{\"abi\":{\"major\":1,\"minor\":0},\"module\":\"%s\",\"version\":\"1.0.0\","
             "\"provides\":[{\"interface\":\"com.example.%s\",\"version\":\"2.3.0\","
             "\"methods\":{\"Do\":{}}}],\"execution\":\"%s\"%s}",
             name, name, execution, needs);
    if (gr_contract_parse(text, strlen(text), &c, &e) < 0)
        fail_msg("%s: %s", text, e.message);
    return c;
}

#define NEEDS(kind, what, range) ",\"" kind "\":{\"com.example." what "\":\"" range "\"}"

static void test_who_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *shop, *shop_needs, *cart, *cart_needs, *store;
        size_t at;
        const char *says; // NULL: nothing
    } cases[] = {
        {"inline", NEEDS("requires", "store", "^2"), "inline", "", "pool", 0,
         "shop 1.0.0 declares execution: inline and can call com.example.store of store 1.0.0, "
         "which"},
        {"inline", NEEDS("optional", "store", "^2"), "inline", "", "pool", 0, "share of its own"},
        {"inline", NEEDS("requires", "store", "^2"), "inline", "", "pool", 2,
         "each request to shop, whether it makes that call or not"},
        {"inline", NEEDS("requires", "store", "^3"), "inline", "", "pool", 0, NULL}, // not bound
        {"inline", NEEDS("requires", "store", "^2"), "inline", "", "inline", 0, NULL},
        {"pool", NEEDS("requires", "store", "^2"), "inline", "", "pool", 0, NULL},
        {"pool", NEEDS("requires", "store", "^2"), "inline", "", "pool", 2, NULL},
        {"inline", NEEDS("requires", "cart", "*"), "inline", NEEDS("optional", "store", "~2.3"),
         "pool", 0, "com.example.cart of cart 1.0.0 (and through it store 1.0.0), which"},
        {"inline", NEEDS("requires", "cart", "*"), "pool", NEEDS("optional", "store", "~2.3"),
         "pool", 0, "com.example.cart of cart 1.0.0, which"}, // the nearest
        {"inline", NEEDS("optional", "cart", "*"), "inline", NEEDS("optional", "shop", "*"), "pool",
         0, NULL}, // a ring
        {"inline", "", "inline", "", "pool", 2, NULL},
    };
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        char said[GR_MESSAGE_MAX];
        struct gr_contract *set[] = {
            module("shop", cases[i].shop, cases[i].shop_needs),
            module("cart", cases[i].cart, cases[i].cart_needs), module("store", cases[i].store, ""),
            NULL, // one that is not known
        };
        bool some = gr_pooling_say((const struct gr_contract *const *)set, GR_COUNT(set),
                                   cases[i].at, said);
        if (some != (cases[i].says != NULL) || some != (said[0] != '\0') ||
            (some && !strstr(said, cases[i].says)))
            fail_msg("case %zu: %s", i, said);
        for (size_t k = 0; k < GR_COUNT(set); k++)
            gr_contract_free(set[k]);
    }
}

static void test_what_is_not_known_says_nothing(void **state)
{
    (void)state;
    char said[GR_MESSAGE_MAX];
    struct gr_contract *shop = module("shop", "inline", NEEDS("requires", "store", "^2"));
    const struct gr_contract *const set[] = {shop, NULL};
    assert_false(gr_pooling_say(set, 2, 0, said));
    assert_false(gr_pooling_say(set, 2, 1, said));
    gr_contract_free(shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_told),
                                       cmocka_unit_test(test_what_is_not_known_says_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
