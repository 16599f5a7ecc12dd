// Calls that do not end. Nothing may jump out of one (docs/DISPATCH.md), so that giving it up
// means: somebody else answers its client, it is counted, and nobody waits for it. What it may
// still touch (its version, its table) stays where it is, since the seat goes on naming it.
#include "dispatch/internal.h"
#include <stdio.h>

struct given_up { // what on_fault is told, once the lock is open
    bool known;
    unsigned slot;
    char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1];
    char request_id[40], build_id[81], detail[160];
};

static void name_method(const struct gr_contract *c, unsigned number, struct given_up *g)
{
    for (size_t i = 0; i < c->n_provides; number -= (unsigned)c->provides[i++].n_methods)
        if (number < c->provides[i].n_methods) {
            snprintf(g->interface_name, sizeof g->interface_name, "%s", c->provides[i].name);
            snprintf(g->method_name, sizeof g->method_name, "%s",
                     c->provides[i].methods[number].name);
            return;
        }
}

// The seat's frames, outermost first; 0: it is not overdue. A callee has no more time than whoever
// waits for it. One in another process is given up by its caller's own thread, which then goes on
// (away.c): whoever waits for it is not late before that.
static unsigned overdue_frames_locked(const struct gr_thread *t, uint64_t now_nsec,
                                      uint32_t frames[GR_CALL_DEPTH_MAX])
{
    uint32_t depth = atomic_load_explicit(&t->inside->depth, memory_order_acquire);
    bool overdue = false;
    if (depth > GR_CALL_DEPTH_MAX)
        return 0;
    for (uint32_t i = 0; i < depth; i++) {
        overdue |= atomic_load_explicit(&t->inside->due_nsec[i], memory_order_relaxed) < now_nsec;
        frames[i] = atomic_load_explicit(&t->inside->frames[i], memory_order_relaxed);
    }
    if (!overdue)
        return 0;
    const struct gr_instance *inner =
        gr_instance_in_slot_locked(t->dispatch, frames[depth - 1] >> 16);
    return inner && inner->away ? 0 : depth;
}

// Every version that was asked owes this answer. Its rows are the stuck thread's own, which does
// not count itself any more.
static void count(struct gr_thread *t, const uint32_t *frames, unsigned depth, uint64_t nsec)
{
    struct gr_stats_segment *seg = t->dispatch->stats->seg;
    gr_stats_raise(&seg->rows[frames[depth - 1] >> 16][t->row].faults[GR_FAULT_TIMEOUT], 1);
    for (unsigned i = 0; i < depth && !atomic_load(&t->shadow); i++)
        gr_stats_record(&seg->rows[frames[i] >> 16][t->row], GRAYLING_DEADLINE_EXCEEDED, nsec, true,
                        i > 0);
}

static void note_locked(const struct gr_thread *t, struct gr_instance *guilty, uint32_t frame,
                        uint64_t ran_usec, struct given_up *ret)
{
    char ran[32];
    *ret = (struct given_up){.known = true, .slot = frame >> 16};
    name_method(guilty->contract, frame & UINT16_MAX, ret);
    gr_stats_request_id(t->dispatch->stats->seg, t->row, ret->request_id);
    memcpy(ret->build_id, guilty->build_id, sizeof ret->build_id);
    snprintf(ret->detail, sizeof ret->detail, "the call had not ended %s after its request began",
             gr_duration_format(ran_usec, ran));
    atomic_store(&guilty->faulted, true);
    atomic_store(&guilty->hung, true);
}

// As with a worker's death: whether it was the probe is what the breaker remembers.
static void count_for_breaker(struct gr_instance *guilty, uint64_t now_usec)
{
    struct gr_breaker b;
    gr_stats_breaker_read(guilty->breaker, &b);
    gr_breakers_fault(guilty, b.probe != 0, now_usec);
}

static bool give_up_locked(struct gr_thread *t, bool (*claim)(void *, const struct gr_overdue *),
                           void *userdata, struct given_up *ret)
{
    uint32_t frames[GR_CALL_DEPTH_MAX];
    uint64_t now = gr_now_nsec();
    const struct gr_record *r = gr_entered_locked(t->dispatch, t);
    unsigned depth = r && !atomic_load(&t->lost) ? overdue_frames_locked(t, now, frames) : 0;
    if (depth == 0)
        return false;
    struct gr_instance *asked = gr_instance_in_slot_locked(t->dispatch, frames[0] >> 16);
    struct gr_instance *guilty = gr_instance_in_slot_locked(t->dispatch, frames[depth - 1] >> 16);
    char request_id[40];
    gr_stats_request_id(t->dispatch->stats->seg, t->row, request_id);
    struct gr_overdue o = {
        .thread = t,
        .module = asked ? asked->contract->module.s : "",
        .version = asked ? asked->contract->version.text : "",
        .candidate = asked && r->member.candidate == asked,
        .request_id = request_id,
    };
    if (claim && !claim(userdata, &o))
        return false;
    uint64_t ran = now / 1000 - atomic_load(&t->inside->started_usec);
    atomic_store(&t->lost, true);
    count(t, frames, depth, ran * 1000);
    if (guilty) {
        note_locked(t, guilty, frames[depth - 1], ran, ret);
        count_for_breaker(guilty, now / 1000);
    }
    return true;
}

static void tell(const struct gr_dispatch *d, const struct given_up *g)
{
    if (g->known && d->options.on_fault)
        d->options.on_fault(d->options.userdata, &(struct gr_fault){
                                                     .slot = g->slot,
                                                     .kind = GR_FAULT_TIMEOUT,
                                                     .detail = g->detail,
                                                     .build_id = g->build_id,
                                                     .interface_name = g->interface_name,
                                                     .method_name = g->method_name,
                                                     .request_id = g->request_id,
                                                 });
}

unsigned gr_dispatch_overdue(struct gr_dispatch *d,
                             bool (*claim)(void *userdata, const struct gr_overdue *o),
                             void *userdata)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->max_threads; i++) {
        struct given_up g = {0};
        pthread_mutex_lock(&d->lock);
        bool lost = give_up_locked(&d->threads[i], claim, userdata, &g);
        pthread_mutex_unlock(&d->lock);
        if (!lost)
            continue;
        gr_leave_notify(d); // a freeze that waits for it need not any more
        tell(d, &g);
        n++;
    }
    return n;
}

void gr_thread_is_back(struct gr_thread *t)
{
    pthread_mutex_lock(&t->dispatch->lock); // whoever gives it up does so under the lock
    atomic_store(&t->lost, false);
    pthread_mutex_unlock(&t->dispatch->lock);
}
