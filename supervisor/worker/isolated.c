// The life of a process that holds one version: it is told what to load, closes the cage behind
// itself, loads, serves each slot of the ring on a thread, and ends when it is told to, when the
// version faults, or with its worker.
#include "worker/isolated.h"
#include "base/channel.h"
#include "base/log.h"
#include "dispatch/afar.h"
#include "worker/cage.h"
#include "worker/fault-message.h"
#include "worker/hook-message.h"
#include "worker/load-order.h"
#include "worker/wire.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define SLOT 0 // of the version, in this process's own statistics
enum { FD_RING, FD_STATS, FD_FILE, FDS };

struct isolated {
    struct gr_wire wire;
    struct gr_dispatch *dispatch;
    struct gr_instance *instance;
    struct gr_ring *ring;
    struct gr_stats *stats;
};
struct server {
    struct isolated *isolated;
    unsigned slot;
};

// --- what dispatch tells
// ------------------------------------------------------------------------------------------------

static void on_log(void *userdata, unsigned slot, int level, const char *message)
{
    struct isolated *p = userdata;
    (void)slot;
    cJSON *m = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(m, "type", "log") &&
                 cJSON_AddNumberToObject(m, "level", level) &&
                 cJSON_AddStringToObject(m, "message", message);
    if (!whole)
        cJSON_Delete(m);
    gr_wire_send(&p->wire, whole ? m : NULL);
}

// The process's memory is not trusted any more, and the calls beside this one neither.
static void on_fault(void *userdata, const struct gr_fault *f)
{
    struct isolated *p = userdata;
    gr_wire_send(&p->wire, gr_fault_message(f));
    _exit(EXIT_FAILURE);
}

// --- beginning
// ------------------------------------------------------------------------------------------------

// The worker's death is noticed by the kernel from here on; before, the channel broke.
static int bind_to_worker(int channel)
{
    struct pollfd p = {.fd = channel};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    if (poll(&p, 1, 0) < 0)
        return -errno;
    return p.revents & (POLLERR | POLLHUP) ? -EPIPE : 0;
}

static int receive(int channel, cJSON **ret, int *fds, size_t *n_fds)
{
    struct pollfd p = {.fd = channel, .events = POLLIN};
    for (;;) {
        int r = gr_channel_recv(channel, ret, fds, n_fds);
        if (r != -EAGAIN)
            return r == 0 ? -EPIPE : r;
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return -errno;
    }
}

static int open_dispatch(struct isolated *p, const int *fds, struct gr_error *e)
{
    int r = gr_ring_map(fds[FD_RING], &p->ring);
    if (r == 0)
        r = gr_stats_map(fds[FD_STATS], &p->stats);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED,
                            "the memory shared with the worker cannot be mapped: %s", strerror(-r));
    r = gr_dispatch_new(&(struct gr_dispatch_options){.stats = p->stats,
                                                      .max_threads = gr_ring_slots(p->ring),
                                                      .on_log = on_log,
                                                      .on_fault = on_fault,
                                                      .userdata = p},
                        &p->dispatch, e);
    if (r < 0)
        return r;
    r = gr_guard_install(p->dispatch);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED, "the fault guard cannot be installed: %s",
                            strerror(-r));
    return 0;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct isolated *p = s->isolated;
    struct gr_thread *seat;
    if (gr_thread_attach(p->dispatch, &seat) < 0)
        _exit(EXIT_FAILURE);
    gr_afar_serve(seat, p->ring, s->slot, gr_instance_contract(p->instance));
}

static int start_threads(struct isolated *p)
{
    static struct server servers[GR_RING_SLOTS_MAX];
    for (unsigned i = 0; i < gr_ring_slots(p->ring); i++) {
        pthread_t thread;
        servers[i] = (struct server){p, i};
        int r = -pthread_create(&thread, NULL, serve, &servers[i]);
        if (r < 0)
            return r;
        pthread_detach(thread);
    }
    return 0;
}

static int load(struct isolated *p, struct gr_load *l, struct gr_error *e)
{
    struct gr_swap_result ignored;
    l->slot = SLOT;
    int r = gr_instance_load(p->dispatch, l, &p->instance, e);
    if (r < 0)
        return r;
    const char *module = gr_instance_contract(p->instance)->module.s;
    r = gr_dispatch_route(p->dispatch, &(struct gr_change){.module = module, .stable = p->instance},
                          1, &ignored, e);
    if (r < 0)
        return r;
    r = start_threads(p);
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_LOAD_FAILED,
                                      "the threads of an isolated module cannot be started: %s",
                                      strerror(-r));
    return 0;
}

static int begin(struct isolated *p, const cJSON *order, int *fds, struct gr_error *e)
{
    GR_CLEANUP(gr_load_order_done) struct gr_load_order o;
    int r = gr_load_order_read(order, &o, e);
    if (r < 0)
        return r;
    o.load.fd = fds[FD_FILE];
    r = open_dispatch(p, fds, e);
    if (r == 0)
        r = gr_cage_enter(o.load.path, e);
    return r < 0 ? r : load(p, &o.load, e);
}

// --- the end
// ------------------------------------------------------------------------------------------------

// No call is inside. What destroy() says and does is as in the worker; the process ends either way.
static void end(struct isolated *p)
{
    struct gr_swap_result ignored;
    struct gr_error e;
    const char *module = gr_instance_contract(p->instance)->module.s;
    if (gr_dispatch_route(p->dispatch, &(struct gr_change){.module = module}, 1, &ignored, &e) == 0)
        (void)!gr_instance_unload(p->dispatch, p->instance, 0);
}

// The hooks of state run on this thread; the calls have theirs, and go on when one does not return.
// true: it is to end; false: the worker is gone.
static bool obey(struct isolated *p)
{
    for (;;) {
        GR_AUTO_JSON cJSON *order = NULL;
        struct gr_state_hook h;
        int fds[GR_CHANNEL_FDS_MAX];
        size_t n_fds = 0;
        uint64_t id = 0;
        if (receive(p->wire.fd, &order, fds, &n_fds) < 0)
            return false;
        if (!gr_hook_read_order(order, &h, &id) || n_fds != 1)
            return true;
        h.fd = fds[0];
        gr_afar_hook(p->instance, &h);
        close(h.fd); // before the answer: nothing here can write any more
        gr_wire_send(&p->wire, gr_hook_answer(&h, id));
    }
}

static int run(struct isolated *p)
{
    GR_AUTO_JSON cJSON *order = NULL;
    struct gr_error e = {.reason = GR_REASON_LOAD_FAILED,
                         .message = "an isolated module cannot be loaded: out of memory"};
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n_fds = 0;
    int r = receive(p->wire.fd, &order, fds, &n_fds);
    if (r < 0 || n_fds != FDS)
        return EXIT_FAILURE;
    r = begin(p, order, fds, &e);
    close(fds[FD_RING]);
    close(fds[FD_STATS]);
    if (r < 0) {
        gr_wire_send(&p->wire, gr_wire_failure(0, &e));
        return EXIT_SUCCESS;
    }
    gr_wire_send(&p->wire, gr_wire_answer("loaded", 0));
    if (obey(p))
        end(p);
    return EXIT_SUCCESS;
}

int gr_isolated_run(int channel)
{
    static struct isolated process;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_NAME, "grayling-module");
    if (bind_to_worker(channel) < 0)
        return EXIT_FAILURE;
    gr_wire_init(&process.wire, channel);
    _exit(run(&process)); // threads still run, and the version may have left exit handlers
}
