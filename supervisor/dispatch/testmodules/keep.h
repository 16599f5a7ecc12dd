// What the tests of state share: versions of keeper with a test's orders, and exchanges of them.
#pragma once
#include "dispatch/testmodules/fixture.h"
#include "dispatch/testmodules/keeper.h"
#include <errno.h>
#include <poll.h>

#define KEEPER "com.example.keeper.Keeper"
#define HOARD "com.example.hoard.Hoard"

static __attribute__((unused)) struct gr_instance *load_keeper(struct fixture *f, const char *file,
                                                               struct keeper_orders *orders)
{
    char config[64];
    struct gr_instance *i = NULL;
    snprintf(config, sizeof(config), "{\"orders\":\"%p\"}", (void *)orders);
    if (load_configured(f, file, config, &i) < 0)
        fail_msg("%s", f->e.message);
    return i;
}

static __attribute__((unused)) int exchange(struct fixture *f, const char *module,
                                            struct gr_instance *to, struct gr_swap_result *ret)
{
    struct gr_change change = {.module = module, .stable = to};
    memset(&f->e, 0, sizeof(f->e));
    return gr_dispatch_swap(f->d, &change, 1, 60 * SECOND, ret, &f->e);
}

static __attribute__((unused)) void must_exchange(struct fixture *f, const char *module,
                                                  struct gr_instance *to)
{
    struct gr_swap_result result;
    if (exchange(f, module, to, &result) < 0)
        fail_msg("%s", f->e.message);
}

static __attribute__((unused)) unsigned long long
number_of(struct fixture *f, const char *interface_name, const char *method)
{
    char text[64];
    assert_int_equal(call_text(f, interface_name, method, "", text), GRAYLING_OK);
    return strtoull(text, NULL, 10);
}

static __attribute__((unused)) void add(struct fixture *f, const char *interface_name, unsigned n)
{
    while (n-- > 0)
        (void)number_of(f, interface_name, "Add");
}

static __attribute__((unused)) void assert_sentence(const struct fixture *f, const char *words)
{
    assert_string_equal(gr_reason_name(f->e.reason), "StateHandoverFailed");
    if (!strstr(f->e.message, words))
        fail_msg("expected \"%s\" in: %s", words, f->e.message);
}

// --- a hook that does not return ---------------------------------------------------------------

struct stuck { // the hook that waits for us
    int entered[2], go[2];
};

static __attribute__((unused)) void make_stuck(struct stuck *s, struct keeper_orders *orders)
{
    assert_true(pipe(s->entered) == 0 && pipe(s->go) == 0);
    orders->entered = s->entered[1];
    orders->go = s->go[0];
}

static __attribute__((unused)) void await_stuck(const struct stuck *s)
{
    char c;
    assert_int_equal(read(s->entered[0], &c, 1), 1);
}

static __attribute__((unused)) void let_go(const struct stuck *s)
{
    assert_int_equal(write(s->go[1], "x", 1), 1);
}

static __attribute__((unused)) void close_stuck(const struct stuck *s)
{
    for (int i = 0; i < 2; i++) {
        close(s->entered[i]);
        close(s->go[i]);
    }
}

// Exchanges until the budget ends inside the hook that hangs: on a busy machine a small one ends
// before the hook was reached, and what was left alone then is waited for with the same budget:
// it may end without the hook, and a budget that grew meanwhile would outlast every test. f->e is
// the last refusal for that.
static __attribute__((unused)) void overrun(struct fixture *f, struct gr_instance *to,
                                            const struct stuck *s)
{
    struct gr_change change = {.module = "keeper", .stable = to};
    struct pollfd entered = {.fd = s->entered[0], .events = POLLIN};
    uint64_t budget = 1000;
    for (int wait_msec = 0; poll(&entered, 1, wait_msec) == 0;) {
        struct gr_swap_result result;
        struct gr_error e = {0};
        int r = gr_dispatch_swap(f->d, &change, 1, budget, &result, &e);
        wait_msec = r == -EBUSY; // the hook is on its way to where it hangs, or to its end
        if (wait_msec)
            continue;
        assert_int_equal(r, -ETIMEDOUT);
        f->e = e;
        budget *= 2;
    }
    await_stuck(s);
}
