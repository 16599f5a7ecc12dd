// Which clients have a thing already, and which can read it compressed.
#include "base/macros.h"
#include "control/http-negotiate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_etags(void **state)
{
    static const struct {
        const char *header;
        bool has;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"\"abc\"", true},
        {"W/\"abc\"", true},
        {"*", true},
        {"\"x\", \"abc\"", true},
        {"\"x\",W/\"abc\" , \"y\"", true},
        {"\"a,b\", \"abc\"", true},
        {" , ,\"abc\"", true},
        {"\"abcd\"", false},
        {"\"ab\"", false},
        {"\"ABC\"", false},
        {"abc", false},
        {"\"x\"; \"abc\"", false},
        {"\"abc", false},
        {"W/", false},
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(cases); i++)
        if (gr_http_has_etag(cases[i].header, "\"abc\"") != cases[i].has)
            fail_msg("If-None-Match: %s; expected %d", cases[i].header, cases[i].has);
}

static void test_codings(void **state)
{
    static const struct {
        const char *header;
        bool may;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"gzip, deflate, br, zstd", true},
        {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
        {"deflate , gzip ; q=0.001", true},
        {"gzip;q=0", false},
        {"gzip; q=0.000", false},
        {"gzip;Q=0.5", true},
        {"gzip;q=0, *", false},
        {"*, gzip;q=0", false},
        {"*", true},
        {"*;q=0", false},
        {"*;q=0, gzip", true},
        {"identity", false},
        {"identity;q=0, *;q=0.5", true},
        {"gzipped", false},
        {"x-gzip2, gz", false},
        {"gzip;q=", false},
        {"gzip;q=nan", false},
        {"gzip;q=-1", false},
        {"gzip;q=1x", false},
        {"gzip;level=9", false},
        {"deflate", false},
    };
    (void)state;
    for (size_t i = 0; i < GR_COUNT(cases); i++)
        if (gr_http_accepts_coding(cases[i].header, "gzip") != cases[i].may)
            fail_msg("Accept-Encoding: %s; expected %d", cases[i].header, cases[i].may);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_etags),
                                       cmocka_unit_test(test_codings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
