// A hand is a thread and what it is doing: one word that it raises around every call, and that
// others change only while it is inside. Who serves which lane, and which hands there are, is under
// the lanes' lock; a hand's own lock is taken after it, and only once a call has lasted.
#include "worker/lane.h"
#include "base/limits.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define IDLE_LOOK_MSEC 50 // from one look to the next while no call is under way
#define BUSY_LOOK_MSEC (GR_RELIEF_AFTER_USEC / 1000)
#define IDLE_ROUNDS_MAX 32 // of the library, which says each time that there is more to do
#define REST_MSEC 10

// The low bits of a hand's turn; the number of the call stands above them.
enum { OUTSIDE, INSIDE, TAKEN_OVER, GIVEN_UP, STEPS };

struct hand {
    _Alignas(64) _Atomic uint64_t turn;
    struct gr_exchange *exchange; // of the call that it is inside of
    _Atomic(const struct gr_thread *) seat;
    struct gr_lanes *lanes;
    struct lane *lane;
    struct hand *from; // whom it relieves; NULL: it began the lane
    uint64_t from_turn;
    uint64_t progress;
    _Alignas(64) pthread_mutex_t lock; // its turn leaves INSIDE under it, but for the usual end
    jmp_buf out;
    pthread_t thread;
    enum { FREE, AT_WORK, ENDED } state; // under the lanes' lock
};

struct arrival { // a connection that no thread of its lane has seen yet
    struct arrival *next;
    int fd;
    socklen_t len;
    struct sockaddr_storage address;
};

struct lane {
    struct MHD_Daemon *daemon;
    int epoll_fd; // the daemon's
    int wake_fd;  // in its set
    struct hand *hand;
    bool relieving; // under the lanes' lock, as is hand
    uint64_t seen;  // the hand's turn at the last look
    pthread_mutex_t lock;
    struct arrival *first, **end; // under lock
};

struct gr_lanes {
    struct gr_lanes_options options;
    pthread_t watch;
    bool watching;
    int stop_fd;
    _Atomic bool stopping;
    _Atomic unsigned next; // lane for the next connection
    pthread_mutex_t lock;
    unsigned n; // of lanes that are open
    struct lane lanes[GR_THREADS_MAX];
    struct hand hands[GR_THREADS_MAX];
};

static _Thread_local struct hand *self;

// --- serving -------------------------------------------------------------------------------------

static void take_arrivals(struct lane *lane, struct gr_lanes *l)
{
    pthread_mutex_lock(&lane->lock);
    struct arrival *a = lane->first;
    lane->first = NULL;
    lane->end = &lane->first;
    pthread_mutex_unlock(&lane->lock);
    for (struct arrival *next; a; a = next) {
        next = a->next;
        // it closes the descriptor when it fails
        if (MHD_add_connection(lane->daemon, a->fd, (struct sockaddr *)&a->address, a->len) !=
            MHD_YES)
            l->options.turned_away(l->options.userdata);
        free(a);
    }
}

static bool wants_more(struct MHD_Daemon *d)
{
    MHD_UNSIGNED_LONG_LONG msec;
    return MHD_get_timeout(d, &msec) == MHD_YES && msec == 0;
}

// With threads of its own the library ends a connection whose buffer is full of what it cannot pass
// on (a chunk's endless extension); without, it goes round and round.
static void stall(struct hand *h)
{
    struct pollfd any = {.fd = h->lane->epoll_fd, .events = POLLIN};
    h->lanes->options.stalled(h->lanes->options.userdata, h->lane);
    (void)poll(&any, 1, REST_MSEC);
}

static void go_round(struct hand *h)
{
    unsigned idle = 0;
    while (!atomic_load(&h->lanes->stopping)) {
        uint64_t before = h->progress;
        take_arrivals(h->lane, h->lanes);
        if (MHD_run_wait(h->lane->daemon, -1) != MHD_YES) {
            gr_log(GR_LOG_ERROR, "the front door cannot wait for its connections any more");
            abort();
        }
        idle = h->progress == before && wants_more(h->lane->daemon) ? idle + 1 : 0;
        if (idle >= IDLE_ROUNDS_MAX)
            stall(h);
    }
}

static void serve(struct hand *h)
{
    self = h;
    if (setjmp(h->out) == 0)
        go_round(h);
    // else from gr_lane_leave()
}

const struct lane *gr_lane_of_thread(void)
{
    return self->lane;
}

void gr_lane_progress(void)
{
    self->progress++;
}

// The one that it relieves has not ended its call, and from here on will not return to the library.
static bool take_over(struct hand *h)
{
    struct hand *from = h->from;
    uint64_t turn = h->from_turn;
    pthread_mutex_lock(&from->lock);
    bool mine = atomic_compare_exchange_strong(&from->turn, &turn, turn - INSIDE + TAKEN_OVER);
    if (mine)
        MHD_suspend_connection(from->exchange->connection);
    pthread_mutex_unlock(&from->lock);
    pthread_mutex_lock(&h->lanes->lock);
    h->lane->relieving = false;
    if (mine)
        h->lane->hand = h;
    pthread_mutex_unlock(&h->lanes->lock);
    return mine;
}

static void *run(void *userdata)
{
    struct hand *h = userdata;
    if (!h->from || take_over(h))
        serve(h);
    pthread_mutex_lock(&h->lanes->lock);
    h->state = ENDED;
    pthread_mutex_unlock(&h->lanes->lock);
    return NULL;
}

// --- around a call -------------------------------------------------------------------------------

void gr_lane_begin(struct gr_exchange *x, const struct gr_thread *seat)
{
    struct hand *h = self;
    uint64_t turn = atomic_load_explicit(&h->turn, memory_order_relaxed);
    x->lane = h->lane;
    h->exchange = x;
    atomic_store_explicit(&h->seat, seat, memory_order_relaxed);
    atomic_store_explicit(&h->turn, turn + STEPS + INSIDE, memory_order_release);
}

enum gr_lane_end gr_lane_end(void)
{
    struct hand *h = self;
    uint64_t turn = atomic_load_explicit(&h->turn, memory_order_relaxed);
    uint64_t outside = turn - turn % STEPS;
    uint64_t inside = outside + INSIDE;
    if (__builtin_expect(atomic_compare_exchange_strong(&h->turn, &inside, outside), 1))
        return GR_LANE_KEPT;
    pthread_mutex_lock(&h->lock); // the connection is suspended when it is open
    enum gr_lane_end end =
        atomic_load(&h->turn) % STEPS == TAKEN_OVER ? GR_LANE_TAKEN_OVER : GR_LANE_GIVEN_UP;
    atomic_store(&h->turn, outside);
    pthread_mutex_unlock(&h->lock);
    return end;
}

_Noreturn void gr_lane_leave(void)
{
    longjmp(self->out, 1);
}

static void wake(const struct lane *lane)
{
    eventfd_write(lane->wake_fd, 1);
}

// Without threads of its own the library has nobody to tell.
void gr_lane_resume(struct gr_exchange *x)
{
    struct lane *lane = x->lane;
    MHD_resume_connection(x->connection);
    wake(lane);
}

// --- hands ---------------------------------------------------------------------------------------

static struct hand *free_hand_locked(struct gr_lanes *l)
{
    struct hand *h = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < GR_COUNT(l->hands); i++) {
        n += l->hands[i].state != FREE;
        if (l->hands[i].state == FREE && !h)
            h = &l->hands[i];
    }
    return n < l->options.n + GR_RELIEF_MAX ? h : NULL;
}

static int start_hand_locked(struct gr_lanes *l, struct lane *lane, struct hand *from,
                             uint64_t from_turn, struct hand **ret)
{
    struct hand *h = free_hand_locked(l);
    if (!h)
        return -EAGAIN;
    h->lanes = l;
    h->lane = lane;
    h->from = from;
    h->from_turn = from_turn;
    h->state = AT_WORK;
    int r = -pthread_create(&h->thread, NULL, run, h);
    if (r < 0)
        h->state = FREE;
    else if (ret)
        *ret = h;
    return r;
}

static void reap_locked(struct gr_lanes *l, bool all)
{
    for (size_t i = 0; i < GR_COUNT(l->hands); i++) {
        struct hand *h = &l->hands[i];
        if (h->state == FREE || (h->state == AT_WORK && !all))
            continue;
        pthread_mutex_unlock(&l->lock); // nobody else frees a hand
        pthread_join(h->thread, NULL);
        pthread_mutex_lock(&l->lock);
        h->state = FREE;
    }
}

// --- the watch -----------------------------------------------------------------------------------

// Is the call that was seen at the last look still under way? Then somebody takes the lane over.
static bool look_at_locked(struct gr_lanes *l, struct lane *lane)
{
    uint64_t turn = atomic_load(&lane->hand->turn);
    bool inside = turn % STEPS == INSIDE;
    if (inside && turn == lane->seen && !lane->relieving)
        lane->relieving = start_hand_locked(l, lane, lane->hand, turn, NULL) == 0;
    lane->seen = turn;
    return inside;
}

// Whose call is it? One whose lane could not be taken over yet is not given up: the library cannot
// be told to leave its connection alone.
static bool claim(void *userdata, const struct gr_overdue *o)
{
    struct gr_lanes *l = userdata;
    bool lanes_own = false, mine = false;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < GR_COUNT(l->hands) && !lanes_own; i++) {
        struct hand *h = &l->hands[i];
        if (h->state == FREE)
            continue;
        pthread_mutex_lock(&h->lock);
        uint64_t turn = atomic_load(&h->turn);
        lanes_own = turn % STEPS != OUTSIDE && atomic_load(&h->seat) == o->thread;
        mine = lanes_own && turn % STEPS == TAKEN_OVER;
        if (mine) {
            l->options.give_up(l->options.userdata, h->exchange, o);
            atomic_store(&h->turn, turn - TAKEN_OVER + GIVEN_UP);
        }
        pthread_mutex_unlock(&h->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return lanes_own ? mine : l->options.give_up_elsewhere(l->options.userdata, o);
}

// Looks from time to time: to be woken by every call would cost each of them more than all looks.
static void *watch(void *userdata)
{
    struct gr_lanes *l = userdata;
    struct pollfd stop = {.fd = l->stop_fd, .events = POLLIN};
    int msec = IDLE_LOOK_MSEC;
    while (poll(&stop, 1, msec) <= 0) {
        bool busy = false;
        pthread_mutex_lock(&l->lock);
        for (unsigned i = 0; i < l->n; i++)
            busy |= look_at_locked(l, &l->lanes[i]);
        reap_locked(l, false);
        pthread_mutex_unlock(&l->lock);
        l->options.look(l->options.userdata);
        if (gr_dispatch_overdue(l->options.dispatch, claim, l) > 0)
            l->options.gave_up(l->options.userdata);
        msec = busy ? BUSY_LOOK_MSEC : IDLE_LOOK_MSEC;
    }
    return NULL;
}

// --- life ----------------------------------------------------------------------------------------

// The library ignores events without a pointer, of which its own shutdown is one: so an edge of
// this descriptor ends its wait, and nothing else.
static int add_wake(struct lane *lane)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(lane->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (!info)
        return -EIO;
    lane->epoll_fd = info->epoll_fd;
    lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return lane->wake_fd < 0 || epoll_ctl(lane->epoll_fd, EPOLL_CTL_ADD, lane->wake_fd, &event) < 0
               ? -errno
               : 0;
}

static int open_lane(struct gr_lanes *l)
{
    struct lane *lane = &l->lanes[l->n++];
    lane->wake_fd = -1;
    lane->end = &lane->first;
    pthread_mutex_init(&lane->lock, NULL);
    lane->daemon = l->options.open(l->options.userdata);
    if (!lane->daemon)
        return -EIO;
    int r = add_wake(lane);
    if (r < 0)
        return r;
    pthread_mutex_lock(&l->lock);
    r = start_hand_locked(l, lane, NULL, 0, &lane->hand);
    pthread_mutex_unlock(&l->lock);
    return r;
}

int gr_lanes_start(const struct gr_lanes_options *o, struct gr_lanes **ret)
{
    struct gr_lanes *l = aligned_alloc(_Alignof(struct gr_lanes), sizeof *l);
    if (!l)
        return -ENOMEM;
    memset(l, 0, sizeof *l);
    l->options = *o;
    pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < GR_COUNT(l->hands); i++)
        pthread_mutex_init(&l->hands[i].lock, NULL);
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = l->stop_fd < 0 ? -errno : 0;
    while (r == 0 && l->n < o->n)
        r = open_lane(l);
    if (r == 0)
        r = -pthread_create(&l->watch, NULL, watch, l);
    l->watching = r == 0;
    if (r < 0) {
        gr_lanes_stop(l);
        return r;
    }
    *ret = l;
    return 0;
}

void gr_lanes_add(struct gr_lanes *l, int fd, const struct sockaddr *address, socklen_t len)
{
    struct lane *lane = &l->lanes[atomic_fetch_add(&l->next, 1) % l->n];
    struct arrival *a = malloc(sizeof *a);
    if (!a) {
        close(fd);
        l->options.turned_away(l->options.userdata);
        return;
    }
    *a = (struct arrival){.fd = fd, .len = len};
    memcpy(&a->address, address, len);
    pthread_mutex_lock(&lane->lock);
    *lane->end = a;
    lane->end = &a->next;
    pthread_mutex_unlock(&lane->lock);
    wake(lane);
}

unsigned gr_lanes_astray(struct gr_lanes *l)
{
    unsigned n = 0;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < GR_COUNT(l->hands); i++)
        n += l->hands[i].state != FREE && atomic_load(&l->hands[i].turn) % STEPS >= TAKEN_OVER;
    pthread_mutex_unlock(&l->lock);
    return n;
}

static void close_lane(struct lane *lane)
{
    if (lane->daemon)
        MHD_stop_daemon(lane->daemon);
    for (struct arrival *a = lane->first, *next; a; a = next) {
        next = a->next;
        close(a->fd);
        free(a);
    }
    if (lane->wake_fd >= 0)
        close(lane->wake_fd);
    pthread_mutex_destroy(&lane->lock);
}

void gr_lanes_stop(struct gr_lanes *l)
{
    if (!l)
        return;
    if (l->watching) {
        eventfd_write(l->stop_fd, 1);
        pthread_join(l->watch, NULL);
    }
    atomic_store(&l->stopping, true);
    for (unsigned i = 0; i < l->n; i++)
        if (l->lanes[i].wake_fd >= 0)
            wake(&l->lanes[i]);
    pthread_mutex_lock(&l->lock);
    reap_locked(l, true);
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->n; i++)
        close_lane(&l->lanes[i]);
    for (size_t i = 0; i < GR_COUNT(l->hands); i++)
        pthread_mutex_destroy(&l->hands[i].lock);
    pthread_mutex_destroy(&l->lock);
    if (l->stop_fd >= 0)
        close(l->stop_fd);
    free(l);
}
