// One lock for all that is short: the shares' queues, and the ring of shares that have something to
// do and a place to do it in, each with one turn at a time. No call of dispatch under it:
// gr_pool_give_up() is called under dispatch's lock.
#include "worker/pool.h"
#include "base/log.h"
#include "worker/seat.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct share { // one version's
    struct gr_task *first, **end;
    unsigned kept;  // room: reserved, waiting and at work
    unsigned works; // of them: at work
    unsigned waits; // of them: in the queue
    unsigned owed;  // of the rest: reserved before all was sent back, so that it is not wanted
    bool ready;     // in the ring
    struct share *next_ready;
};

struct hand { // a thread and what it is at
    struct gr_pool *pool;
    pthread_t thread;
    const struct gr_thread *seat;
    struct gr_task *task;
    enum hand_state { IDLE, WORKING, ENDING, ASTRAY } state;
};

struct gr_pool {
    struct gr_pool_options options;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool stopping;
    unsigned n_hands, idle, waiting; // waiting: tasks
    struct share *first_ready, **ready_end;
    struct hand hands[GR_POOL_THREADS_MAX];
    struct share shares[GR_INSTANCES_MAX];
};

// --- shares --------------------------------------------------------------------------------------

static void make_ready_locked(struct gr_pool *p, struct share *s)
{
    if (s->ready || !s->first || s->works >= p->options.threads)
        return;
    s->ready = true;
    s->next_ready = NULL;
    *p->ready_end = s;
    p->ready_end = &s->next_ready;
}

static void count_waiting_locked(struct gr_pool *p, int by)
{
    p->waiting += (unsigned)by;
    gr_stats_pool_waiting_add(p->options.stats, by);
}

// NULL: nothing that may be done.
static struct gr_task *take_locked(struct gr_pool *p)
{
    struct share *s = p->first_ready;
    if (!s)
        return NULL;
    p->first_ready = s->next_ready;
    if (!p->first_ready)
        p->ready_end = &p->first_ready;
    s->ready = false;
    struct gr_task *t = s->first;
    if (!t)
        return NULL; // all of them were late
    s->first = t->next;
    if (!s->first)
        s->end = &s->first;
    s->works++;
    s->waits--;
    count_waiting_locked(p, -1);
    make_ready_locked(p, s);
    return t;
}

static void leave_locked(struct gr_pool *p, unsigned slot)
{
    struct share *s = &p->shares[slot];
    s->kept--;
    s->works--;
    make_ready_locked(p, s);
}

// --- hands ---------------------------------------------------------------------------------------

static void *run(void *userdata);

static void start_locked(struct gr_pool *p)
{
    struct hand *h = &p->hands[p->n_hands];
    *h = (struct hand){.pool = p};
    int r = pthread_create(&h->thread, NULL, run, h);
    if (r == 0)
        p->n_hands++;
    else if (p->n_hands == 0)
        gr_log(GR_LOG_WARNING, "no thread for execution: pool: %s; its calls wait", strerror(r));
}

// Whoever takes a task does the same for the next one, so that one signal too few is made good.
static void rouse_locked(struct gr_pool *p)
{
    if (!p->first_ready || p->stopping)
        return;
    if (p->idle > 0)
        pthread_cond_signal(&p->filled);
    else if (p->n_hands < GR_POOL_THREADS_MAX)
        start_locked(p);
}

// From here on nobody gives the call up. true: somebody has.
static bool end_work(struct hand *h)
{
    pthread_mutex_lock(&h->pool->lock);
    bool given_up = h->state == ASTRAY;
    if (!given_up)
        h->state = ENDING;
    pthread_mutex_unlock(&h->pool->lock);
    return given_up;
}

static bool is_late(const struct gr_task *t)
{
    return t->until_usec != 0 && gr_mono_now().usec >= t->until_usec;
}

static void end_late(struct gr_pool *p, struct gr_task *t)
{
    gr_stats_pool_refused_add(p->options.stats, true);
    p->options.late(p->options.userdata, t);
}

// false: it was given up, and has no place in the share any more.
static bool work(struct hand *h, struct gr_thread *seat, struct gr_task *t)
{
    const struct gr_pool_options *o = &h->pool->options;
    if (is_late(t)) {
        end_late(h->pool, t);
        return true;
    }
    o->work(o->userdata, seat, t);
    bool given_up = end_work(h);
    if (given_up)
        gr_thread_is_back(seat);
    o->done(o->userdata, seat, t, given_up);
    return !given_up;
}

static void *run(void *userdata)
{
    struct hand *h = userdata;
    struct gr_pool *p = h->pool;
    struct gr_thread *seat = gr_seat_take(p->options.dispatch);
    if (!seat)
        gr_log(GR_LOG_WARNING, "no dispatch seat is left for a thread of execution: pool");
    pthread_mutex_lock(&p->lock);
    h->seat = seat;
    while (!p->stopping || p->first_ready) {
        struct gr_task *t = take_locked(p);
        if (!t) {
            p->idle++;
            if (!p->first_ready && !p->stopping)
                pthread_cond_wait(&p->filled, &p->lock);
            p->idle--;
            continue;
        }
        unsigned slot = t->slot; // the task may be gone before its place is
        h->task = t;
        h->state = WORKING;
        rouse_locked(p);
        pthread_mutex_unlock(&p->lock);
        bool kept = work(h, seat, t);
        pthread_mutex_lock(&p->lock);
        h->task = NULL;
        h->state = IDLE;
        if (kept)
            leave_locked(p, slot);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

// --- tasks ---------------------------------------------------------------------------------------

bool gr_pool_reserve(struct gr_pool *p, unsigned slot)
{
    struct share *s = &p->shares[slot];
    pthread_mutex_lock(&p->lock);
    bool room = s->kept < p->options.threads + p->options.queue;
    s->kept += room;
    pthread_mutex_unlock(&p->lock);
    if (!room)
        gr_stats_pool_refused_add(p->options.stats, false);
    return room;
}

void gr_pool_cancel(struct gr_pool *p, unsigned slot)
{
    struct share *s = &p->shares[slot];
    pthread_mutex_lock(&p->lock);
    s->kept--;
    s->owed -= s->owed > 0;
    pthread_mutex_unlock(&p->lock);
}

void gr_pool_put(struct gr_pool *p, struct gr_task *t)
{
    struct share *s = &p->shares[t->slot];
    t->next = NULL;
    pthread_mutex_lock(&p->lock);
    bool unwanted = s->owed > 0; // which one of those with room does not matter
    if (unwanted) {
        s->owed--;
        s->kept--;
    } else {
        *s->end = t;
        s->end = &t->next;
        s->waits++;
        count_waiting_locked(p, 1);
        make_ready_locked(p, s);
        rouse_locked(p);
    }
    pthread_mutex_unlock(&p->lock);
    if (unwanted)
        p->options.sent_back(p->options.userdata, t);
}

void gr_pool_send_back(struct gr_pool *p, unsigned slot)
{
    struct share *s = &p->shares[slot];
    pthread_mutex_lock(&p->lock);
    struct gr_task *t = s->first; // the ring may keep the share: it finds nothing in it
    s->first = NULL;
    s->end = &s->first;
    count_waiting_locked(p, -(int)s->waits);
    s->kept -= s->waits;
    s->waits = 0;
    s->owed = s->kept - s->works;
    pthread_mutex_unlock(&p->lock);
    for (struct gr_task *next; t; t = next) {
        next = t->next;
        p->options.sent_back(p->options.userdata, t);
    }
}

// Adds those of the share to `late`.
static void take_late_locked(struct gr_pool *p, struct share *s, struct gr_task **late)
{
    struct gr_task **at = &s->first;
    while (*at) {
        struct gr_task *t = *at;
        if (!is_late(t)) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        s->kept--;
        s->waits--;
        count_waiting_locked(p, -1);
        t->next = *late;
        *late = t;
    }
    s->end = at;
}

void gr_pool_look(struct gr_pool *p)
{
    struct gr_task *late = NULL;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; p->waiting > 0 && i < GR_COUNT(p->shares); i++)
        if (p->shares[i].first)
            take_late_locked(p, &p->shares[i], &late);
    rouse_locked(p); // a thread that could not be started
    pthread_mutex_unlock(&p->lock);
    for (struct gr_task *next; late; late = next) {
        next = late->next;
        end_late(p, late);
    }
}

bool gr_pool_give_up(struct gr_pool *p, const struct gr_thread *seat,
                     void (*tell)(void *userdata, struct gr_task *t), void *userdata)
{
    bool yes = true;
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->n_hands; i++) {
        struct hand *h = &p->hands[i];
        if (h->seat != seat || h->state == IDLE)
            continue;
        yes = h->state == WORKING;
        if (!yes)
            break;
        tell(userdata, h->task);
        h->state = ASTRAY;
        leave_locked(p, h->task->slot);
        rouse_locked(p);
    }
    pthread_mutex_unlock(&p->lock);
    return yes;
}

unsigned gr_pool_astray(struct gr_pool *p)
{
    unsigned n = 0;
    pthread_mutex_lock(&p->lock);
    for (unsigned i = 0; i < p->n_hands; i++)
        n += p->hands[i].state == ASTRAY;
    pthread_mutex_unlock(&p->lock);
    return n;
}

// --- life ----------------------------------------------------------------------------------------

int gr_pool_new(const struct gr_pool_options *o, struct gr_pool **ret)
{
    struct gr_pool *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->options = *o;
    p->ready_end = &p->first_ready;
    for (size_t i = 0; i < GR_COUNT(p->shares); i++)
        p->shares[i].end = &p->shares[i].first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->filled, NULL);
    *ret = p;
    return 0;
}

void gr_pool_stop(struct gr_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true; // nobody starts a thread from here on
    pthread_cond_broadcast(&p->filled);
    pthread_mutex_unlock(&p->lock);
    for (; p->n_hands > 0; p->n_hands--)
        pthread_join(p->hands[p->n_hands - 1].thread, NULL);
}

void gr_pool_free(struct gr_pool *p)
{
    if (!p)
        return;
    pthread_cond_destroy(&p->filled);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
