// What doctor says of programs: of this release, of another one, of one that does not tell, absent.
#include "base/json.h"
#include "base/release.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static void write_program(const char *name, const char *says)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", says);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
}

static void assert_line(const struct gr_doctor *d, const char *check, const char *state,
                        const char *part)
{
    const cJSON *line;
    cJSON_ArrayForEach(line, d->lines)
    {
        if (strcmp(gr_output_text(line, "check"), check))
            continue;
        assert_string_equal(gr_output_text(line, "state"), state);
        if (!strstr(gr_output_text(line, "message"), part))
            fail_msg("expected \"%s\" in: %s", part, gr_output_text(line, "message"));
        return;
    }
    fail_msg("no line of %s", check);
}

static void remove_program(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

static void test_a_mixed_installation(void **unused)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray()};
    char says[128];
    (void)unused;
    strcpy(directory, "/tmp/grayling-programs-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(says, sizeof says, "echo grayling-worker %s", gr_release);
    write_program("grayling-worker", says);
    write_program("grayling-preflight", "echo grayling-preflight 0.0.7");
    write_program("grayling-store", "echo is started by the supervisor >&2; exit 22");
    setenv("GRAYLING_LIBEXEC", directory, 1);
    gr_doctor_check_programs(&d);
    assert_line(&d, "grayling-worker", "ok", gr_release);
    assert_line(&d, "grayling-preflight", "fail", "is of release 0.0.7, and this grayctl is");
    assert_line(&d, "grayling-preflight", "fail", "Install the package again, then systemctl");
    assert_line(&d, "grayling-store", "fail", "does not tell its number");
    assert_int_equal(d.worst, GR_HEALTH_FAIL);
    remove_program("grayling-worker");
    remove_program("grayling-preflight");
    remove_program("grayling-store");
    assert_int_equal(rmdir(directory), 0);
    cJSON_Delete(d.lines);
}

// Those that this build made.
static void test_one_release(void **unused)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray()};
    (void)unused;
    if (!getenv("GRAYLING_BUILD"))
        skip();
    setenv("GRAYLING_LIBEXEC", getenv("GRAYLING_BUILD"), 1);
    gr_doctor_check_programs(&d);
    assert_int_equal(d.worst, GR_HEALTH_OK);
    assert_line(&d, "graylingd", "ok", gr_release);
    cJSON_Delete(d.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_mixed_installation),
                                       cmocka_unit_test(test_one_release)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
