// The exchange: close the gates, drain, exchange one pointer, open; or only exchange, where nobody
// has to wait. And the operators' freeze.
#include "base/fault.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// --- gates -------------------------------------------------------------------------------------

// Tells the requests that waited for a gate to try again; they that meet another closed gate park
// again.
static void resume(struct gr_waiter *parked)
{
    while (parked) {
        struct gr_waiter *w = parked;
        parked = w->next;
        w->resume(w);
    }
}

static struct gr_waiter *take_parked_locked(struct gr_dispatch *d, unsigned *ret_n)
{
    struct gr_waiter *first = d->parked;
    *ret_n = d->n_parked;
    gr_stats_parked_add(d->stats, -(int64_t)d->n_parked);
    d->parked = NULL;
    d->parked_end = &d->parked;
    d->n_parked = 0;
    return first;
}

// --- drain -------------------------------------------------------------------------------------

struct culprit {
    struct gr_gates gates;
    bool past_lost; // a call that was given up holds nobody, nor do others in its version
    unsigned thread, row;
    char method[64], request_id[40];
    struct gr_name module;
    char callee[64]; // the method that runs now, when that is another's; "": it is not
    struct gr_name callee_module;
    uint64_t started_usec;
};

static struct gr_name module_in_slot(const struct gr_dispatch *d, unsigned slot)
{
    const struct gr_instance *i = gr_instance_in_slot_locked(d, slot);
    return i ? i->contract->module : (struct gr_name){""};
}

// Who spends the time need not be who was asked.
static void note_innermost(const struct gr_dispatch *d, const struct gr_thread *t, uint32_t depth,
                           struct culprit *c)
{
    c->callee[0] = 0;
    if (depth < 2 || depth > GR_CALL_DEPTH_MAX)
        return;
    uint32_t frame = atomic_load(&t->inside->frames[depth - 1]);
    snprintf(c->callee, sizeof(c->callee), "%s", gr_stats_frame_method(d->stats->seg, frame));
    c->callee_module = module_in_slot(d, frame >> 16);
}

static bool is_lost(const struct gr_dispatch *d, const struct gr_thread *t)
{
    uint32_t depth = atomic_load(&t->inside->depth);
    if (atomic_load(&t->lost) || depth == 0 || depth > GR_CALL_DEPTH_MAX)
        return atomic_load(&t->lost);
    const struct gr_instance *i =
        gr_instance_in_slot_locked(d, atomic_load(&t->inside->frames[depth - 1]) >> 16);
    return i && atomic_load(&i->hung);
}

// A call blocks the freeze when what it entered can reach a closed gate. The last one found is who
// is blamed.
static bool call_in_reach(struct gr_dispatch *d, void *arg)
{
    struct culprit *c = arg;
    for (unsigned i = 0; i < d->max_threads; i++) {
        const struct gr_thread *t = &d->threads[i];
        const struct gr_record *r = gr_entered_locked(d, t);
        if (!r || !gr_gates_meet(&r->reach, &c->gates) || (c->past_lost && is_lost(d, t)))
            continue;
        c->thread = i;
        c->module = r->name;
        uint32_t depth = atomic_load(&t->inside->depth);
        c->started_usec = depth > 0 ? atomic_load(&t->inside->started_usec) : gr_mono_now().usec;
        uint32_t frame = depth > 0 ? atomic_load(&t->inside->frames[0]) : UINT32_MAX;
        snprintf(c->method, sizeof(c->method), "%s", gr_stats_frame_method(d->stats->seg, frame));
        gr_stats_request_id(d->stats->seg, t->row, c->request_id);
        note_innermost(d, t, depth, c);
        return true;
    }
    return false;
}

static int drain_gates(struct gr_dispatch *d, const struct gr_gates *gates, const char *what,
                       bool past_lost, struct gr_mono start, uint64_t budget_usec,
                       struct gr_error *e)
{
    struct culprit c = {.gates = *gates, .past_lost = past_lost};
    if (gr_drain(d, call_in_reach, &c, (struct gr_mono){start.usec + budget_usec}) == 0)
        return 0;
    char budget[32], ran[32], callee[192] = "";
    if (c.callee[0])
        snprintf(callee, sizeof(callee), ", now in its call of module %s, method %s",
                 c.callee_module.s, c.callee);
    uint64_t now = gr_mono_now().usec;
    return gr_error_set_retryable(
        e, -ETIMEDOUT, GR_REASON_FREEZE_TIMEOUT,
        "asked to freeze %s within %s, but thread %u was still inside module %s, method %s, "
        "request \"%s\", "
        "for %s%s; nothing has changed: raise freeze_budget above the longest call, or shorten "
        "that "
        "call",
        what, gr_duration_format(budget_usec, budget), c.thread, c.module.s,
        c.method[0] ? c.method : "(starting)", c.request_id,
        gr_duration_format(now > c.started_usec ? now - c.started_usec : 0, ran), callee);
}

static bool inside_call(const struct gr_dispatch *d)
{
    const struct gr_guard_self *me = gr_guard_of_thread();
    return me && me->row >= 0 && atomic_load(&d->stats->seg->inside[me->row].depth) > 0;
}

// --- the exchange ------------------------------------------------------------------------------

// Takes the right to exchange; the table in force cannot change until end_swap().
static int begin_swap(struct gr_dispatch *d, struct gr_error *e)
{
    pthread_mutex_lock(&d->lock);
    bool busy = d->swapping;
    d->swapping = true;
    pthread_mutex_unlock(&d->lock);
    if (busy)
        return gr_error_set_retryable(
            e, -EALREADY, GR_REASON_INTERNAL,
            "asked for an exchange while another one is under way; wait for its result");
    return 0;
}

static int begin_freeze(struct gr_dispatch *d, struct gr_error *e)
{
    if (inside_call(d))
        return gr_error_set(
            e, -EINVAL, GR_REASON_INTERNAL,
            "asked to freeze from a thread that is inside a call, which would wait for itself; "
            "ask from a thread of the host's own");
    return begin_swap(d, e);
}

static void end_swap(struct gr_dispatch *d)
{
    pthread_mutex_lock(&d->lock);
    gr_reclaim_locked(d);
    d->swapping = false;
    pthread_mutex_unlock(&d->lock);
}

static void close_gates(struct gr_dispatch *d, struct gr_gates *held, const struct gr_gates *gates)
{
    pthread_mutex_lock(&d->lock);
    gr_gates_join(held, gates);
    gr_gates_publish_locked(d);
    pthread_mutex_unlock(&d->lock);
    gr_asym_heavy();
}

static void commit_locked(struct gr_dispatch *d, struct gr_table *next)
{
    struct gr_table *old = atomic_load(&d->current);
    gr_asym_store(&d->current, next);
    old->next_retired = d->retired;
    d->retired = old;
}

// Exchanges (next may be NULL: the old table stays) and opens the swap's gates. Returns how many
// requests had waited.
static unsigned commit_and_open(struct gr_dispatch *d, struct gr_table *next)
{
    pthread_mutex_lock(&d->lock);
    if (next)
        commit_locked(d, next);
    d->held_by_swap = (struct gr_gates){0};
    gr_gates_publish_locked(d);
    unsigned n;
    struct gr_waiter *parked = take_parked_locked(d, &n);
    pthread_mutex_unlock(&d->lock);
    resume(parked);
    return n;
}

// Everything that happens while the gates are closed and nobody is inside.
static int under_freeze(struct gr_transfer **transfer, struct gr_mono deadline,
                        struct gr_swap_result *result, struct gr_error *e)
{
    int r = GR_FAULT("swap.frozen");
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_STATE_HANDOVER_FAILED,
                            "stopped under the freeze by an injected fault");
    return gr_transfer_run(transfer, deadline, result, e);
}

static int exchange(struct gr_dispatch *d, const struct gr_plan *p, struct gr_transfer **transfer,
                    struct gr_table *next, uint64_t budget_usec, struct gr_swap_result *ret,
                    struct gr_error *e)
{
    struct gr_swap_result result = {.table = next->number};
    struct gr_mono start = gr_mono_now(), deadline = {start.usec + budget_usec};
    close_gates(d, &d->held_by_swap, &p->gates);
    // a lost call may still write the state that is to be handed over
    int r = drain_gates(d, &p->gates, p->what, p->n_passes == 0, start, budget_usec, e);
    if (r == 0)
        r = under_freeze(transfer, deadline, &result, e);
    gr_transfer_settle(*transfer, r == 0);
    result.parked = commit_and_open(d, r == 0 ? next : NULL);
    result.freeze_usec = gr_mono_now().usec - start.usec;
    gr_stats_freeze(d->stats, result.freeze_usec, r == 0);
    if (r == 0)
        *ret = result;
    return r;
}

// The next table from `changes`, with the right to exchange taken; end_swap() follows on success
// only.
static int begin_change(struct gr_dispatch *d,
                        int (*begin)(struct gr_dispatch *, struct gr_error *), struct gr_plan *p,
                        struct gr_table **ret_next, struct gr_error *e)
{
    if (!p)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "asked for an exchange, but memory ran out");
    int r = begin(d, e);
    if (r < 0)
        return r;
    r = gr_plan_next(d, p, ret_next, e);
    if (r < 0)
        end_swap(d);
    return r;
}

static struct gr_plan *new_plan(const struct gr_change *changes, size_t n)
{
    struct gr_plan *p = calloc(1, sizeof(*p));
    if (p)
        *p = (struct gr_plan){.changes = changes, .n_changes = n};
    return p;
}

static void tell_left(struct gr_dispatch *d, const struct gr_plan *p)
{
    char text[256];
    for (size_t i = 0; i < p->n_left && d->options.on_log; i++) {
        const struct gr_instance *from = p->left[i].from, *to = p->left[i].to;
        snprintf(text, sizeof(text),
                 "it goes on with the state that it gave to %.64s, whose process has ended since: "
                 "what that one accepted is lost",
                 from->contract->version.text);
        d->options.on_log(d->options.userdata, to->slot, GRAYLING_LOG_WARNING, text);
    }
}

int gr_dispatch_swap(struct gr_dispatch *d, const struct gr_change *changes, size_t n,
                     uint64_t budget_usec, struct gr_swap_result *ret, struct gr_error *e)
{
    GR_AUTO_FREE struct gr_plan *p = new_plan(changes, n);
    GR_AUTO_TABLE struct gr_table *next = NULL;
    struct gr_transfer *transfer = NULL;
    int r = begin_change(d, begin_freeze, p, &next, e);
    if (r < 0)
        return r;
    r = gr_transfer_new(d, p, &transfer, e);
    if (r == 0)
        r = exchange(d, p, &transfer, next, budget_usec, ret, e);
    if (r == 0)
        next = NULL; // in force now
    gr_transfer_free(transfer);
    if (r == 0)
        tell_left(d, p);
    end_swap(d);
    GR_INSTANT("swap.done");
    return r;
}

int gr_dispatch_route(struct gr_dispatch *d, const struct gr_change *changes, size_t n,
                      struct gr_swap_result *ret, struct gr_error *e)
{
    GR_AUTO_FREE struct gr_plan *p = new_plan(changes, n);
    GR_AUTO_TABLE struct gr_table *next = NULL;
    int r = begin_change(d, begin_swap, p, &next, e);
    if (r < 0)
        return r;
    if (p->n_passes + p->n_left > 0) {
        end_swap(d);
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked to route %s without a freeze to another version, but its state "
                            "has to be handed over; ask for a swap",
                            p->what);
    }
    *ret = (struct gr_swap_result){.table = next->number};
    pthread_mutex_lock(&d->lock);
    commit_locked(d, gr_steal(next));
    pthread_mutex_unlock(&d->lock);
    end_swap(d);
    return 0;
}

// --- operators' freeze -------------------------------------------------------------------------

static struct gr_gates gates_of_locked(const struct gr_dispatch *d, const char *const *modules,
                                       size_t n)
{
    struct gr_gates gates = {0};
    for (size_t m = 0; m < n; m++)
        for (unsigned i = 0; i < GR_MODULES_MAX; i++)
            if (d->gates[i].s[0] && strcmp(d->gates[i].s, modules[m]) == 0)
                gr_gates_add(&gates, i);
    return gates;
}

static void open_operators(struct gr_dispatch *d, const struct gr_gates *gates)
{
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < GR_COUNT(gates->bits); i++)
        d->held_by_operator.bits[i] &= ~gates->bits[i];
    gr_gates_publish_locked(d);
    unsigned resumed;
    struct gr_waiter *parked = take_parked_locked(d, &resumed);
    pthread_mutex_unlock(&d->lock);
    resume(parked);
}

static int freeze(struct gr_dispatch *d, const char *const *modules, size_t n, uint64_t budget_usec,
                  struct gr_error *e)
{
    pthread_mutex_lock(&d->lock);
    const struct gr_table *table = atomic_load(&d->current);
    const char *unknown = NULL;
    for (size_t i = 0; i < n && !unknown; i++)
        if (!gr_table_module(table, modules[i]))
            unknown = modules[i];
    struct gr_gates gates = gates_of_locked(d, modules, n), fresh = gates;
    for (unsigned i = 0; i < GR_COUNT(fresh.bits); i++)
        fresh.bits[i] &= ~d->held_by_operator.bits[i];
    pthread_mutex_unlock(&d->lock);
    if (unknown)
        return gr_error_set(e, -ENOENT, GR_REASON_INTERNAL,
                            "asked to freeze module %s, but no module of this name is routed; see "
                            "the list of modules",
                            unknown);
    struct gr_mono start = gr_mono_now();
    close_gates(d, &d->held_by_operator, &fresh);
    int r =
        drain_gates(d, &gates, n == 1 ? modules[0] : "these modules", true, start, budget_usec, e);
    if (r < 0)
        open_operators(d, &fresh);
    return r;
}

int gr_dispatch_freeze(struct gr_dispatch *d, const char *const *modules, size_t n,
                       uint64_t budget_usec, struct gr_error *e)
{
    int r = begin_freeze(d, e);
    if (r < 0)
        return r;
    r = freeze(d, modules, n, budget_usec, e);
    end_swap(d);
    return r;
}

void gr_dispatch_thaw(struct gr_dispatch *d, const char *const *modules, size_t n)
{
    pthread_mutex_lock(&d->lock);
    struct gr_gates gates = gates_of_locked(d, modules, n);
    pthread_mutex_unlock(&d->lock);
    open_operators(d, &gates);
}
