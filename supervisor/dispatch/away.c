// The calling side of a version in another process. A call takes a slot of the ring, whose payload
// is written there once; the answer is sent from where it lies, unless somebody here would look
// into bytes that module code can still change.
#include "dispatch/away.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>

#define NEVER_USEC (UINT64_C(1) << 52) // a hundred years of uptime

// A process's ring, with who is in it. It outlives the process until nobody is.
struct line {
    struct gr_ring *ring;
    enum gr_fault_kind kind; // of its end, if `blamed`; both are written before `gone`
    bool blamed;
    _Atomic bool gone, overdue, counted;
    _Atomic unsigned probes; // calls inside that decide about the breaker
    // under the lock of `away`
    uint64_t taken, lost; // slots; lost: taken, and its server may still write to it
    unsigned held;        // slots whose response is being sent
    bool current;
    struct place { // what a response that lies in a slot is given back by
        struct gr_away *away;
        struct line *line;
        unsigned slot;
    } places[GR_RING_SLOTS_MAX];
};
_Static_assert(GR_RING_SLOTS_MAX <= 64, "slots are bits of a word");

struct gr_away {
    pthread_mutex_t lock;
    struct line *line; // NULL: absent
    unsigned may_hold; // slots beyond one for each thread
    struct gr_away_callbacks cb;
};

unsigned gr_away_slots(const struct gr_dispatch *d)
{
    unsigned n = d->max_threads + GR_RING_HELD_MAX;
    return n < GR_RING_SLOTS_MAX ? n : GR_RING_SLOTS_MAX;
}

// --- the line ----------------------------------------------------------------------------------

static void free_if_left(struct line *l)
{
    if (l->current || l->taken)
        return;
    gr_ring_free(l->ring);
    free(l);
}

// The lowest free slot, whose server ran last and is warm. NULL: absent, or *ret_full.
static struct place *enter(struct gr_away *a, bool *ret_full)
{
    struct place *p = NULL;
    pthread_mutex_lock(&a->lock);
    struct line *l = a->line;
    *ret_full = l != NULL;
    if (l && l->taken != UINT64_MAX) {
        p = &l->places[__builtin_ctzll(~l->taken)];
        if (p->slot < gr_ring_slots(l->ring))
            l->taken |= UINT64_C(1) << p->slot;
        else
            p = NULL;
    }
    pthread_mutex_unlock(&a->lock);
    return p;
}

// p, and its line unless others are in it, are gone then.
static void leave(struct place *p, bool held)
{
    struct gr_away *a = p->away;
    struct line *l = p->line;
    gr_ring_clear(l->ring, p->slot);
    pthread_mutex_lock(&a->lock);
    l->held -= held;
    l->taken &= ~(UINT64_C(1) << p->slot);
    free_if_left(l);
    pthread_mutex_unlock(&a->lock);
}

// The same without an answer: until the process is gone its server may still write there.
static void leave_lost(struct place *p)
{
    struct gr_away *a = p->away;
    struct line *l = p->line;
    pthread_mutex_lock(&a->lock);
    if (l->current)
        l->lost |= UINT64_C(1) << p->slot;
    else
        l->taken &= ~(UINT64_C(1) << p->slot);
    free_if_left(l);
    pthread_mutex_unlock(&a->lock);
}

static bool may_hold(struct place *p)
{
    struct gr_away *a = p->away;
    pthread_mutex_lock(&a->lock);
    bool may = p->line->held < a->may_hold;
    p->line->held += may;
    pthread_mutex_unlock(&a->lock);
    return may;
}

bool gr_away_present(struct gr_away *a)
{
    pthread_mutex_lock(&a->lock);
    bool present = a->line != NULL;
    pthread_mutex_unlock(&a->lock);
    return present;
}

// --- a call ------------------------------------------------------------------------------------

static void give_back(void *owner, const void *data, uint64_t size)
{
    (void)data, (void)size;
    leave(owner, true);
}

// What is sent to a client from the ring is bytes and no more. A module that called, the comparison
// of shadows, and who finds too many others waiting for slow clients, get a copy.
static bool can_lie(const struct grayling_call *c)
{
    return c->depth == 0 && !c->thread->shadow && !c->record->member.gray;
}

// The slot is given back, now or with the response.
static int32_t take_answer(struct grayling_call *c, struct place *p)
{
    struct gr_ring_answer answer;
    bool lies = false;
    if (gr_ring_read(p->line->ring, p->slot, &answer) < 0) {
        snprintf(c->message, GR_SENTENCE_BYTES,
                 "the module's process answered with a size that no response has");
        answer.code = GRAYLING_INTERNAL;
    } else if (answer.code != GRAYLING_OK) {
        if (answer.message[0]) { // else what its callee said, if it ends with the same code
            memcpy(c->message, answer.message, GR_SENTENCE_BYTES);
            c->passed = 0;
        }
    } else if (answer.payload.size > 0) {
        struct gr_held *held = &c->instance->held[c->thread->index];
        lies = can_lie(c) && may_hold(p);
        c->answer = lies ? gr_answer_take(answer.payload, give_back, p, held)
                         : gr_answer_copy(answer.payload);
        if (!c->answer)
            answer.code = GRAYLING_RESOURCE_EXHAUSTED;
    }
    if (!lies || !c->answer)
        leave(p, lies);
    return answer.code;
}
_Static_assert(GR_SENTENCE_BYTES == sizeof(((struct gr_ring_answer *)0)->message), "copied whole");

// Whoever waited for the call has to be able to say what came of it: what it does from here on is
// measured anew.
static void spare_callers(const struct grayling_call *c)
{
    struct gr_stats_inside *in = c->thread->inside;
    uint64_t until = gr_now_nsec() + c->thread->dispatch->options.call_grace_usec * 1000;
    for (unsigned i = 0; i < c->depth; i++)
        if (atomic_load_explicit(&in->due_nsec[i], memory_order_relaxed) < until)
            atomic_store_explicit(&in->due_nsec[i], until, memory_order_relaxed);
}

// Past its deadline. Whoever ends the process takes the call's probe for ended.
static int32_t give_up(struct grayling_call *c, struct place *p)
{
    struct gr_away *a = p->away;
    const struct grayling_request *q = c->request;
    c->end = GR_END_LATE;
    c->end_counts = !atomic_exchange(&p->line->overdue, true);
    if (c->end_counts)
        a->cb.overdue(a->cb.userdata, q->interface_name, q->method_name,
                      q->request_id ? q->request_id : "");
    snprintf(c->message, GR_SENTENCE_BYTES,
             "the module did not answer by the deadline; its process is replaced");
    leave_lost(p);
    spare_callers(c);
    return GRAYLING_DEADLINE_EXCEEDED;
}

static int32_t lose(struct grayling_call *c, struct place *p)
{
    struct line *l = p->line;
    c->end = GR_END_LOST;
    c->end_counts = l->blamed && !atomic_load(&l->overdue) && !atomic_exchange(&l->counted, true);
    c->end_kind = l->kind;
    leave_lost(p);
    spare_callers(c);
    return GRAYLING_INTERNAL;
}

// When the call is overdue: by what its contract declares, not by the haste of a client; and no
// later than whoever waits for it here, so that of two that do not answer it is the inner one that
// is to blame, and its process that ends.
static uint64_t limit_of(const struct grayling_call *c)
{
    const struct gr_stats_inside *in = c->thread->inside;
    uint64_t own = gr_now_nsec(), nsec = own + c->limit_nsec;
    uint64_t bound = c->depth > 0 ? c->thread->bound_nsec : 0;
    nsec = bound && bound < nsec ? bound : nsec;
    for (unsigned i = 0; i < c->depth; i++) {
        uint64_t due = atomic_load_explicit(&in->due_nsec[i], memory_order_relaxed);
        nsec = due < nsec ? due : nsec;
    }
    return nsec >= GR_NEVER_NSEC ? NEVER_USEC : nsec / 1000;
}

// The bytes are copied first: module code here would look into them, and the process can still
// change them. It has a thread that waits, which is this one.
static int32_t call_on(struct grayling_call *c, struct place *p, struct grayling_bytes *ret)
{
    struct gr_ring_call call GR_UNINITIALIZED;
    if (gr_ring_called(p->line->ring, p->slot, &call) < 0)
        return GRAYLING_INTERNAL;
    GR_AUTO_FREE void *payload = malloc(call.payload.size + 1);
    if (!payload)
        return GRAYLING_RESOURCE_EXHAUSTED;
    memcpy(payload, call.payload.data, call.payload.size);
    return gr_host_call(c, call.interface_name, call.method_name,
                        (struct grayling_bytes){payload, call.payload.size}, ret);
}

// Calls another module for the process: in the table that this request pinned, with its cohort, its
// deadline and its header fields, which all are this thread's. Returns how long it took: time that
// the process did not have.
static uint64_t call_for(struct grayling_call *c, struct place *p, uint64_t until_usec)
{
    struct gr_thread *t = c->thread;
    struct gr_guard_frame *armed = t->guard->armed;
    uint64_t begin = gr_mono_now().usec, outer = t->bound_nsec, own = until_usec * 1000;
    struct grayling_bytes answer = {0};
    t->guard->armed = NULL; // a fault in a callee's release function is not the caller's
    t->bound_nsec = outer && outer < own ? outer : own;
    int32_t code = call_on(c, p, &answer);
    t->bound_nsec = outer;
    gr_ring_return(p->line->ring, p->slot, code, answer);
    struct gr_answer *kept = c->kept;
    c->kept = NULL;
    gr_answer_free(t->dispatch, kept);
    t->guard->armed = armed;
    return gr_mono_now().usec - begin;
}

// As gr_ring_await(). What others took of its time it gets back, up to as much again.
static int await(struct grayling_call *c, struct place *p, uint64_t limit_usec)
{
    struct line *l = p->line;
    uint64_t until = limit_usec, last = 0;
    int r;
    while ((r = gr_ring_await(l->ring, p->slot, until, &l->gone)) == GR_RING_WANTS_A_CALL) {
        uint64_t now = gr_mono_now().usec;
        if (last == 0)
            last = limit_usec + (limit_usec > now ? limit_usec - now : 0);
        until += call_for(c, p, until);
        until = until < last ? until : last;
    }
    return r;
}

static int32_t refuse_full(struct grayling_call *c)
{
    snprintf(c->message, GR_SENTENCE_BYTES,
             "as many calls are inside the module's process as it may have at once, try again");
    return GRAYLING_RESOURCE_EXHAUSTED;
}

static int32_t handle(void *self, struct grayling_call *c, const struct grayling_request *q)
{
    bool full;
    struct place *p = enter(self, &full);
    c->end = GR_END_HERE;
    c->end_counts = false;
    if (!p && full)
        return refuse_full(c);
    if (!p) { // it went between the look and now
        c->end = GR_END_LOST;
        return GRAYLING_INTERNAL;
    }
    struct line *l = p->line;
    uint64_t limit_usec = limit_of(c);
    if (gr_ring_ask(l->ring, p->slot, q) < 0) {
        snprintf(c->message, GR_SENTENCE_BYTES,
                 "the request's header fields are too large for the module's process");
        leave(p, false);
        return GRAYLING_RESOURCE_EXHAUSTED;
    }
    atomic_fetch_add(&l->probes, c->probe);
    int r = await(c, p, limit_usec);
    if (r == -ETIMEDOUT)
        return give_up(c, p);
    atomic_fetch_sub(&l->probes, c->probe);
    return r < 0 ? lose(c, p) : take_answer(c, p);
}

static void destroy(void *self)
{
    struct gr_away *a = self;
    a->cb.end(a->cb.userdata);
}

static const struct grayling_module block = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(block),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .handle = handle,
    .destroy = destroy,
};

// --- the instance ------------------------------------------------------------------------------

int gr_away_new(struct gr_dispatch *d, const struct gr_load *l, struct gr_contract *contract,
                const struct gr_away_callbacks *cb, struct gr_instance **ret, struct gr_error *e)
{
    struct gr_away *a = calloc(1, sizeof(*a));
    if (!a)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_LOAD_FAILED,
                                      "asked to load %s, but memory ran out", l->path);
    unsigned slots = gr_away_slots(d);
    *a = (struct gr_away){.may_hold = slots > d->max_threads ? slots - d->max_threads : 0,
                          .cb = *cb};
    pthread_mutex_init(&a->lock, NULL);
    int r = gr_instance_adopt(d, l, contract, &block, a, ret, e);
    if (r < 0) {
        a->cb.free = NULL; // the caller's still
        gr_away_free(a);
    }
    return r;
}

void gr_away_free(struct gr_away *a)
{
    if (!a)
        return;
    if (a->cb.free)
        a->cb.free(a->cb.userdata);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

int gr_away_attach(struct gr_instance *i, struct gr_ring *ring)
{
    struct gr_away *a = i->away;
    struct line *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->ring = ring;
    l->current = true;
    for (unsigned s = 0; s < GR_RING_SLOTS_MAX; s++)
        l->places[s] = (struct place){a, l, s};
    pthread_mutex_lock(&a->lock);
    a->line = l;
    pthread_mutex_unlock(&a->lock);
    return 0;
}

// No call comes in any more; those inside still wait.
static struct line *take_line(struct gr_away *a)
{
    pthread_mutex_lock(&a->lock);
    struct line *l = a->line;
    a->line = NULL;
    pthread_mutex_unlock(&a->lock);
    return l;
}

static void wake_all(struct gr_away *a, struct line *l)
{
    pthread_mutex_lock(&a->lock);
    atomic_store(&l->gone, true);
    l->current = false;
    l->taken &= ~l->lost;
    for (unsigned s = 0; s < gr_ring_slots(l->ring); s++)
        if (l->taken & UINT64_C(1) << s)
            gr_ring_hang_up(l->ring, s);
    free_if_left(l);
    pthread_mutex_unlock(&a->lock);
}

void gr_away_detach(struct gr_instance *i, const struct gr_fault *fault)
{
    const struct gr_dispatch_options *o = &i->dispatch->options;
    struct line *l = take_line(i->away);
    if (fault && o->on_fault)
        o->on_fault(o->userdata, fault);
    bool probe = l && atomic_load(&l->probes) > 0;
    if (fault || probe) // a probe that nobody ends would keep the breaker half-open
        gr_breakers_fault(i, probe, gr_mono_now().usec);
    if (!l)
        return;
    atomic_store(&i->lost, i->contract->has_state);
    l->blamed = fault != NULL;
    l->kind = fault ? fault->kind : GR_FAULT_EXIT;
    wake_all(i->away, l);
}

int gr_away_hook(struct gr_away *a, struct gr_state_hook *h)
{
    return a->cb.hook ? a->cb.hook(a->cb.userdata, h) : -ENOTCONN;
}

void gr_away_give_up(struct gr_away *a, const char *why)
{
    if (a->cb.give_up)
        a->cb.give_up(a->cb.userdata, why);
}

void gr_away_count(struct gr_instance *i, const char *name, uint64_t add)
{
    gr_stats_count(i->dispatch->stats, i->slot, name, add);
}
