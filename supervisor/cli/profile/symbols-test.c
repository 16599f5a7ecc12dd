// Functions of a real file, this program itself, by address; static ones too. Another file is told
// by its build-id, and what is no program is refused.
#include "cli/profile/symbols.h"
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static volatile int anything;

static __attribute__((noinline)) int a_static_function(void)
{
    return anything;
}

static int note_base(struct dl_phdr_info *info, size_t size, void *ret)
{
    (void)size;
    *(uint64_t *)ret = info->dlpi_addr; // the program is the first
    return 1;
}

static void a_function_is_found_by_each_of_its_addresses(void **state)
{
    struct gr_symbols *s;
    uint64_t base = 0;
    (void)state;
    (void)a_static_function();
    dl_iterate_phdr(note_base, &base);
    assert_int_equal(gr_symbols_load("/proc/self/exe", "", &s), 0);
    uint64_t at = (uint64_t)a_static_function - base;
    assert_string_equal(gr_symbols_find(s, at), "a_static_function");
    assert_string_equal(gr_symbols_find(s, at + 1), "a_static_function");
    const char *before = gr_symbols_find(s, at - 1);
    assert_true(!before || strcmp(before, "a_static_function"));
    assert_null(gr_symbols_find(s, 0));
    assert_null(gr_symbols_find(s, UINT64_MAX));
    gr_symbols_free(s);
}

static void another_build_is_another_file(void **state)
{
    struct gr_symbols *s;
    (void)state;
    assert_int_equal(gr_symbols_load("/proc/self/exe", "00112233", &s), -ESTALE);
    assert_int_equal(gr_symbols_load("/nowhere.so", "", &s), -ENOENT);
    assert_int_equal(gr_symbols_load("/dev/null", "", &s), -ENOEXEC);
    assert_int_equal(gr_symbols_load("/proc/self/task", "", &s), -ENOEXEC);
}

// A file cut off anywhere, or with a byte turned, is refused or read, and nothing else.
static void a_damaged_file_does_no_harm(void **state)
{
    (void)state;
    char path[] = "/tmp/grayling-symbols-XXXXXX";
    int fd = mkstemp(path);
    FILE *self = fopen("/proc/self/exe", "re");
    static unsigned char bytes[1u << 20];
    assert_true(fd >= 0 && self);
    size_t n = fread(bytes, 1, sizeof bytes, self);
    fclose(self);
    assert_true(n > 4096);
    for (unsigned i = 0; i < 64; i++) {
        struct gr_symbols *s = NULL;
        unsigned char *turned = &bytes[(i * 37) % 64]; // the header, which all else hangs on
        *turned ^= 0xff;
        assert_int_equal(pwrite(fd, bytes, n - i * 61, 0), (ssize_t)(n - i * 61));
        assert_int_equal(ftruncate(fd, (off_t)(n - i * 61)), 0);
        *turned ^= 0xff;
        if (gr_symbols_load(path, "", &s) == 0)
            (void)gr_symbols_find(s, 0x1000);
        gr_symbols_free(s);
    }
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_is_found_by_each_of_its_addresses),
        cmocka_unit_test(another_build_is_another_file),
        cmocka_unit_test(a_damaged_file_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
