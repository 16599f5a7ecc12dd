// What a version is told of its peers when it is loaded: all needs of its contract, in the
// contract's order, with the versions that the order names; and whom its calls get to.
#include "worker/live/http-client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define MEMBERS "com.example.members."

static struct fake *f;
static struct answer a;

static int start(void **state)
{
    (void)state;
    f = fake_start(1, 0);
    fake_serve(f);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    cJSON_Delete(fake_await(f, fake_begin_drain(f, 20000000)));
    return fake_finish(f);
}

static void route(const char *module, int slot)
{
    cJSON *answer = fake_swap(f, module, slot, -1);
    if (!fake_is(answer, "swapped"))
        fail_msg("%s", cJSON_Print(answer));
    cJSON_Delete(answer);
}

static void load_told(int slot, const char *module, const char *version, const char *peers)
{
    cJSON *answer = fake_try_load_told(f, slot, module, version, NULL, peers);
    if (!fake_is(answer, "loaded"))
        fail_msg("%s", cJSON_Print(answer));
    cJSON_Delete(answer);
}

static void expect(const char *path, const char *body)
{
    struct client *c = client_tcp(f);
    client_post(c, path, "{}");
    client_read(c, &a);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, body);
    client_free(c);
}

static void test_nobody_named_is_nobody_there(void **state)
{
    (void)state;
    fake_load(f, 1, "guest", "1.0.0", NULL);
    route("guest", 1);
    expect("/" MEMBERS "GUEST/Peers",
           "{\"peers\":{\"" MEMBERS "M00\":null,\"" MEMBERS "M01\":null}}");
    expect("/" MEMBERS "GUEST/Chain", "{\"chain\":\"guest@1.0.0 -\"}");
}

static void test_those_named_are_told_in_the_contracts_order(void **state)
{
    (void)state;
    fake_load(f, 2, "m00", "1.1.0", NULL);
    load_told(3, "m01", "1.0.0", "[{\"interface\":\"" MEMBERS "M00\",\"version\":\"1.1.0\"}]");
    route("m00", 2);
    route("m01", 3);
    expect("/" MEMBERS "M01/Peers", "{\"peers\":{\"" MEMBERS "M00\":\"1.1.0\"}}");
    expect("/" MEMBERS "M01/Chain", "{\"chain\":\"m01@1.0.0 m00@1.1.0\"}");
}

static void test_null_and_strangers_tell_nothing(void **state)
{
    (void)state;
    load_told(4, "m02", "1.0.0",
              "[{\"interface\":\"a.B\",\"version\":\"9.0.0\"},"
              "{\"interface\":\"" MEMBERS "M01\",\"version\":null}]");
    route("m02", 4);
    expect("/" MEMBERS "M02/Peers", "{\"peers\":{\"" MEMBERS "M01\":null}}");
}

static void test_peers_without_a_name_are_refused(void **state)
{
    (void)state;
    cJSON *answer = fake_try_load_told(f, 5, "m03", "1.0.0", NULL, "[{\"version\":\"1.0.0\"}]");
    assert_true(fake_is(answer, "failed"));
    assert_non_null(strstr(gr_json_get(answer, "message")->valuestring, "peers[].interface"));
    cJSON_Delete(answer);
}

// guest takes M00 in ^1 only: 2.0.0 is nobody for it.
static void test_calls_get_to_what_the_range_allows(void **state)
{
    (void)state;
    expect("/" MEMBERS "GUEST/Chain", "{\"chain\":\"guest@1.0.0 m00@1.1.0\"}");
    fake_load(f, 6, "m00", "2.0.0", NULL);
    route("m00", 6);
    expect("/" MEMBERS "GUEST/Chain", "{\"chain\":\"guest@1.0.0 -\"}");
    expect("/" MEMBERS "M00/Chain", "{\"chain\":\"m00@2.0.0\"}");
    route("m00", 2);
    expect("/" MEMBERS "GUEST/Chain", "{\"chain\":\"guest@1.0.0 m00@1.1.0\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_named_is_nobody_there),
        cmocka_unit_test(test_those_named_are_told_in_the_contracts_order),
        cmocka_unit_test(test_calls_get_to_what_the_range_allows),
        cmocka_unit_test(test_null_and_strangers_tell_nothing),
        cmocka_unit_test(test_peers_without_a_name_are_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
