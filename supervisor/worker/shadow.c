// The pool's threads: take a copy, let the candidate answer it, compare, count.
#include "worker/shadow.h"
#include "base/log.h"
#include "worker/seat.h"
#include "worker/shadow-queue.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

// Not the lowest: a freeze waits for a call that has begun, and so for its turn on the processor.
#define NICE 10

struct gr_shadow {
    struct gr_dispatch *dispatch;
    struct gr_shadow_queue queue;
    sem_t filled;           // raised for every copy, and once per thread to stop
    _Atomic uint64_t bytes; // of all that wait or are being answered
    _Atomic unsigned busy;
    _Atomic bool closed, stopping;
    unsigned n_threads;
    pthread_t threads[GR_SHADOW_THREADS];
};

// --- answering -----------------------------------------------------------------------------------

// What one answer adds to the counters. false: there was none, or nothing to say about it.
static bool answer(struct gr_shadow *s, struct gr_thread *seat, struct gr_shadow_copy *c,
                   enum gr_shadow_role role, struct gr_shadow_counters *add)
{
    struct gr_response r;
    if (c->allowed_usec)
        c->request.deadline_usec = gr_mono_now().usec + c->allowed_usec;
    if (!gr_dispatch_shadow(seat, &c->request, c->turn.rollout, role, &r))
        return false;
    GR_AUTO_GRAY struct gr_gray *gray = gr_dispatch_gray(s->dispatch, c->turn.rollout);
    int same = gray ? gr_shadow_copy_same(c, &r, gr_gray_ignore(gray)) : -ENOENT;
    bool error = gr_code_is_server_error(r.code);
    gr_response_done(s->dispatch, &r);
    if (same < 0)
        return false;
    if (role == GR_SHADOW_NOISE) {
        add->noise_same = same == 1;
        add->noise_diverged = same == 0;
    } else {
        add->same = same == 1;
        add->diverged = same == 0;
        add->errors = error;
    }
    return true;
}

static void work(struct gr_shadow *s, struct gr_thread *seat, struct gr_shadow_copy *c)
{
    struct gr_shadow_counters add = {0};
    bool late = gr_mono_now().usec > c->born.usec + GR_SHADOW_LAG_USEC_MAX;
    if (late || atomic_load(&s->closed) || !answer(s, seat, c, GR_SHADOW_CANDIDATE, &add))
        add.dropped = 1;
    else if (c->turn.noise)
        (void)answer(s, seat, c, GR_SHADOW_NOISE, &add);
    gr_dispatch_shadow_count(seat, &c->request, c->turn.rollout, &add);
}

static void give_back(struct gr_shadow *s, struct gr_shadow_copy *c)
{
    atomic_fetch_sub(&s->bytes, c->bytes);
    gr_shadow_copy_free(c);
}

static void *run(void *userdata)
{
    struct gr_shadow *s = userdata;
    struct gr_thread *seat = gr_seat_take(s->dispatch);
    if (!seat)
        gr_log(GR_LOG_WARNING, "no dispatch seat is left for shadows; their copies are dropped");
    (void)setpriority(PRIO_PROCESS, 0,
                      NICE); // this thread's alone; without it shadows only compete
    while (!atomic_load(&s->stopping)) {
        struct gr_shadow_copy *c;
        while (sem_wait(&s->filled) < 0)
            continue; // a signal
        // all that are ready: one that is put before another, but ready later, wakes for both
        while ((c = gr_shadow_queue_take(&s->queue))) {
            atomic_fetch_add(&s->busy, 1); // before it looks at `closed`: gr_shadow_idle()
            if (seat)
                work(s, seat, c);
            atomic_fetch_sub(&s->busy, 1);
            give_back(s, c);
        }
    }
    return NULL;
}

// --- offering ------------------------------------------------------------------------------------

void gr_shadow_lost(struct gr_thread *seat, const struct grayling_request *q,
                    const struct gr_shadow_turn *turn)
{
    gr_dispatch_shadow_count(seat, q, turn->rollout, &(struct gr_shadow_counters){.dropped = 1});
}

void gr_shadow_offer(struct gr_shadow *s, struct gr_thread *seat, struct gr_shadow_copy *c)
{
    uint64_t others = atomic_fetch_add(&s->bytes, c->bytes);
    if (!atomic_load(&s->closed) && others + c->bytes <= GR_SHADOW_QUEUE_BYTES_MAX &&
        gr_shadow_queue_put(&s->queue, c)) {
        sem_post(&s->filled);
        return;
    }
    gr_shadow_lost(seat, &c->request, &c->turn);
    give_back(s, c);
}

// --- life ----------------------------------------------------------------------------------------

int gr_shadow_start(struct gr_dispatch *d, struct gr_shadow **ret)
{
    struct gr_shadow *s = aligned_alloc(_Alignof(struct gr_shadow), sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct gr_shadow){.dispatch = d};
    gr_shadow_queue_init(&s->queue);
    sem_init(&s->filled, 0, 0);
    int r = 0;
    for (; s->n_threads < GR_SHADOW_THREADS && r == 0; s->n_threads += r == 0)
        r = -pthread_create(&s->threads[s->n_threads], NULL, run, s);
    if (r < 0) {
        gr_shadow_stop(s);
        return r;
    }
    *ret = s;
    return 0;
}

void gr_shadow_close(struct gr_shadow *s)
{
    if (s)
        atomic_store(&s->closed, true);
}

bool gr_shadow_idle(struct gr_shadow *s)
{
    return !s || atomic_load(&s->busy) == 0;
}

void gr_shadow_stop(struct gr_shadow *s)
{
    if (!s)
        return;
    gr_shadow_close(s);
    atomic_store(&s->stopping, true);
    for (unsigned i = 0; i < s->n_threads; i++)
        sem_post(&s->filled);
    for (unsigned i = 0; i < s->n_threads; i++)
        pthread_join(s->threads[i], NULL);
    struct gr_shadow_copy *c;
    while ((c = gr_shadow_queue_take(&s->queue))) // put after the last look
        gr_shadow_copy_free(c);
    sem_destroy(&s->filled);
    free(s);
}
