// What doctor says of a clock that does not agree with etcd's.
#include "base/json.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define THEIRS 1795708800 // Thu, 26 Nov 2026 16:00:00 GMT
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: "

static void check(const char *head, int64_t ours, const char *state, const char *part)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray()};
    gr_doctor_check_offset(
        &d, head, (struct gr_wall){.usec = (THEIRS + ours) * (int64_t)GR_USEC_PER_SEC + 900000});
    const cJSON *line = cJSON_GetArrayItem(d.lines, 0);
    assert_string_equal(gr_output_text(line, "state"), state);
    if (!strstr(gr_output_text(line, "message"), part))
        fail_msg("%s", gr_output_text(line, "message"));
    cJSON_Delete(d.lines);
}

static void test_offsets(void **unused)
{
    static const char good[] = HEAD "Thu, 26 Nov 2026 16:00:00 GMT\r\n\r\n";
    (void)unused;
    check(good, 0, "ok", "agrees");
    check(good, 2, "ok", "agrees");
    check(good, -2, "ok", "agrees");
    check(good, 3, "warn", "3 s ahead of etcd");
    check(good, -90, "warn", "90 s behind etcd");
    check(HEAD "soon\r\n", 90, "", "");
    check("HTTP/1.1 200 OK\r\n\r\n", 90, "", "");
    check(NULL, 90, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_offsets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
