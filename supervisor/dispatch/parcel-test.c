// A parcel against whoever fills it and lies: about its size, before the seal, after it, and by
// keeping a hand in it.
#include "dispatch/parcel.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static int parcel_with(const char *text)
{
    int fd;
    assert_int_equal(gr_parcel_new(&fd), 0);
    assert_int_equal(gr_parcel_put(fd, text, strlen(text)), 0);
    return fd;
}

static int open_with(int fd, uint64_t size, uint64_t object)
{
    struct grayling_bytes view;
    int r = gr_parcel_open(fd, &(struct gr_parcel_label){.size = size, .object = object}, &view);
    if (r == 0)
        gr_parcel_close(&view);
    return r;
}

static void what_is_put_in_comes_out(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    struct grayling_bytes view;
    assert_int_equal(gr_parcel_seal(fd), 0);
    assert_int_equal(gr_parcel_seal(fd), 0); // by whoever was quicker
    assert_int_equal(gr_parcel_open(fd, &(struct gr_parcel_label){.size = 5}, &view), 0);
    assert_int_equal(view.size, 5);
    assert_memory_equal(view.data, "three", 5);
    gr_parcel_close(&view);
    assert_int_equal(gr_parcel_open(fd, &(struct gr_parcel_label){.size = 0}, &view), 0);
    assert_null(view.data);
    gr_parcel_close(&view);
    close(fd);
}

static void nobody_changes_its_size(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    assert_true(ftruncate(fd, 1) < 0 && errno == EPERM);
    assert_true(ftruncate(fd, (off_t)GR_STATE_BYTES_MAX * 2) < 0 && errno == EPERM);
    assert_true(pwrite(fd, "x", 1, (off_t)GR_STATE_BYTES_MAX) < 0);
    close(fd);
}

static void sizes_are_not_believed(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    assert_int_equal(gr_parcel_seal(fd), 0);
    assert_int_equal(open_with(fd, GR_STATE_BYTES_MAX + 1, 0), -EPROTO);
    assert_int_equal(open_with(fd, UINT64_MAX, 0), -EPROTO);
    assert_int_equal(open_with(fd, 5, 4), -EPROTO); // more than its object has
    assert_int_equal(open_with(fd, 5, GR_STATE_BYTES_MAX + 1), -EPROTO);
    assert_int_equal(open_with(fd, 5, 5), 0);
    // within the parcel, but never written: nothing, and no fault
    struct grayling_bytes view;
    assert_int_equal(gr_parcel_open(fd, &(struct gr_parcel_label){.size = 1 << 20}, &view), 0);
    assert_int_equal(((const char *)view.data)[(1 << 20) - 1], 0);
    gr_parcel_close(&view);
    close(fd);
}

static void what_is_too_much_or_not_there_is_not_put_in(void **state)
{
    (void)state;
    int fd;
    void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(hole != MAP_FAILED);
    assert_int_equal(gr_parcel_new(&fd), 0);
    assert_int_equal(gr_parcel_put(fd, "x", GR_STATE_BYTES_MAX + 1), -EFBIG);
    assert_int_equal(gr_parcel_put(fd, hole, 4096), -EFAULT);
    munmap(hole, 4096);
    close(fd);
}

static void nothing_unsealed_is_opened(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    assert_int_equal(open_with(fd, 5, 0), -EPERM);
    close(fd);
    // another object in its place, sealed but short: its end is not overrun
    fd = memfd_create("no parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0 && ftruncate(fd, 4096) == 0);
    assert_int_equal(open_with(fd, 5, 0), -EPERM);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_int_equal(open_with(fd, 4097, 0), -EPROTO);
    assert_int_equal(open_with(fd, 4096, 0), 0);
    close(fd);
}

static void a_hand_in_it_keeps_it_from_being_sealed(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    char *hand = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(hand != MAP_FAILED);
    assert_int_equal(gr_parcel_seal(fd), -EBUSY);
    assert_int_equal(open_with(fd, 5, 0), -EPERM);
    munmap(hand, 4096);
    assert_int_equal(gr_parcel_seal(fd), 0);
    close(fd);
    fd = parcel_with("three"); // or the seal is forbidden
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
    assert_int_equal(gr_parcel_seal(fd), -EPERM);
    assert_int_equal(open_with(fd, 5, 0), -EPERM);
    close(fd);
}

static void nobody_writes_after_the_seal(void **state)
{
    (void)state;
    int fd = parcel_with("three");
    int other = dup(fd); // as the other process has it
    struct grayling_bytes view;
    assert_int_equal(gr_parcel_seal(fd), 0);
    assert_int_equal(gr_parcel_open(fd, &(struct gr_parcel_label){.size = 5}, &view), 0);
    assert_true(pwrite(other, "x", 1, 0) < 0 && errno == EPERM);
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0) == MAP_FAILED);
    assert_true(fallocate(other, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
    assert_true(ftruncate(other, 0) < 0);
    assert_memory_equal(view.data, "three", 5);
    gr_parcel_close(&view);
    close(other);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_comes_out),
        cmocka_unit_test(nobody_changes_its_size),
        cmocka_unit_test(sizes_are_not_believed),
        cmocka_unit_test(what_is_too_much_or_not_there_is_not_put_in),
        cmocka_unit_test(nothing_unsealed_is_opened),
        cmocka_unit_test(a_hand_in_it_keeps_it_from_being_sealed),
        cmocka_unit_test(nobody_writes_after_the_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
