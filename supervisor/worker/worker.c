// The main thread's loop: the channel or a successor, signals, a tick a second, and the limits of
// draining, orphanhood and freezes.
#include "worker/worker.h"
#include "base/channel.h"
#include "base/log.h"
#include "worker/adopt.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

struct loop {
    struct gr_worker *w;
    int signal_fd, tick_fd;
    int status; // -1: go on
};

// --- events
// ------------------------------------------------------------------------------------------------

static void become_orphan(struct gr_worker *w)
{
    gr_wire_attach(&w->wire, -1);
    w->orphan_until.usec = gr_mono_now().usec + w->orphan_usec;
    if (!w->draining)
        gr_log(GR_LOG_WARNING,
               "the supervisor is gone; this worker serves on and waits %llu s for the next one",
               (unsigned long long)(w->orphan_usec / GR_USEC_PER_SEC));
}

static void on_channel(struct loop *l)
{
    struct gr_worker *w = l->w;
    cJSON *message = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    int r = gr_channel_recv(w->wire.fd, &message, fds, &n);
    if (r == -EAGAIN)
        return;
    if (r == 1 && gr_worker_obey(w, message, fds, n) < 0)
        l->status = EXIT_FAILURE;
    if (r == 1)
        return;
    if (r < 0)
        gr_log(GR_LOG_ERROR, "the channel to the supervisor is given up: %s", strerror(-r));
    if (!w->stats)
        l->status = EXIT_FAILURE; // nothing to serve with, and nobody to ask
    become_orphan(w);
}

static void on_successor(struct loop *l)
{
    struct gr_worker *w = l->w;
    int fd = -1, r = gr_adopt_accept(w->adopt_fd, &fd);
    if (r < 0) {
        if (r != -EAGAIN)
            gr_log(GR_LOG_WARNING, "somebody who wanted to adopt this worker is turned away: %s",
                   strerror(-r));
        return;
    }
    gr_wire_attach(&w->wire, fd);
    w->orphan_until.usec = 0;
    gr_log(GR_LOG_INFO, "adopted by a new supervisor");
}

static void on_signal(struct loop *l)
{
    struct signalfd_siginfo info;
    if (read(l->signal_fd, &info, sizeof info) == sizeof info)
        gr_worker_drain(l->w, GR_DRAIN_DEFAULT_USEC);
}

static void on_tick(struct loop *l)
{
    uint64_t ticks;
    if (read(l->tick_fd, &ticks, sizeof ticks) != sizeof ticks)
        return;
    if (l->w->stats)
        gr_stats_heartbeat(l->w->stats);
    if (l->w->door)
        gr_door_tick(l->w->door);
    if (l->w->spans)
        gr_spans_tick(l->w->spans, &l->w->wire);
}

// --- limits
// ------------------------------------------------------------------------------------------------

// Answers and ends when nothing is open any more, or time is up.
static void check_drained(struct loop *l, struct gr_mono now)
{
    struct gr_worker *w = l->w;
    uint64_t open = 0, busy = 0;
    if (w->door)
        gr_door_count(w->door, &open, &busy);
    if (open > 0 && now.usec < w->drain_until.usec)
        return;
    if (w->spans)
        gr_spans_flush(w->spans, &w->wire);
    if (w->drain_answers) {
        cJSON *answer = gr_wire_answer("drained", w->drain_id);
        gr_json_add_uint(answer, "remaining", busy);
        gr_wire_send(&w->wire, answer);
    }
    if (busy > 0)
        gr_log(GR_LOG_WARNING, "%llu requests were not answered before the limit of the drain",
               (unsigned long long)busy);
    l->status = EXIT_SUCCESS;
}

static uint64_t earlier(uint64_t a, struct gr_mono b)
{
    return b.usec != 0 && b.usec < a ? b.usec : a;
}

// Does what is due; returns how long nothing else will be, for poll().
static int check_limits(struct loop *l)
{
    struct gr_worker *w = l->w;
    struct gr_mono now = gr_mono_now();
    uint64_t next = w->dispatch ? gr_freezes_expire(&w->freezes, now) : GR_USEC_INFINITY;
    if (w->orphan_until.usec != 0 && w->orphan_until.usec <= now.usec && !w->draining) {
        gr_log(GR_LOG_WARNING, "no supervisor came; this worker drains and ends");
        gr_worker_drain(w, GR_DRAIN_DEFAULT_USEC);
    }
    if (w->draining)
        check_drained(l, now);
    else
        next = earlier(next, w->orphan_until);
    next = earlier(next, w->drain_until);
    next = earlier(next, (struct gr_mono){gr_profile_turn(&w->profile, &w->wire, now)});
    if (next == GR_USEC_INFINITY)
        return -1;
    uint64_t msec = next <= now.usec ? 0 : (next - now.usec) / GR_USEC_PER_MSEC + 1;
    return msec > INT32_MAX ? INT32_MAX : (int)msec;
}

// --- the loop
// ------------------------------------------------------------------------------------------------

static int open_loop(struct loop *l)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); // a terminal's; the supervisor decides what it means
    signal(SIGHUP, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        return -EINVAL;
    l->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    l->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    l->w->changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    if (l->signal_fd < 0 || l->tick_fd < 0 || l->w->changed_fd < 0 ||
        timerfd_settime(l->tick_fd, 0, &second, NULL) < 0)
        return -errno;
    return 0;
}

static int turn(struct loop *l)
{
    struct gr_worker *w = l->w;
    bool orphan = w->wire.fd < 0;
    int timeout = check_limits(l);
    if (l->status >= 0)
        return 0;
    struct pollfd set[] = {
        {.fd = orphan ? w->adopt_fd : w->wire.fd, .events = POLLIN},
        {.fd = l->signal_fd, .events = POLLIN},
        {.fd = l->tick_fd, .events = POLLIN},
        {.fd = w->changed_fd, .events = POLLIN},
    };
    if (poll(set, GR_COUNT(set), timeout) < 0)
        return errno == EINTR ? 0 : -errno;
    if (set[3].revents) {
        eventfd_t ignored;
        (void)eventfd_read(w->changed_fd, &ignored);
        if (w->spans)
            gr_spans_flush(w->spans, &w->wire);
    }
    if (set[1].revents)
        on_signal(l);
    if (set[2].revents)
        on_tick(l);
    if (set[0].revents && orphan)
        on_successor(l);
    else if (set[0].revents)
        on_channel(l);
    return 0;
}

void gr_worker_set_door(struct gr_worker *w, struct gr_door *door)
{
    pthread_mutex_lock(&w->door_lock);
    w->door = door;
    pthread_mutex_unlock(&w->door_lock);
}

// A request or shadow that still runs, or a load or hook that does not return, must not keep the
// process: then its memory is left to the kernel.
static void close_worker(struct gr_worker *w, int status)
{
    uint64_t open = 0, busy = 0;
    gr_shadow_close(w->shadow);
    if (w->door)
        gr_door_count(w->door, &open, &busy);
    if (busy > 0 || (w->door && gr_door_is_astray(w->door)) || !gr_shadow_idle(w->shadow) ||
        (w->loader && !gr_loader_idle(w->loader)) ||
        (w->dispatch && gr_dispatch_is_astray(w->dispatch)))
        _exit(status);
    struct gr_door *door = w->door;
    gr_worker_set_door(w, NULL);
    gr_door_close(door);
    gr_profile_free(w->profile);
    gr_spans_free(w->spans);
    gr_shadow_stop(w->shadow);
    gr_loader_stop(w->loader);
    gr_dispatch_free(w->dispatch);
    gr_nursery_stop(w->nursery);
    gr_stats_free(w->stats);
    gr_harms_free(w->inventory.harms);
    gr_closep(&w->harms_fd);
    for (size_t i = 0; i < w->n_listeners; i++)
        close(w->listeners[i]);
    gr_closep(&w->adopt_fd);
    gr_closep(&w->changed_fd);
    gr_wire_attach(&w->wire, -1);
    pthread_mutex_destroy(&w->door_lock);
    free(w);
}

int gr_worker_run(int channel)
{
    struct gr_worker *w = calloc(1, sizeof *w);
    if (!w)
        return EXIT_FAILURE;
    struct loop l = {.w = w, .signal_fd = -1, .tick_fd = -1, .status = -1};
    w->adopt_fd = w->changed_fd = w->harms_fd = -1;
    w->orphan_usec = GR_ORPHAN_DEFAULT_USEC;
    pthread_mutex_init(&w->door_lock, NULL);
    gr_wire_init(&w->wire, channel);
    gr_inventory_init(&w->inventory);
    int r = open_loop(&l);
    while (r == 0 && l.status < 0)
        r = turn(&l);
    if (r < 0)
        gr_log(GR_LOG_ERROR, "the worker's loop failed: %s", strerror(-r));
    int status = r < 0 ? EXIT_FAILURE : l.status;
    close_worker(w, status);
    gr_closep(&l.signal_fd);
    gr_closep(&l.tick_fd);
    return status;
}
