// The contract compiler: what it writes, and what each mistake in a module.yaml gets.
#include "base/contract.h"
#include "modules/sdk/contract/compile.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "module: pay\nversion: 1.0.0\n"
#define PROVIDES                                                                                   \
    "provides:\n"                                                                                  \
    "  - interface: com.example.pay.PayService\n"                                                  \
    "    version: 2.0.0\n"                                                                         \
    "    methods:\n"                                                                               \
    "      Refund: {}\n"

static int compile(const char *yaml, const char *module, const char *version, struct gr_buf *json,
                   struct gr_error *e)
{
    struct gr_contract_options o = {.file = "m.yaml", .module = module, .version = version};
    return gr_contract_compile(&o, yaml, strlen(yaml), json, e);
}

static void test_every_field(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    struct gr_error e = {0};
    int r = compile(HEAD "provides:\n"
                         "  - interface: com.example.pay.PayService\n"
                         "    version: 2.1.0\n"
                         "    methods:\n"
                         "      Refund: {deadline: 1500ms}\n"
                         "      Charge:\n"
                         "        idempotent: true\n"
                         "        codec: json\n"
                         "        output: com.example.pay.ChargeResponse\n"
                         "        input: com.example.pay.ChargeRequest\n"
                         "isolation: process\n"
                         "execution: pool\n"
                         "state: {schema: 3, imports: [1, 2]}\n"
                         "sla: {error_rate: 0.001, p99: 20ms}\n"
                         "upgrade_lock: money\n"
                         "optional: {com.example.auth.TokenValidator: ^1}\n"
                         "requires: {com.example.ledger.Ledger: '>=1.2 <3'}\n",
                    NULL, NULL, &json, &e);
    assert_string_equal(e.message, "");
    assert_int_equal(r, 0);
    assert_string_equal(
        json.data,
        "{\"module\":\"pay\",\"version\":\"1.0.0\",\"abi\":{\"major\":1,\"minor\":0},"
        "\"provides\":[{\"interface\":\"com.example.pay.PayService\",\"version\":\"2.1.0\","
        "\"methods\":{\"Refund\":{\"deadline\":\"1s500ms\",\"idempotent\":false},"
        "\"Charge\":{\"input\":\"com.example.pay.ChargeRequest\","
        "\"output\":\"com.example.pay.ChargeResponse\",\"codec\":\"json\",\"idempotent\":true}}}],"
        "\"requires\":{\"com.example.ledger.Ledger\":\">=1.2 <3\"},"
        "\"optional\":{\"com.example.auth.TokenValidator\":\"^1\"},\"upgrade_lock\":\"money\","
        "\"sla\":{\"p99\":\"20ms\",\"error_rate\":0.001},"
        "\"state\":{\"schema\":3,\"imports\":[1,2]},\"execution\":\"pool\","
        "\"isolation\":\"process\"}");
}

static void test_host_reads_it(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    struct gr_error e = {0};
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    assert_int_equal(compile(HEAD PROVIDES "      Charge: {idempotent: true, deadline: 250ms}\n"
                                           "sla: {p99: 5ms}\nstate: {schema: 7}\n"
                                           "upgrade_lock: true\n",
                             "pay", "1.1.0-rc.1", &json, &e),
                     0);
    assert_int_equal(gr_contract_parse(json.data, json.len, &c, &e), 0);
    assert_string_equal(c->module.s, "pay");
    assert_string_equal(c->version.text, "1.1.0-rc.1");
    assert_int_equal(c->provides[0].n_methods, 2);
    assert_string_equal(c->provides[0].methods[0].name, "Refund");
    assert_false(c->provides[0].methods[0].idempotent);
    assert_string_equal(c->provides[0].methods[1].name, "Charge");
    assert_int_equal(c->provides[0].methods[1].deadline_usec, 250000);
    assert_true(c->provides[0].methods[1].idempotent);
    assert_int_equal(c->state_schema, 7);
    assert_int_equal(c->sla_p99_usec, 5000);
}

static void test_one_text_for_one_meaning(void **state)
{
    (void)state;
    static const char *const same[] = {
        HEAD PROVIDES "requires: {a.b: ^1, a.c: ^2, z.a: 3.x}\nsla: {error_rate: 0.1}\n"
                      "state: {schema: 30, imports: [2, 9, 10]}\n",
        "state:\n  imports: [10, 2, 9]\n  schema: 30\nisolation: worker\nupgrade_lock: false\n"
        "sla: {error_rate: 0.100}\noptional: {}\nrequires:\n  z.a: '3.x'\n  a.c: \"^2\"\n"
        "  a.b: ^1\n" PROVIDES HEAD,
    };
    static const char *const nothing[] = {HEAD PROVIDES, HEAD PROVIDES "sla: {}\noptional: {}\n",
                                          HEAD PROVIDES "execution: inline\nrequires: {}\n"};
    GR_AUTO_BUF struct gr_buf a = GR_BUF(GR_CONTRACT_JSON_MAX);
    GR_AUTO_BUF struct gr_buf b = GR_BUF(GR_CONTRACT_JSON_MAX);
    struct gr_error e = {0};
    assert_int_equal(compile(same[0], NULL, NULL, &a, &e), 0);
    assert_int_equal(compile(same[1], NULL, NULL, &b, &e), 0);
    assert_string_equal(a.data, b.data);
    assert_non_null(strstr(a.data, "\"requires\":{\"a.b\":\"^1\",\"a.c\":\"^2\",\"z.a\":\"3.x\"}"));
    assert_non_null(strstr(a.data, "\"error_rate\":0.1}"));
    assert_non_null(strstr(a.data, "\"imports\":[2,9,10]"));
    gr_buf_clear(&a);
    assert_int_equal(compile(nothing[0], NULL, NULL, &a, &e), 0);
    for (size_t i = 1; i < GR_COUNT(nothing); i++) {
        gr_buf_clear(&b);
        assert_int_equal(compile(nothing[i], NULL, NULL, &b, &e), 0);
        assert_string_equal(a.data, b.data);
    }
}

static void test_too_many_needs(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf yaml = GR_BUF(1u << 20);
    for (int n = GR_MODULES_MAX; n <= GR_MODULES_MAX + 1; n++) {
        GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
        GR_CLEANUP(gr_contract_freep) struct gr_contract *contract = NULL;
        struct gr_error e = {0};
        gr_buf_clear(&yaml);
        assert_int_equal(gr_buf_printf(&yaml, HEAD PROVIDES "requires:\n"), 0);
        for (int i = 0; i < n; i++)
            assert_int_equal(gr_buf_printf(&yaml, "  a.i%d: ^1\n", i), 0);
        int r = compile(yaml.data, NULL, NULL, &json, &e);
        if (n == GR_MODULES_MAX) {
            assert_int_equal(r, 0);
            assert_int_equal(gr_contract_parse(json.data, json.len, &contract, &e), 0);
        } else {
            assert_int_equal(r, -EINVAL);
            assert_non_null(strstr(e.message, "m.yaml:9: requires: names 257 interfaces"));
        }
    }
}

static const struct {
    const char *yaml, *place, *sentence;
} mistakes[] = {
    {"", "m.yaml:1: ", "is empty"},
    {"# nothing\n", "m.yaml:1: ", "is empty"},
    {"module: [pay\nversion: 1", "m.yaml:2: ", "is not YAML"},
    {"- a\n- b\n", "m.yaml:1: ", "expected a mapping"},
    {HEAD "---\nmodule: b\n", "m.yaml:4: ", "second document"},
    {"version: 1.0.0\n", "m.yaml:1: ", "\"module\" is missing"},
    {"module: pay\n", "m.yaml:1: ", "\"version\" is missing"},
    {HEAD, "m.yaml:1: ", "\"provides\" is missing"},
    {"module: Pay\nversion: 1.0.0\n", "m.yaml:1: module: ", "\"Pay\" is no module name"},
    {"module: pay\nversion: v1\n", "m.yaml:2: version: ", "\"v1\" is no semantic version"},
    {"module: pay\nversion:\n", "m.yaml:2: version: ", "found nothing"},
    {"module: \"pa\\0y\"\nversion: 1\n", "m.yaml:1: module: ", "text with a NUL"},
    {"module: {a: b}\nversion: 1\n", "m.yaml:1: module: ", "found a mapping"},
    {HEAD "versoin: 2\n" PROVIDES, "m.yaml:3: ", "\"versoin\" is not a field of a contract"},
    {HEAD "? [a]\n: b\n", "m.yaml:3: ", "a key must be a name"},
    {HEAD "module: pay\n", "m.yaml:3: ", "\"module\" is written twice"},
    {HEAD "provides: {}\n", "m.yaml:3: provides: ", "expected a list"},
    {HEAD "provides: []\n", "m.yaml:3: provides: ", "is empty"},
    {HEAD "provides:\n  - interface: PayService\n",
     "m.yaml:4: provides[0].interface: ", "\"PayService\" is no interface name"},
    {HEAD "provides:\n  - interface: a.b\n    version: 1.0\n",
     "m.yaml:5: provides[0].version: ", "\"1.0\" is no semantic version"},
    {HEAD "provides:\n  - interface: a.b\n    version: 1.0.0\n    methods: {}\n",
     "m.yaml:6: provides[0].methods: ", "to 0 methods; expected at least one"},
    {HEAD PROVIDES "      Char-ge: {}\n",
     "m.yaml:8: provides[0].methods.Char-ge: ", "no method name"},
    {HEAD PROVIDES "      Charge: {retries: 1}\n",
     "m.yaml:8: provides[0].methods.Charge: ", "\"retries\" is not a field"},
    {HEAD PROVIDES "      Charge: {deadline: soon}\n",
     "m.yaml:8: provides[0].methods.Charge.deadline: ", "expected a duration like 250ms"},
    {HEAD PROVIDES "      Charge: {deadline: 0ms}\n",
     "m.yaml:8: provides[0].methods.Charge.deadline: ", "greater than zero"},
    {HEAD PROVIDES "      Charge: {idempotent: yes}\n",
     "m.yaml:8: provides[0].methods.Charge.idempotent: ", "expected true or false"},
    {HEAD PROVIDES "      Charge: {codec: xml}\n",
     "m.yaml:8: provides[0].methods.Charge.codec: ", "expected json or proto"},
    {HEAD PROVIDES "      Charge: {input: Request}\n",
     "m.yaml:8: provides[0].methods.Charge.input: ", "\"Request\" is no message type"},
    {HEAD PROVIDES "  - {interface: com.example.pay.PayService, version: 1.0.0}\n",
     "m.yaml:8: provides[1].interface: ", "provided twice"},
    {HEAD PROVIDES "requires: {a.b: latest}\n",
     "m.yaml:8: requires.a.b: ", "\"latest\" is no version range"},
    {HEAD PROVIDES "optional:\n  a.b: ^1\n  c.d: 1 - 2 - 3\n",
     "m.yaml:10: optional.c.d: ", "expected nothing but || behind a range from - to at \"- 3\""},
    {HEAD PROVIDES "requires: {a.b: 01.2.3}\n",
     "m.yaml:8: requires.a.b: ", "\"01.2.3\" is no version range"},
    {HEAD PROVIDES "requires: {a.b: ^1}\noptional: {a.b: ^1}\n",
     "m.yaml:9: optional.a.b: ", "is required already"},
    {HEAD PROVIDES "upgrade_lock: A B\n",
     "m.yaml:8: upgrade_lock: ", "expected true, false or the name of a group"},
    {HEAD PROVIDES "sla: {error_rate: 2}\n",
     "m.yaml:8: sla.error_rate: ", "expected a share between 0 and 1"},
    {HEAD PROVIDES "state: {imports: [1]}\n", "m.yaml:8: state: ", "\"schema\" is missing"},
    {HEAD PROVIDES "state: {schema: 1, imports: [0]}\n",
     "m.yaml:8: state.imports[0]: ", "expected a schema number"},
    {HEAD PROVIDES "state: {schema: -1}\n", "m.yaml:8: state.schema: ", "expected a schema number"},
    {HEAD PROVIDES "state: {schema: 1, imports: 1}\n",
     "m.yaml:8: state.imports: ", "expected a list"},
    {HEAD PROVIDES "state:\n  schema: 3\n  imports:\n    - 2\n    - 1\n    - 2\n",
     "m.yaml:13: state.imports[2]: ", "schema 2 is listed twice"},
    {HEAD PROVIDES "execution: thread\n", "m.yaml:8: execution: ", "expected inline or pool"},
    {HEAD PROVIDES "isolation: none\n", "m.yaml:8: isolation: ", "expected worker or process"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < GR_COUNT(mistakes); i++) {
        GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
        struct gr_error e = {0};
        int r = compile(mistakes[i].yaml, NULL, NULL, &json, &e);
        if (r != -EINVAL || strncmp(e.message, mistakes[i].place, strlen(mistakes[i].place)) != 0 ||
            !strstr(e.message, mistakes[i].sentence))
            fail_msg("%s\nexpected \"%s... %s\", got %d \"%s\"", mistakes[i].yaml,
                     mistakes[i].place, mistakes[i].sentence, r, e.message);
        assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    }
}

static void test_build_disagrees(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    struct gr_error e = {0};
    assert_int_equal(compile(HEAD PROVIDES, "auth", NULL, &json, &e), -EINVAL);
    assert_string_equal(e.message, "m.yaml:1: module: says \"pay\" while the build makes module "
                                   "\"auth\"; make them the same.");
    assert_int_equal(compile(HEAD PROVIDES, "pay", "1", &json, &e), -EINVAL);
    assert_non_null(strstr(e.message, "the build's version \"1\" is no semantic version"));
}

static void test_too_much(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    GR_AUTO_BUF struct gr_buf yaml = GR_BUF(1u << 20);
    struct gr_error e = {0};
    assert_int_equal(gr_buf_printf(&yaml, HEAD PROVIDES), 0);
    for (int i = 0; i < 31; i++)
        assert_int_equal(gr_buf_printf(&yaml, "      M%d: {}\n", i), 0);
    assert_int_equal(compile(yaml.data, NULL, NULL, &json, &e), 0); // 32 with Refund
    gr_buf_clear(&json);
    assert_int_equal(gr_buf_printf(&yaml, "      Last: {}\n"), 0);
    assert_int_equal(compile(yaml.data, NULL, NULL, &json, &e), -EINVAL);
    assert_non_null(strstr(e.message, "to 33 methods"));
    while (yaml.len <= 64 * 1024)
        assert_int_equal(gr_buf_printf(&yaml, "# a long comment\n"), 0);
    assert_int_equal(compile(yaml.data, NULL, NULL, &json, &e), -E2BIG);
    assert_int_equal(e.reason, GR_REASON_TOO_LARGE);
}

static void test_note_source(void **state)
{
    (void)state;
    GR_AUTO_BUF struct gr_buf source = GR_BUF(4096);
    assert_int_equal(gr_contract_emit_note("{\"module\":\"pay\"}", &source), 0);
    assert_non_null(strstr(source.data, "char name[12];\n    char text[16];\n"));
    assert_non_null(strstr(source.data, "    9, 16, 1, \"Grayling\",\n"
                                        "    \"{\\\"module\\\":\\\"pay\\\"}\"};\n"));
    GR_AUTO_BUF struct gr_buf small = GR_BUF(100);
    assert_int_equal(gr_contract_emit_note("{}", &small), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_host_reads_it),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_build_disagrees),
        cmocka_unit_test(test_one_text_for_one_meaning),
        cmocka_unit_test(test_too_many_needs),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_note_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
