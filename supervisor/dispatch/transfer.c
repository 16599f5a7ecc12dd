// State from the versions in force to the next ones, under the freeze: export_state() of the old,
// import_state() of the new, module by module. The hooks run on a thread of their own, so that one
// that does not return holds neither the freeze nor whoever asked for the exchange: at the deadline
// the thread is left alone, and keeps both versions loaded until it comes back.
#include "base/fault.h"
#include "dispatch/apart.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct gr_transfer {
    struct gr_dispatch *dispatch;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    // under the lock
    enum { PARKED, RUNNING, DONE, DISMISSED } phase;
    bool abandoned;      // the exchange has gone on without this thread, which frees all this
    size_t at;           // the pass
    const char *hook;    // ... and what of it runs
    struct gr_error why; // of a failure
    uint64_t bytes;
    size_t n;
    struct passing {
        struct gr_pass pass;
        struct gr_memory *memory; // that the state is in; NULL: in bytes of the old version's
    } passing[];
};

static void free_transfer(struct gr_transfer *t)
{
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

// --- sentences ---------------------------------------------------------------------------------

// What came of a hand-over, and that the old version goes on.
static int refuse(struct gr_error *e, int code, const struct gr_pass *p, const char *what,
                  const char *remedy)
{
    return gr_error_set(e, code, GR_REASON_STATE_HANDOVER_FAILED,
                        "asked to hand the state of module %s from version %s to %s, but %s; the "
                        "version in force goes on with its state: %s",
                        p->from->contract->module.s, p->from->contract->version.text,
                        p->to->contract->version.text, what, remedy);
}

static int refuse_hook(struct gr_error *e, int code, const struct gr_pass *p, const char *hook,
                       const char *what)
{
    char text[GR_HOOK_WHERE_MAX + 80];
    bool old = strcmp(hook, "import_state") != 0;
    snprintf(text, sizeof(text), "%s() of the %s version %s", hook, old ? "old" : "new", what);
    return refuse(e, code, p, text,
                  old ? "see its log lines; it may have to be replaced without its state (one-way)"
                      : "see its log lines, and publish a version that takes this state");
}

// --- one hook ----------------------------------------------------------------------------------

// false: the exchange does not wait any more. What an import unsettles is so before the gates can
// open on it.
static bool announce(struct gr_transfer *t, const char *hook, struct gr_instance *unsettles)
{
    pthread_mutex_lock(&t->lock);
    t->hook = hook;
    bool wanted = !t->abandoned;
    if (wanted && unsettles) {
        atomic_store(&unsettles->unsettled, true);
        atomic_store(&unsettles->lost, false); // unless its process ends from here on
    }
    pthread_mutex_unlock(&t->lock);
    return wanted;
}

static int run_hook(struct gr_transfer *t, struct gr_instance *of, const char *hook,
                    int32_t (*fn)(void *), void *arg, struct gr_error *e)
{
    const struct gr_pass *p = &t->passing[t->at].pass;
    char where[GR_HOOK_WHERE_MAX], what[GR_HOOK_WHERE_MAX + 32];
    int32_t code = GRAYLING_OK;
    bool sound = gr_hook_run(of, hook, fn, arg, &code, where);
    if (sound && code == GRAYLING_OK)
        return 0;
    if (sound)
        snprintf(what, sizeof(what), "returned code %d where 0 is expected", code);
    else
        snprintf(what, sizeof(what), "crashed with %s", where);
    return refuse_hook(e, sound ? -ECANCELED : -EFAULT, p, hook, what);
}

struct passed { // what the hooks of one pass share
    const struct gr_pass *pass;
    struct grayling_state given, taken; // as the old version gave it; as the new one sees it
    struct gr_apart apart;
    bool imported; // import_state() here was called, and did not refuse
};

static int32_t call_export(void *arg)
{
    struct passed *s = arg;
    return s->pass->from->block->export_state(s->pass->from->self, &s->given);
}

static int32_t call_import(void *arg)
{
    struct passed *s = arg;
    return s->pass->to->block->import_state(s->pass->to->self, &s->taken);
}

static int32_t call_release(void *arg)
{
    const struct passed *s = arg;
    s->given.release(s->given.owner, s->given.bytes.data, s->given.bytes.size);
    return GRAYLING_OK;
}

// --- one module --------------------------------------------------------------------------------

// Nobody writes to the object before somebody is in force again. Not when that is so already.
static int keep_still(struct gr_transfer *t, struct gr_memory *m, char why[GR_HOOK_WHERE_MAX])
{
    int r = 0;
    pthread_mutex_lock(&t->lock);
    if (!t->abandoned) {
        r = gr_memory_protect(m, false);
        t->passing[t->at].memory = m;
    }
    pthread_mutex_unlock(&t->lock);
    if (r < 0)
        snprintf(why, GR_HOOK_WHERE_MAX, "gave a memory object that cannot be protected: %s",
                 strerror(-r));
    return r;
}

static int take_memory(struct gr_transfer *t, struct passed *s, char why[GR_HOOK_WHERE_MAX])
{
    struct gr_memory *m;
    const struct gr_pass *p = s->pass;
    int r = gr_memory_take(p->from, p->to, s->given.memory, s->given.memory_size, &m, why);
    if (r < 0)
        return r;
    int fd;
    gr_memory_describe(m, &s->taken.bytes, &fd);
    s->taken.bytes.size = s->given.memory_size;
    return keep_still(t, m, why);
}

static int carry(struct gr_transfer *t, struct passed *s, char why[GR_HOOK_WHERE_MAX])
{
    int r = gr_apart_carry(&s->apart, &s->given, &s->taken, why);
    return r == 0 && s->apart.carried.memory ? keep_still(t, s->apart.carried.memory, why) : r;
}

// Of a copy that nobody has taken over.
static void leave_carried(struct gr_transfer *t, struct passed *s)
{
    if (!s->imported) {
        pthread_mutex_lock(&t->lock);
        if (s->apart.carried.memory)
            t->passing[t->at].memory = NULL;
        pthread_mutex_unlock(&t->lock);
    }
    gr_apart_done(&s->apart, !s->imported);
}

// The new version sees the contract's schema, and the state in one form whichever it came in.
static int examine(struct gr_transfer *t, struct passed *s, struct gr_error *e)
{
    char why[GR_HOOK_WHERE_MAX] = "";
    uint64_t schema = s->pass->from->contract->state_schema;
    s->taken = s->given;
    s->taken.release = NULL;
    s->taken.owner = NULL;
    int r = 0;
    if (s->given.schema != schema) {
        r = -EPROTO;
        snprintf(why, sizeof(why), "says schema %u where its contract says %llu", s->given.schema,
                 (unsigned long long)schema);
    } else if (gr_pass_is_apart(s->pass)) {
        r = carry(t, s, why);
    } else if (s->given.memory >= 0) {
        r = take_memory(t, s, why);
    } else if (!s->given.bytes.data && s->given.bytes.size > 0) {
        r = -EPROTO;
        snprintf(why, sizeof(why), "says %llu bytes and gives none",
                 (unsigned long long)s->given.bytes.size);
    }
    return r < 0 ? refuse_hook(e, r, s->pass, "export_state", why) : 0;
}

static int injected(int r, const struct gr_pass *p, struct gr_error *e)
{
    return r < 0 ? refuse(e, r, p, "an injected fault stopped it", "try again") : 0;
}

static int import(struct gr_transfer *t, struct passed *s, struct gr_error *e)
{
    const struct gr_pass *p = s->pass;
    if (!p->to->away) {
        int r = run_hook(t, p->to, "import_state", call_import, s, e);
        s->imported = r != -ECANCELED;
        return r;
    }
    char what[GR_APART_WHAT_MAX];
    int r = gr_apart_import(&s->apart, what);
    return r < 0 ? refuse_hook(e, r, p, "import_state", what) : 0;
}

static int export(struct gr_transfer *t, struct passed *s, struct gr_error *e)
{
    const struct gr_pass *p = s->pass;
    if (!p->from->away)
        return run_hook(t, p->from, "export_state", call_export, s, e);
    char what[GR_APART_WHAT_MAX];
    const char *hook = "export_state";
    int r = gr_apart_export(&s->apart, &hook, what);
    s->given.schema = s->apart.label.schema;
    return r < 0 ? refuse_hook(e, r, p, hook, what) : 0;
}

static int take_over(struct gr_transfer *t, struct passed *s, struct gr_error *e)
{
    const struct gr_pass *p = s->pass;
    int r = examine(t, s, e);
    if (r == 0)
        r = injected(GR_FAULT("handover.import"), p, e);
    if (r < 0)
        return r;
    if (!announce(t, "import_state", p->to))
        return -ETIMEDOUT;
    r = import(t, s, e);
    return r < 0 ? r : injected(GR_FAULT("handover.imported"), p, e);
}

static int release(struct gr_transfer *t, struct passed *s, int r, struct gr_error *e)
{
    struct gr_error crashed;
    if (!s->given.release)
        return r;
    (void)announce(t, "release", NULL);
    int k = run_hook(t, s->pass->from, "release", call_release, s, &crashed);
    if (k == 0 || r < 0)
        return r;
    *e = crashed;
    return k;
}

static int pass_on(struct gr_transfer *t, struct gr_error *e)
{
    const struct gr_pass *p = &t->passing[t->at].pass;
    struct passed s = {.pass = p,
                       .given = {.struct_size = sizeof(s.given),
                                 .schema = (uint32_t)p->from->contract->state_schema,
                                 .memory = -1}};
    int r = gr_apart_init(&s.apart, p);
    if (r < 0)
        r = refuse(e, r, p, "there is no memory to carry it between processes", "try again");
    else
        r = injected(GR_FAULT("handover.export"), p, e);
    if (r == 0 && !announce(t, "export_state", NULL))
        r = -ETIMEDOUT;
    if (r == 0)
        r = export(t, &s, e);
    if (r == 0) {
        r = take_over(t, &s, e);
        t->bytes += s.taken.bytes.size;
        r = release(t, &s, r, e);
    }
    leave_carried(t, &s);
    return r;
}

// --- the thread --------------------------------------------------------------------------------

// The last that this thread has to do with the versions, and with dispatch.
static void leave(struct gr_transfer *t)
{
    struct gr_dispatch *d = t->dispatch;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < t->n; i++) {
        t->passing[i].pass.from->handing--;
        t->passing[i].pass.to->handing--;
    }
    d->handing--;
    gr_leave_notify(d);
    pthread_mutex_unlock(&d->lock);
}

static void finish(struct gr_transfer *t, int r, const struct gr_error *e)
{
    leave(t);
    pthread_mutex_lock(&t->lock);
    bool abandoned = t->abandoned;
    t->phase = DONE;
    t->why = *e;
    t->why.code = r;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (abandoned)
        free_transfer(t);
}

static void *run(void *arg)
{
    struct gr_transfer *t = arg;
    struct gr_error e = {0};
    int r = 0;
    pthread_mutex_lock(&t->lock);
    while (t->phase == PARKED)
        pthread_cond_wait(&t->changed, &t->lock);
    bool wanted = t->phase == RUNNING;
    pthread_mutex_unlock(&t->lock);
    if (!wanted)
        return NULL;
    while (r == 0 && t->at < t->n) {
        r = pass_on(t, &e);
        pthread_mutex_lock(&t->lock);
        t->at += r == 0;
        pthread_mutex_unlock(&t->lock);
    }
    finish(t, r, &e);
    return NULL;
}

// --- the exchange's side -----------------------------------------------------------------------

static struct gr_transfer *allocate(struct gr_dispatch *d, const struct gr_plan *p)
{
    struct gr_transfer *t = calloc(1, sizeof(*t) + p->n_passes * sizeof(t->passing[0]));
    pthread_condattr_t monotonic;
    if (!t)
        return NULL;
    t->dispatch = d;
    t->n = p->n_passes;
    for (size_t i = 0; i < t->n; i++)
        t->passing[i].pass = p->passes[i];
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return t;
}

int gr_transfer_new(struct gr_dispatch *d, const struct gr_plan *p, struct gr_transfer **ret,
                    struct gr_error *e)
{
    *ret = NULL;
    if (p->n_passes == 0)
        return 0;
    struct gr_transfer *t = allocate(d, p);
    int r = t ? -pthread_create(&t->thread, NULL, run, t) : -ENOMEM;
    if (r < 0) {
        if (t)
            free_transfer(t);
        return gr_error_set_retryable(e, r, GR_REASON_STATE_HANDOVER_FAILED,
                                      "asked to hand state over, but no thread could be started "
                                      "for it (%s); nothing has changed: try again",
                                      strerror(-r));
    }
    *ret = t;
    return 0;
}

// Two hooks of one version at once would be more than it was told to expect.
static int enter(struct gr_transfer *t, struct gr_error *e)
{
    struct gr_dispatch *d = t->dispatch;
    const struct gr_pass *busy = NULL;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < t->n && !busy; i++)
        if (t->passing[i].pass.from->handing > 0 || t->passing[i].pass.to->handing > 0)
            busy = &t->passing[i].pass;
    for (size_t i = 0; i < t->n && !busy; i++) {
        t->passing[i].pass.from->handing++;
        t->passing[i].pass.to->handing++;
    }
    d->handing += !busy;
    pthread_mutex_unlock(&d->lock);
    return busy ? refuse(e, -EBUSY, busy, "a hook of an earlier try has not returned yet",
                         "wait for it, or replace the worker, which loses the state")
                : 0;
}

// At the deadline. The old versions are in force from here on, whatever the thread still does.
static int abandon(struct gr_transfer *t, struct gr_error *e)
{
    const struct gr_pass *p = &t->passing[t->at < t->n ? t->at : t->n - 1].pass;
    char what[160];
    bool import = strcmp(t->hook, "import_state") == 0;
    t->abandoned = true;
    // what has half of a state in it serves nobody; who has the state goes on
    bool ends = import && p->to->away;
    snprintf(what, sizeof(what),
             "%s() of the %s version was still running at the end of the freeze budget, and %s",
             t->hook, import ? "new" : "old",
             ends ? "its process is replaced" : "is left alone on its thread");
    if (ends)
        gr_away_give_up(p->to->away, "import_state() did not return within the freeze budget");
    return refuse(e, -ETIMEDOUT, p, what,
                  "raise freeze_budget above what the hook takes, or shorten the hook");
}

static void make_writable(const struct gr_transfer *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->passing[i].memory)
            (void)!gr_memory_protect(t->passing[i].memory, true);
}

int gr_transfer_run(struct gr_transfer **transfer, struct gr_mono deadline,
                    struct gr_swap_result *ret, struct gr_error *e)
{
    struct gr_transfer *t = *transfer;
    if (!t)
        return 0;
    struct timespec limit = {.tv_sec = (time_t)(deadline.usec / GR_USEC_PER_SEC),
                             .tv_nsec = (long)(deadline.usec % GR_USEC_PER_SEC) * 1000};
    struct gr_dispatch *d = t->dispatch;
    struct gr_mono begin = gr_mono_now();
    int r = enter(t, e), timeout = 0;
    if (r < 0)
        return r;
    pthread_mutex_lock(&t->lock);
    t->hook = "export_state";
    t->phase = RUNNING;
    pthread_cond_signal(&t->changed);
    while (t->phase != DONE && timeout != ETIMEDOUT)
        timeout = pthread_cond_timedwait(&t->changed, &t->lock, &limit);
    bool done = t->phase == DONE;
    if (done) {
        r = t->why.code;
        if (r < 0 && e)
            *e = t->why;
        ret->handed = (unsigned)t->n;
        ret->state_bytes = t->bytes;
    } else {
        pthread_detach(t->thread);
        r = abandon(t, e);
        make_writable(t);
        *transfer = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    ret->handover_usec = gr_mono_now().usec - begin.usec;
    gr_stats_handover(d->stats, ret->handover_usec, ret->state_bytes, r == 0);
    return r;
}

void gr_transfer_settle(struct gr_transfer *t, bool committed)
{
    if (!t)
        return;
    make_writable(t);
    for (size_t i = 0; committed && i < t->n; i++) {
        const struct gr_pass *p = &t->passing[i].pass;
        atomic_store(&p->to->unsettled, false);
        p->to->took_from = p->from->number;
    }
}

void gr_transfer_free(struct gr_transfer *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->phase == PARKED)
        t->phase = DISMISSED;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    free_transfer(t);
}
