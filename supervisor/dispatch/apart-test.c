// State between versions here and versions elsewhere: it goes every way and comes back, and a
// process that refuses, crashes, lies, hangs or ends leaves it where it was. What is elsewhere is
// in a dispatch object of its own here, and a hook that a test may put in its place.
#include "dispatch/afar.h"
#include "dispatch/away.h"
#include "dispatch/internal.h"
#include "dispatch/testmodules/keep.h"
#include <sys/mman.h>

#define SLOT 40 // of the first version elsewhere

static const char contract_json[] =
    "{\"module\":\"keeper\",\"version\":\"%s\",\"abi\":{\"major\":1,\"minor\":0},\"provides\":[{"
    "\"interface\":\"" KEEPER "\",\"version\":\"1.0.0\",\"methods\":{\"Add\":{},\"Get\":{}}}],"
    "\"requires\":{},\"optional\":{},\"state\":{\"schema\":1,\"imports\":[]},"
    "\"execution\":\"inline\",\"isolation\":\"process\"}";

struct elsewhere { // one version and its process
    struct fixture far;
    struct keeper_orders orders;
    struct gr_instance *there, *here;
    int (*lie)(struct elsewhere *e, struct gr_state_hook *h); // after the hook; NULL: honest
    int gone;                                                 // < 0: in place of any answer
    void *hand;                                               // kept in a parcel
    _Atomic unsigned given_up, ended;
};

static int hook(void *userdata, struct gr_state_hook *h)
{
    struct elsewhere *e = userdata;
    if (e->gone < 0)
        return e->gone;
    gr_afar_hook(e->there, h);
    return e->lie ? e->lie(e, h) : 0;
}

static void give_up(void *userdata, const char *why)
{
    struct elsewhere *e = userdata;
    assert_non_null(why);
    atomic_fetch_add(&e->given_up, 1);
}

static void end(void *userdata)
{
    struct elsewhere *e = userdata;
    atomic_fetch_add(&e->ended, 1);
}

static void add_elsewhere(struct fixture *f, struct elsewhere *e, const char *version)
{
    char file[32], text[sizeof(contract_json) + 16];
    struct gr_contract *contract;
    static unsigned slots;
    const struct gr_dispatch_options o = {
        .max_threads = 1, .on_log = fixture_on_log, .userdata = &e->far};
    assert_int_equal(gr_dispatch_new(&o, &e->far.d, &f->e), 0);
    strcpy(e->far.dir, "/tmp/grayling-dispatch-XXXXXX");
    assert_non_null(mkdtemp(e->far.dir));
    snprintf(file, sizeof(file), "keeper-%s", version);
    e->there = load_keeper(&e->far, file, &e->orders);
    int len = snprintf(text, sizeof(text), contract_json, version);
    if (gr_contract_parse(text, (size_t)len, &contract, &f->e) < 0)
        fail_msg("%s", f->e.message);
    const struct gr_away_callbacks cb = {
        .hook = hook, .give_up = give_up, .end = end, .userdata = e};
    const struct gr_load load = {.path = "/nowhere/keeper.so", .fd = -1, .slot = SLOT + slots++};
    assert_int_equal(gr_away_new(f->d, &load, contract, &cb, &e->here, &f->e), 0);
}

static void remove_elsewhere(struct elsewhere *e)
{
    gr_dispatch_free(e->far.d);
    remove_copies(&e->far);
}

static void must_not_exchange(struct fixture *f, struct gr_instance *to, const char *words)
{
    struct gr_swap_result result;
    assert_true(exchange(f, "keeper", to, &result) < 0);
    assert_sentence(f, words);
}

// One version in force here with a count of 3, one more here, two elsewhere.
struct setting {
    struct keeper_orders orders[2];
    struct gr_instance *here[2];
    struct elsewhere away[2];
};

// Whoever is unloaded at the end still tells.
static struct setting scene;

static void set_scene(struct fixture *f, struct setting *s, bool memory)
{
    memset(s, 0, sizeof(*s));
    assert_int_equal(gr_guard_install(f->d), 0);
    for (int i = 0; i < 2; i++)
        s->orders[i].memory = s->away[i].orders.memory = memory;
    s->here[0] = load_keeper(f, "keeper-1.0.0", &s->orders[0]);
    s->here[1] = load_keeper(f, "keeper-2.0.0", &s->orders[1]);
    add_elsewhere(f, &s->away[0], "1.0.0");
    add_elsewhere(f, &s->away[1], "2.0.0");
    must_exchange(f, "keeper", s->here[0]);
    add(f, KEEPER, 3);
}

static void strike_scene(struct setting *s)
{
    remove_elsewhere(&s->away[0]);
    remove_elsewhere(&s->away[1]);
}

// --- the ways ----------------------------------------------------------------------------------

static void go_every_way(struct fixture *f, struct setting *s)
{
    struct gr_swap_result result;
    assert_int_equal(exchange(f, "keeper", s->away[0].here, &result), 0);
    assert_int_equal(result.handed, 1);
    assert_int_equal(result.state_bytes, sizeof(uint64_t));
    assert_int_equal(exchange(f, "keeper", s->away[1].here, &result), 0);
    assert_int_equal(result.state_bytes, sizeof(uint64_t));
    must_exchange(f, "keeper", s->here[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    add(f, KEEPER, 2); // it may write to what it was given
    must_exchange(f, "keeper", s->away[0].here);
    must_exchange(f, "keeper", s->here[0]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 5);
    add(f, KEEPER, 1);
    assert_int_equal(s->away[0].orders.exports, 2);
    assert_int_equal(s->away[0].orders.imports, 2);
    assert_int_equal(s->away[0].orders.releases, 2);
    assert_int_equal(s->orders[0].releases, 1);
}

static void it_goes_every_way(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    set_scene(f, s, false);
    go_every_way(f, s);
    strike_scene(s);
}

struct gr_hold { // as in memory.c: only counted
    struct gr_memory *memory;
    struct gr_hold *next;
};

static unsigned objects_of(const struct gr_instance *i)
{
    unsigned n = 0;
    for (const struct gr_hold *h = i->memory; h; h = h->next)
        n++;
    return n;
}

static void an_object_stays_an_object(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    set_scene(f, s, true);
    for (int round = 0; round < 2 * GR_STATE_OBJECTS_MAX; round++) {
        must_exchange(f, "keeper", s->away[0].here);
        must_exchange(f, "keeper", s->here[0]);
        assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    }
    assert_int_equal(objects_of(s->here[0]), 1);
    assert_int_equal(objects_of(s->away[0].there), 1);
    // what is refused is not kept either
    for (int round = 0; round < 2 * GR_STATE_OBJECTS_MAX; round++) {
        atomic_store(&s->away[0].orders.on_import, KEEPER_FAIL);
        must_not_exchange(f, s->away[0].here, "import_state() of the new version returned code 14");
    }
    assert_int_equal(objects_of(s->away[0].there), 1);
    must_exchange(f, "keeper", s->away[0].here);
    for (int round = 0; round < 2 * GR_STATE_OBJECTS_MAX; round++) {
        atomic_store(&s->orders[0].on_import, KEEPER_FAIL);
        must_not_exchange(f, s->here[0], "import_state() of the new version returned code 14");
    }
    must_exchange(f, "keeper", s->here[0]);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    strike_scene(s);
}

// --- what goes wrong in the process ------------------------------------------------------------

static void the_old_one_goes_on(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    set_scene(f, s, false);
    struct elsewhere *to = &s->away[1];
    atomic_store(&to->orders.on_import, KEEPER_FAIL);
    must_not_exchange(f, to->here, "import_state() of the new version returned code 14");
    assert_int_equal(to->given_up, 0);
    atomic_store(&to->orders.on_import, KEEPER_CRASH);
    must_not_exchange(f, to->here,
                      "import_state() of the new version crashed with signal 11 at 1.so+0x");
    assert_int_equal(to->given_up, 1);
    to->gone = -EPIPE;
    must_not_exchange(f, to->here,
                      "import_state() of the new version did not return: its process ended");
    to->gone = -ENOTCONN;
    must_not_exchange(f, to->here, "was not called: it has no process just now");
    to->gone = 0;
    assert_int_equal(s->orders[0].exports, 4);
    assert_int_equal(s->orders[0].releases, 4);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    must_exchange(f, "keeper", s->away[0].here); // whose export goes wrong
    struct keeper_orders *o = &s->away[0].orders;
    atomic_store(&o->on_export, KEEPER_FAIL);
    must_not_exchange(f, s->here[1], "export_state() of the old version returned code 14");
    atomic_store(&o->on_export, KEEPER_CRASH);
    must_not_exchange(f, s->here[1], "export_state() of the old version crashed with signal 11");
    atomic_store(&o->on_export, KEEPER_SCHEMA);
    must_not_exchange(f, s->here[1], "says schema 77 where its contract says 1");
    o->shares = 1; // so that the crash loses no memory
    atomic_store(&o->on_release, KEEPER_CRASH);
    must_not_exchange(f, s->here[1], "release() of the old version crashed");
    s->away[0].gone = -EPIPE;
    must_not_exchange(f, s->here[1], "export_state() of the old version did not return");
    s->away[0].gone = 0;
    assert_int_equal(s->away[0].given_up, 0); // it has the state
    must_exchange(f, "keeper", s->here[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    assert_int_equal(f->faults, 0);
    strike_scene(s);
}

static void an_import_that_hangs_costs_its_process(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    struct stuck stuck;
    set_scene(f, s, false);
    make_stuck(&stuck, &s->away[1].orders);
    atomic_store(&s->away[1].orders.on_import, KEEPER_HANG);
    overrun(f, s->away[1].here, &stuck);
    assert_sentence(f, "import_state() of the new version was still running at the end of the "
                       "freeze budget, and its process is replaced");
    assert_true(s->away[1].given_up >= 1);
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    let_go(&stuck); // as the process's end would
    while (exchange(f, "keeper", s->away[1].here, &(struct gr_swap_result){0}) == -EBUSY)
        continue;
    must_exchange(f, "keeper", s->here[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 4);
    close_stuck(&stuck);
    strike_scene(s);
}

// --- a process that ends -----------------------------------------------------------------------

// As far as the version is concerned: a ring that was attached is detached.
static void lose_process(struct fixture *f, struct elsewhere *e)
{
    struct gr_ring *ring;
    int fd;
    assert_int_equal(gr_ring_new(gr_away_slots(f->d), &ring, &fd), 0);
    close(fd);
    assert_int_equal(gr_away_attach(e->here, ring), 0);
    gr_away_detach(e->here, NULL);
}

static void who_gave_the_state_goes_on_with_it(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    struct gr_swap_result result;
    set_scene(f, s, false);
    must_exchange(f, "keeper", s->away[0].here);
    lose_process(f, &s->away[0]);
    unsigned exports = s->away[0].orders.exports;
    assert_int_equal(exchange(f, "keeper", s->here[0], &result), 0); // the way back
    assert_int_equal(result.handed, 0);
    assert_non_null(strstr(f->last_log, "it goes on with the state that it gave to 1.0.0"));
    assert_int_equal(number_of(f, KEEPER, "Add"), 4);
    // there again: what the process took along before does not count any more
    must_exchange(f, "keeper", s->away[0].here);
    must_exchange(f, "keeper", s->here[0]);
    assert_int_equal(s->away[0].orders.exports, exports + 1);
    // forward there is nobody who has more
    must_exchange(f, "keeper", s->away[0].here);
    lose_process(f, &s->away[0]);
    must_exchange(f, "keeper", s->here[1]);
    assert_int_equal(s->away[0].orders.exports, exports + 2);
    assert_int_equal(s->orders[1].imports, 1);
    strike_scene(s);
}

// The one that would go on has lost it too, or holds what an import left half-done.
static void who_has_nothing_more_takes_what_there_is(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    struct gr_swap_result result;
    set_scene(f, s, false);
    must_exchange(f, "keeper", s->away[0].here);
    must_exchange(f, "keeper", s->away[1].here);
    lose_process(f, &s->away[0]);
    lose_process(f, &s->away[1]);
    assert_int_equal(exchange(f, "keeper", s->away[0].here, &result), 0);
    assert_int_equal(result.handed, 1);
    must_exchange(f, "keeper", s->here[0]);
    must_exchange(f, "keeper", s->away[0].here);
    atomic_store(&s->orders[0].on_import, KEEPER_FAIL);
    must_not_exchange(f, s->here[0], "returned code 14");
    lose_process(f, &s->away[0]);
    assert_int_equal(exchange(f, "keeper", s->here[0], &result), 0);
    assert_int_equal(result.handed, 1);
    strike_scene(s);
}

// --- lies --------------------------------------------------------------------------------------

static int says_too_much(struct elsewhere *e, struct gr_state_hook *h)
{
    (void)e;
    h->label.size = UINT64_MAX;
    return 0;
}

static int says_too_large_an_object(struct elsewhere *e, struct gr_state_hook *h)
{
    (void)e;
    h->label.object = GR_STATE_BYTES_MAX + 1;
    return 0;
}

static int says_more_than_the_object_has(struct elsewhere *e, struct gr_state_hook *h)
{
    (void)e;
    h->label.object = h->label.size - 1;
    return 0;
}

static int keeps_a_hand_in_it(struct elsewhere *e, struct gr_state_hook *h)
{
    e->hand = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    return 0;
}

static int forbids_the_seal(struct elsewhere *e, struct gr_state_hook *h)
{
    (void)e;
    return fcntl(h->fd, F_ADD_SEALS, F_SEAL_SEAL) < 0 ? -EPIPE : 0;
}

static int says_a_longer_state(struct elsewhere *e, struct gr_state_hook *h)
{
    (void)e;
    h->label.size += 8; // zeros, which the importer judges
    return 0;
}

static void no_lie_is_believed(void **state)
{
    struct fixture *f = *state;
    struct setting *s = &scene;
    const struct {
        int (*lie)(struct elsewhere *e, struct gr_state_hook *h);
        const char *words;
    } lies[] = {
        {says_too_much, "export_state() of the old version says sizes that no state has"},
        {says_too_large_an_object, "says sizes that no state has"},
        {says_more_than_the_object_has, "says sizes that no state has"},
        {keeps_a_hand_in_it, "gave state that its process can still change"},
        {forbids_the_seal, "gave state that its process can still change"},
        {says_a_longer_state, "import_state() of the new version returned code 15"},
    };
    set_scene(f, s, false);
    must_exchange(f, "keeper", s->away[0].here);
    for (size_t i = 0; i < GR_COUNT(lies); i++) {
        struct gr_instance *to[] = {s->here[1], s->away[1].here};
        for (size_t k = 0; k < GR_COUNT(to); k++) {
            s->away[0].lie = lies[i].lie;
            must_not_exchange(f, to[k], lies[i].words);
            if (s->away[0].hand)
                munmap(s->away[0].hand, 4096);
            s->away[0].hand = NULL;
        }
    }
    s->away[0].lie = NULL;
    must_exchange(f, "keeper", s->here[1]);
    assert_int_equal(number_of(f, KEEPER, "Get"), 3);
    strike_scene(s);
}

int main(void)
{
#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(it_goes_every_way),
        WITH_FIXTURE(an_object_stays_an_object),
        WITH_FIXTURE(the_old_one_goes_on),
        WITH_FIXTURE(an_import_that_hangs_costs_its_process),
        WITH_FIXTURE(who_gave_the_state_goes_on_with_it),
        WITH_FIXTURE(who_has_nothing_more_takes_what_there_is),
        WITH_FIXTURE(no_lie_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
