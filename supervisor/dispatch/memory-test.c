// State in a memory object: it changes hands where it is, only one may write at a time, and a
// module cannot pass something else off as one.
#include "dispatch/testmodules/keep.h"
#include <errno.h>
#include <sys/resource.h>

static struct fixture *guarded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gr_guard_install(f->d), 0);
    return f;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

struct two {
    struct keeper_orders orders[2];
    struct gr_instance *version[2];
};

// The first one in force, with a count of 3 in an object of one megabyte.
static void load_two(struct fixture *f, struct two *t)
{
    for (int i = 0; i < 2; i++)
        t->orders[i] = (struct keeper_orders){.bytes = 1u << 20, .memory = 1};
    t->version[0] = load_keeper(f, "keeper-1.0.0", &t->orders[0]);
    t->version[1] = load_keeper(f, "keeper-2.0.0", &t->orders[1]);
    must_exchange(f, "keeper", t->version[0]);
    add(f, KEEPER, 3);
}

static void test_the_object_itself_changes_hands(void **state)
{
    struct fixture *f = *state;
    struct two t;
    struct gr_swap_result result;
    unsigned before = open_descriptors();
    load_two(f, &t);
    assert_int_equal(open_descriptors(), before + 2); // each version made one
    unsigned long long where = number_of(f, KEEPER, "Where");
    assert_int_equal(exchange(f, "keeper", t.version[1], &result), 0);
    assert_int_equal(result.state_bytes, 1u << 20);
    assert_int_equal(number_of(f, KEEPER, "Where"), where);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    assert_int_equal(open_descriptors(), before + 1); // the other is of no use to anybody
    must_exchange(f, "keeper", t.version[0]);
    assert_int_equal(number_of(f, KEEPER, "Where"), where);
    assert_int_equal(number_of(f, KEEPER, "Add"), 5);
    must_exchange(f, "keeper", t.version[1]);
    assert_int_equal(gr_instance_unload(f->d, t.version[0], 60 * SECOND), 0);
    assert_int_equal(number_of(f, KEEPER, "Add"), 6); // it outlives who made it
    must_exchange(f, "keeper", load_keeper(f, "keeper-1.0.0", &t.orders[0]));
    assert_int_equal(gr_instance_unload(f->d, t.version[1], 60 * SECOND), 0);
    assert_int_equal(number_of(f, KEEPER, "Where"), where);
    assert_int_equal(open_descriptors(), before + 1);
}

static void test_an_import_that_writes_is_a_fault(void **state)
{
    struct fixture *f = guarded(state);
    struct two t;
    struct gr_swap_result result;
    load_two(f, &t);
    atomic_store(&t.orders[1].on_import, KEEPER_WRITE);
    assert_int_equal(exchange(f, "keeper", t.version[1], &result), -EFAULT);
    assert_sentence(f, "import_state() of the new version crashed with signal 11 at 2.so+0x");
    assert_int_equal(t.orders[0].releases, 1);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4); // the old one may write again
}

static void test_what_is_no_memory_object(void **state)
{
    struct fixture *f = *state;
    struct two t;
    struct gr_swap_result result;
    load_two(f, &t);
    atomic_store(&t.orders[0].on_export, KEEPER_FOREIGN);
    assert_true(exchange(f, "keeper", t.version[1], &result) < 0);
    assert_sentence(f, "names descriptor 0, which is no memory object of memory_new()");
    atomic_store(&t.orders[0].on_export, KEEPER_TOO_MUCH);
    assert_true(exchange(f, "keeper", t.version[1], &result) < 0);
    assert_sentence(f, "says 2048576 bytes of a memory object that has 1048576");
    assert_int_equal(t.orders[1].imports, 0);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
}

// A module that closed the host's descriptor, whose number then named something else.
static void test_a_descriptor_that_was_lost(void **state)
{
    struct fixture *f = *state;
    struct two t;
    struct gr_swap_result result;
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);
    load_two(f, &t);
    // the lowest number that was free is version 1's
    int lost = other + 1;
    while (fcntl(lost, F_GET_SEALS) <= 0)
        lost++;
    assert_int_equal(dup3(other, lost, O_CLOEXEC), lost);
    assert_true(exchange(f, "keeper", t.version[1], &result) < 0);
    assert_sentence(f, "which is no longer the sealed memory object that it was");
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    close(other);
}

static void test_an_overrun_leaves_the_old_one_its_memory(void **state)
{
    struct fixture *f = *state;
    struct two t;
    struct stuck s;
    load_two(f, &t);
    make_stuck(&s, &t.orders[1]);
    atomic_store(&t.orders[1].on_import, KEEPER_HANG);
    overrun(f, t.version[1], &s);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    let_go(&s);
    assert_int_equal(gr_instance_unload(f->d, t.version[1], 60 * SECOND), 0);
    assert_int_equal(number_of(f, KEEPER, "Add"), 5);
    close_stuck(&s);
}

// As in preflight: no file may grow there.
static void test_a_trial_run_has_memory_objects_too(void **state)
{
    struct fixture *f = *state;
    struct keeper_orders orders = {.memory = 1};
    char path[128], config[64];
    struct gr_instance *i;
    struct rlimit before, none;
    snprintf(config, sizeof(config), "{\"orders\":\"%p\"}", (void *)&orders);
    const struct gr_load l = {.path = fresh_copy(f, "keeper-1.0.0", path),
                              .fd = -1,
                              .config = config,
                              .slot = f->copies,
                              .preflight = true};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int r = gr_instance_load(f->d, &l, &i, &f->e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    if (r < 0)
        fail_msg("%s", f->e.message);
    assert_int_equal(gr_instance_unload(f->d, i, SECOND), 0);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_the_object_itself_changes_hands),
        WITH_FIXTURE(test_an_import_that_writes_is_a_fault),
        WITH_FIXTURE(test_what_is_no_memory_object),
        WITH_FIXTURE(test_a_descriptor_that_was_lost),
        WITH_FIXTURE(test_an_overrun_leaves_the_old_one_its_memory),
        WITH_FIXTURE(test_a_trial_run_has_memory_objects_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
