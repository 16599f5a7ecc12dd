// Contracts as modules declare them, every way to declare one wrongly, and notes with lying
// lengths.
#include "base/contract.h"
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "\"module\":\"pay\",\"version\":\"1.1.0\",\"abi\":{\"major\":1,\"minor\":0},"
#define PROVIDES "\"provides\":[]"

static const char complete[] =
    "{" HEAD "\"provides\":["
    "{\"interface\":\"com.example.pay.PayService\",\"version\":\"2.0.0\",\"methods\":{"
    "\"Refund\":{\"input\":\"A\",\"output\":\"B\",\"codec\":\"json\",\"deadline\":\"250ms\","
    "\"idempotent\":true},"
    "\"Charge\":{\"codec\":[\"json\",\"proto\"]}}},"
    "{\"interface\":\"com.example.pay.Admin\",\"version\":\"1.0.0\",\"methods\":{\"Ping\":{}}}],"
    "\"requires\":{\"com.example.ledger.Ledger\":\"^1.2.0 || 2.x\"},"
    "\"optional\":{\"com.example.auth.TokenValidator\":\">=1.0.0 <3\"},"
    "\"upgrade_lock\":\"money\",\"sla\":{\"p99\":\"20ms\",\"error_rate\":0.01},"
    "\"state\":{\"schema\":3,\"imports\":[1,2]},\"execution\":\"pool\",\"isolation\":\"process\"}";

static int parse(const char *text, struct gr_contract **ret, struct gr_error *e)
{
    return gr_contract_parse(text, strlen(text), ret, e);
}

static void a_complete_contract_comes_out(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    struct gr_error e = {0};
    assert_int_equal(parse(complete, &c, &e), 0);
    assert_string_equal(c->module.s, "pay");
    assert_string_equal(c->version.text, "1.1.0");
    assert_int_equal(c->abi_major, 1);
    assert_int_equal(c->abi_minor, 0);
    assert_int_equal(c->n_provides, 2);
    const struct gr_contract_interface *pay = &c->provides[0];
    assert_string_equal(pay->name, "com.example.pay.PayService");
    assert_int_equal(pay->version.major, 2);
    assert_int_equal(pay->n_methods, 2);
    assert_string_equal(pay->methods[0].name, "Refund"); // declaration order, not the alphabet's
    assert_int_equal(pay->methods[0].deadline_usec, 250000);
    assert_true(pay->methods[0].idempotent);
    assert_string_equal(pay->methods[0].input, "A");
    assert_string_equal(pay->methods[0].output, "B");
    assert_string_equal(pay->methods[0].codec, "json");
    assert_string_equal(pay->methods[1].input, "");
    assert_string_equal(pay->methods[1].output, "");
    assert_string_equal(pay->methods[1].codec, "json,proto");
    assert_string_equal(pay->methods[1].name, "Charge");
    assert_int_equal(pay->methods[1].deadline_usec, 0);
    assert_false(pay->methods[1].idempotent);
    assert_string_equal(c->provides[1].methods[0].name, "Ping");
    assert_int_equal(c->n_requires, 1);
    assert_string_equal(c->requires[0].interface, "com.example.ledger.Ledger");
    assert_string_equal(c->requires[0].range.text, "^1.2.0 || 2.x");
    assert_true(gr_range_matches(&c->requires[0].range, &pay->version)); // 2.0.0
    assert_false(gr_range_matches(&c->requires[0].range, &c->version));  // 1.1.0
    assert_int_equal(c->n_optional, 1);
    assert_true(c->upgrade_lock);
    assert_string_equal(c->upgrade_group.s, "money");
    assert_int_equal(c->sla_p99_usec, 20000);
    assert_true(c->sla_error_rate > 0.0099 && c->sla_error_rate < 0.0101);
    assert_true(c->has_state);
    assert_int_equal(c->state_schema, 3);
    assert_int_equal(c->n_imports, 2);
    assert_int_equal(c->imports[0], 1);
    assert_int_equal(c->imports[1], 2);
    assert_true(c->execution_pool);
    assert_true(c->isolation_process);
    assert_string_equal(c->json, complete);
}

static void the_least_contract_has_defaults(void **state)
{
    (void)state;
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    assert_int_equal(parse("{" HEAD PROVIDES "}", &c, NULL), 0);
    assert_int_equal(c->n_provides + c->n_requires + c->n_optional, 0);
    assert_false(c->upgrade_lock || c->has_state || c->execution_pool || c->isolation_process);
    assert_true(c->sla_error_rate < 0);
    assert_int_equal(c->sla_p99_usec, 0);
    gr_contract_free(gr_steal(c));
    assert_int_equal(parse("{" HEAD PROVIDES ",\"upgrade_lock\":true}", &c, NULL), 0);
    assert_true(c->upgrade_lock);
    assert_string_equal(c->upgrade_group.s, "");
}

static void defects_are_named_and_make_it_no_module(void **state)
{
    (void)state;
#define INTERFACE(rest)                                                                            \
    "{" HEAD "\"provides\":[{\"interface\":\"a.B\",\"version\":\"1.0.0\"," rest "}]}"
    static const struct {
        const char *json, *sentence;
    } bad[] = {
        {"", "malformed"},
        {"[]", "expected an object"},
        {"{\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[]}",
         "module: required"},
        {"{\"module\":\"pay\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[]}",
         "version: required"},
        {"{\"module\":\"pay\",\"version\":\"1.0.0\",\"provides\":[]}", "abi: required"},
        {"{\"module\":\"pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":1},\"provides\":[]}",
         "abi.minor: required"},
        {"{\"module\":\"pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":70000,\"minor\":0},"
         "\"provides\":[]}",
         "abi.major: expected"},
        {"{\"module\":\"../"
         "pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[]}",
         "module: expected a name"},
        {"{\"module\":\"pay\",\"version\":\"1.0\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[]"
         "}",
         "version: expected a semantic version such as 2.1.0, found \"1.0\""},
        {"{" HEAD "\"provides\":{}}", "provides: required, a list"},
        {"{\"module\":\"pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0}}",
         "provides: required"},
        {"{" HEAD PROVIDES ",\"surprise\":1}", "surprise: unknown field"},
        {"{" HEAD "\"provides\":[1]}", "provides[0]: expected an object"},
        {"{" HEAD "\"provides\":[{}]}", "provides[0].interface: required"},
        {"{" HEAD "\"provides\":[{\"interface\":\"a..B\"}]}",
         "provides[0]: expected an interface name"},
        {"{" HEAD "\"provides\":[{\"interface\":\"a.B\",\"version\":\"x\"}]}",
         "provides[0].version: expected"},
        {INTERFACE("\"methods\":[]"), "provides[0].methods: required, an object"},
        {INTERFACE("\"methods\":{\"a/b\":{}}"),
         "provides[0].methods[\"a/b\"]: expected a method name"},
        {INTERFACE("\"methods\":{\"A\":1}"), "provides[0].methods[\"A\"]: expected an object"},
        {INTERFACE("\"methods\":{\"A\":{\"deadline\":5}}"),
         "provides[0].methods[\"A\"].deadline: expected a duration"},
        {INTERFACE("\"methods\":{\"A\":{\"idempotent\":1}}"),
         ".idempotent: expected true or false"},
        {INTERFACE("\"methods\":{\"A\":{\"codec\":[1]}}"), ".codec: expected a codec's name"},
        {INTERFACE("\"methods\":{\"A\":{\"codec\":1}}"), ".codec: expected a codec's name"},
        {INTERFACE("\"methods\":{\"A\":{\"codec\":\"a,b\"}}"), ".codec: expected a codec's name"},
        {INTERFACE("\"methods\":{\"A\":{\"input\":1}}"), ".input: expected"},
        {INTERFACE("\"methods\":{\"A\":{\"input\":\"\"}}"),
         ".input: expected a message type such as"},
        {INTERFACE("\"methods\":{\"A\":{\"output\":\"a.b c\"}}"),
         "[\"A\"].output: expected a message type such as com.example.pay.ChargeRequest, found"},
        {INTERFACE("\"methods\":{\"A\":{\"speed\":1}}"), ".speed: unknown field"},
        {INTERFACE("\"methods\":{}},{\"interface\":\"a.B\",\"version\":\"1.0.0\",\"methods\":{}"),
         "provides[1]: expected an interface that is not listed before"},
        {"{" HEAD PROVIDES ",\"requires\":[]}", "requires: expected an object"},
        {"{" HEAD PROVIDES ",\"requires\":{\"a.B\":1}}", "requires.a.B: expected a version range"},
        {"{" HEAD PROVIDES ",\"requires\":{\"a.B\":\"\"}}",
         "requires.a.B: expected a version range"},
        {"{" HEAD PROVIDES ",\"requires\":{\"a.B\":\"latest\"}}",
         "requires.a.B: \"latest\" is no version range"},
        {"{" HEAD PROVIDES ",\"optional\":{\"a.B\":\"^1 |2\"}}", "expected || at \"|2\""},
        {"{" HEAD PROVIDES ",\"requires\":{\"a-B\":\"1\"}}",
         "requires: expected an interface name"},
        {"{" HEAD PROVIDES ",\"requires\":{\"a.B\":\"^1\"},\"optional\":{\"a.B\":\"^1\"}}",
         "optional: expected"},
        {"{" HEAD PROVIDES ",\"upgrade_lock\":\"A B\"}", "upgrade_lock: expected"},
        {"{" HEAD PROVIDES ",\"upgrade_lock\":1}", "upgrade_lock: expected"},
        {"{" HEAD PROVIDES ",\"sla\":{\"p98\":\"1ms\"}}", "sla.p98: unknown field"},
        {"{" HEAD PROVIDES ",\"sla\":{\"error_rate\":1.5}}",
         "sla.error_rate: expected a number from 0 to 1"},
        {"{" HEAD PROVIDES ",\"state\":{}}", "state.schema: required"},
        {"{" HEAD PROVIDES ",\"state\":{\"schema\":1,\"imports\":[-1]}}",
         "state.imports: expected"},
        {"{" HEAD PROVIDES ",\"state\":{\"schema\":1,\"imports\":[1,0.5]}}",
         "state.imports: expected"},
        {"{" HEAD PROVIDES ",\"state\":{\"schema\":1,\"imports\":1}}", "state.imports: expected"},
        {"{" HEAD PROVIDES ",\"execution\":\"fast\"}",
         "execution: expected inline or pool, found \"fast\""},
        {"{" HEAD PROVIDES ",\"isolation\":\"vm\"}", "isolation: expected worker or process"},
        {"{" HEAD PROVIDES ",\"module\":\"pay\"}", "module: duplicate key"},
    };
    for (size_t i = 0; i < GR_COUNT(bad); i++) {
        struct gr_contract *c = NULL;
        struct gr_error e = {0};
        int r = parse(bad[i].json, &c, &e);
        if (r != -EINVAL || !strstr(e.message, bad[i].sentence))
            print_error("%s\n-> %d %s\n", bad[i].json, r, e.message);
        assert_int_equal(r, -EINVAL);
        assert_null(c);
        assert_int_equal(e.reason, GR_REASON_NOT_A_MODULE);
        assert_non_null(strstr(e.message, bad[i].sentence));
        assert_int_equal(parse(bad[i].json, &c, NULL), -EINVAL);
    }
}

static void methods_are_counted_over_all_interfaces(void **state)
{
    (void)state;
    for (int interfaces = GR_METHODS_MAX / 2; interfaces <= GR_METHODS_MAX / 2 + 1; interfaces++) {
        char json[8192];
        int n = snprintf(json, sizeof json, "{" HEAD "\"provides\":[");
        for (int i = 0; i < interfaces; i++)
            n += snprintf(json + n, sizeof json - (size_t)n,
                          "%s{\"interface\":\"a.I%d\",\"version\":\"1.0.0\","
                          "\"methods\":{\"A\":{},\"B\":{}}}",
                          i ? "," : "", i);
        snprintf(json + n, sizeof json - (size_t)n, "]}");
        struct gr_contract *c = NULL;
        assert_int_equal(parse(json, &c, NULL), 2 * interfaces > GR_METHODS_MAX ? -EINVAL : 0);
        gr_contract_free(c);
    }
}

// --- notes
// ----------------------------------------------------------------------------------------------------------

struct notes {
    char bytes[512];
    size_t len;
};

static void add_note(struct notes *n, const char *owner, uint32_t type, const void *desc,
                     uint32_t len)
{
    Elf64_Nhdr header = {.n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = len, .n_type = type};
    memcpy(n->bytes + n->len, &header, sizeof header);
    n->len += sizeof header;
    memcpy(n->bytes + n->len, owner, header.n_namesz);
    n->len += (header.n_namesz + 3) & ~3u;
    memcpy(n->bytes + n->len, desc, len);
    n->len += (len + 3) & ~3u;
}

static void notes_are_found_among_others(void **state)
{
    (void)state;
    struct notes n = {.len = 0};
    add_note(&n, "GNU", NT_GNU_ABI_TAG, "0123456789abcdef", 16);
    add_note(&n, "Graylin", GR_NOTE_TYPE_CONTRACT, "no", 2);
    add_note(&n, GR_NOTE_OWNER, 7, "no", 2);
    add_note(&n, "GNU", NT_GNU_BUILD_ID, "\x01\x02\x03\x04\x05", 5);
    add_note(&n, GR_NOTE_OWNER, GR_NOTE_TYPE_CONTRACT, "{} ", 3);
    const char *json;
    const uint8_t *id;
    size_t len;
    assert_int_equal(gr_contract_find_note(n.bytes, n.len, &json, &len), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(json, "{} ", 3);
    assert_int_equal(gr_contract_find_build_id(n.bytes, n.len, &id, &len), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(id, "\x01\x02\x03\x04\x05", 5);
    assert_int_equal(gr_contract_find_note(n.bytes, n.len - 1, &json, &len),
                     0); // padding may be missing
}

static void a_closing_nul_is_not_json(void **state)
{
    (void)state;
    struct notes n = {.len = 0};
    const char *json;
    size_t len;
    add_note(&n, GR_NOTE_OWNER, GR_NOTE_TYPE_CONTRACT, "{}", 3);
    assert_int_equal(gr_contract_find_note(n.bytes, n.len, &json, &len), 0);
    assert_int_equal(len, 2);
}

static void absent_double_and_lying_notes(void **state)
{
    (void)state;
    struct notes n = {.len = 0};
    const char *json;
    const uint8_t *id;
    size_t len;
    assert_int_equal(gr_contract_find_note(n.bytes, 0, &json, &len), -ENOENT);
    add_note(&n, "GNU", NT_GNU_BUILD_ID, "", 0);
    assert_int_equal(gr_contract_find_note(n.bytes, n.len, &json, &len), -ENOENT);
    assert_int_equal(gr_contract_find_build_id(n.bytes, n.len, &id, &len), -EINVAL); // empty
    add_note(&n, GR_NOTE_OWNER, GR_NOTE_TYPE_CONTRACT, "{}", 2);
    struct notes twice = n;
    add_note(&twice, GR_NOTE_OWNER, GR_NOTE_TYPE_CONTRACT, "{}", 2);
    assert_int_equal(gr_contract_find_note(twice.bytes, twice.len, &json, &len), -EINVAL);
    static const uint32_t lies[] = {0x7fffffff, 0xffffffff, 0xfffffffc, 1000};
    for (size_t i = 0; i < GR_COUNT(lies); i++)
        for (size_t at = 0; at < 8; at += 4) { // name size, description size
            struct notes lying = n;
            memcpy(lying.bytes + at, &lies[i], 4);
            assert_int_equal(gr_contract_find_note(lying.bytes, lying.len, &json, &len), -EINVAL);
        }
    for (size_t cut = 0; cut + 4 < n.len;
         cut++) // never a read behind the end, never a whole contract
        assert_true(gr_contract_find_note(n.bytes, cut, &json, &len) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_contract_comes_out),
        cmocka_unit_test(the_least_contract_has_defaults),
        cmocka_unit_test(defects_are_named_and_make_it_no_module),
        cmocka_unit_test(methods_are_counted_over_all_interfaces),
        cmocka_unit_test(notes_are_found_among_others),
        cmocka_unit_test(a_closing_nul_is_not_json),
        cmocka_unit_test(absent_double_and_lying_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
