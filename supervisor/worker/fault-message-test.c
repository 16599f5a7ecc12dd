// What is said of a fault is what is read of it, and what another process says is not believed
// beyond what it can be.
#include "worker/fault-message.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void both_ways(void **state)
{
    (void)state;
    static const char frames[2][96] = {"pay-1.2.0-01.so+0x12f", "0x7f00"};
    const struct gr_fault f = {.slot = 7,
                               .kind = GR_FAULT_SIGNAL,
                               .signal = SIGBUS,
                               .address = UINT64_C(0xfedcba9876543210),
                               .pid = 4711,
                               .detail = "",
                               .build_id = "abcd",
                               .interface_name = "com.example.pay.PayService",
                               .method_name = "Charge",
                               .request_id = "r-9",
                               .n_frames = 2,
                               .frames = frames};
    struct gr_fault got;
    struct gr_fault_texts texts;
    GR_AUTO_JSON cJSON *m = gr_fault_message(&f);
    assert_non_null(m);
    assert_int_equal(gr_fault_read(m, &got, &texts), 0);
    assert_int_equal(got.kind, GR_FAULT_SIGNAL);
    assert_int_equal(got.signal, SIGBUS);
    assert_true(got.address == f.address);
    assert_string_equal(got.build_id, "abcd");
    assert_string_equal(got.interface_name, f.interface_name);
    assert_string_equal(got.method_name, "Charge");
    assert_string_equal(got.request_id, "r-9");
    assert_int_equal(got.n_frames, 2);
    assert_string_equal(got.frames[0], frames[0]);
    assert_string_equal(got.frames[1], frames[1]);
    assert_int_equal(got.slot, 0); // slot and process are not the other side's to say
    assert_int_equal(got.pid, 0);
}

static int read_text(const char *text, struct gr_fault *ret, struct gr_fault_texts *texts)
{
    GR_AUTO_JSON cJSON *m = NULL;
    assert_int_equal(gr_json_parse(text, strlen(text), 65536, &m, NULL), 0);
    int r = gr_fault_read(m, ret, texts);
    if (r == 0) // what it points into goes with the message
        ret->detail = ret->method_name = "";
    return r;
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    struct gr_fault got;
    struct gr_fault_texts texts;
    assert_int_equal(read_text("{}", &got, &texts), -EINVAL);
    assert_int_equal(read_text("{\"kind\":\"whim\"}", &got, &texts), -EINVAL);
    assert_int_equal(read_text("{\"kind\":\"exit\",\"detail\":7}", &got, &texts), -EINVAL);
    assert_int_equal(read_text("{\"kind\":\"exit\"}", &got, &texts), 0);
    assert_int_equal(got.n_frames, 0);
    assert_int_equal(read_text("{\"kind\":\"signal\",\"signal\":\"SIGNOT\",\"address\":\"zz\","
                               "\"frames\":[1,null,\"x\"]}",
                               &got, &texts),
                     0);
    assert_int_equal(got.signal, 0);
    assert_true(got.address == 0);
    assert_int_equal(got.n_frames, 1);
    char many[4096] = "{\"kind\":\"abort\",\"frames\":[\"f\"";
    for (unsigned i = 0; i < 100; i++)
        strcat(many, ",\"f\"");
    strcat(many, "]}");
    assert_int_equal(read_text(many, &got, &texts), 0);
    assert_int_equal(got.n_frames, GR_EVIDENCE_FRAMES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(what_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
