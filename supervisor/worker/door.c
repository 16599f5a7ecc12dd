// Ties the acceptor to the lanes and tells the library where the callbacks are.
#include "worker/door.h"
#include "base/log.h"
#include "worker/acceptor.h"
#include "worker/errand.h"
#include "worker/exchange.h"
#include "worker/lane.h"
#include "worker/reply.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define CONNECTION_POOL_BYTES (32u * 1024) // one connection's head, twice, and the answer's head

struct gr_door {
    struct gr_service service;
    struct gr_acceptor *acceptor;
    struct gr_lanes *lanes;
    int changed_fd;
    _Atomic uint64_t open; // accepted and not yet closed
    unsigned given_up;     // of them: answered for, but not yet told; the watch's own
};

// --- connections
// ------------------------------------------------------------------------------------------------

static bool may_accept(void *userdata)
{
    struct gr_door *d = userdata;
    return atomic_load(&d->open) < GR_CONNECTIONS_MAX;
}

static void note_closed(struct gr_door *d)
{
    uint64_t left = atomic_fetch_sub(&d->open, 1) - 1;
    gr_acceptor_wake(d->acceptor);
    if (left == 0 && atomic_load(&d->service.draining))
        eventfd_write(d->changed_fd, 1);
}

static void on_accepted(void *userdata, int fd, const struct sockaddr *address, socklen_t len)
{
    struct gr_door *d = userdata;
    atomic_fetch_add(&d->open, 1);
    gr_lanes_add(d->lanes, fd, address, len);
}

static void on_turned_away(void *userdata)
{
    note_closed(userdata);
}

static void on_stalled(void *userdata, const struct lane *lane)
{
    struct gr_door *d = userdata;
    gr_visitors_cut_stalled(&d->service.visitors, lane, gr_reply_stalled);
}

// The client has been told that the connection is closed, and may wait for nothing more.
static void on_give_up(void *userdata, struct gr_exchange *x, const struct gr_overdue *o)
{
    struct gr_door *d = userdata;
    gr_reply_give_up(x, o);
    d->given_up += gr_visitors_give_up(&d->service.visitors, x->visitor);
}

// What one task's client is told, and by whom.
struct elsewhere {
    struct gr_door *door;
    const struct gr_overdue *overdue;
};

static void on_give_up_task(void *userdata, struct gr_task *t)
{
    const struct elsewhere *e = userdata;
    on_give_up(e->door, gr_errand_exchange(t), e->overdue);
}

// A shadow has no client.
static bool on_give_up_elsewhere(void *userdata, const struct gr_overdue *o)
{
    struct gr_door *d = userdata;
    return gr_pool_give_up(d->service.pool, o->thread, on_give_up_task, &(struct elsewhere){d, o});
}

static void on_look(void *userdata)
{
    struct gr_door *d = userdata;
    gr_pool_look(d->service.pool);
}

// Only now they count as closed: a worker that drains ends with the last one, and must not before
// the supervisor has heard of the fault.
static void on_gave_up(void *userdata)
{
    struct gr_door *d = userdata;
    for (; d->given_up > 0; d->given_up--)
        note_closed(d);
}

static void on_connection(void *userdata, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct gr_door *d = userdata;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = gr_visitors_add(&d->service.visitors, info ? info->connect_fd : -1,
                                   gr_lane_of_thread());
        return;
    }
    bool counted = gr_visitors_remove(&d->service.visitors, *context);
    *context = NULL;
    if (counted)
        note_closed(d);
}

// --- the library
// ------------------------------------------------------------------------------------------------

static void on_library_log(void *userdata, const char *format, va_list args)
{
    char text[512];
    (void)userdata;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(text, sizeof text, format, args);
#pragma GCC diagnostic pop
    text[strcspn(text, "\n")] = '\0';
    gr_log(GR_LOG_DEBUG, "front door: %s", text);
}

// Not in the library's strict mode: that closes without an answer where the guard answers 400. Each
// lane may hold all connections: the sum is the acceptor's affair.
static struct MHD_Daemon *open_daemon(void *userdata)
{
    struct gr_door *d = userdata;
    unsigned flags =
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(flags, 0, NULL, NULL, gr_exchange_advance, &d->service,
                            MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
                            MHD_OPTION_CONNECTION_LIMIT, GR_CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)GR_IDLE_SEC_MAX,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL_BYTES,
                            MHD_OPTION_URI_LOG_CALLBACK, gr_exchange_begin, &d->service,
                            MHD_OPTION_NOTIFY_COMPLETED, gr_exchange_end, &d->service,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, d, MHD_OPTION_END);
}

int gr_door_open(const struct gr_door_options *o, struct gr_door **ret, struct gr_error *e)
{
    struct gr_door *d = calloc(1, sizeof *d);
    if (!d)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "asked to serve, but memory ran out");
    d->service.dispatch = o->dispatch;
    d->service.stats = o->stats;
    d->service.shadow = o->shadow;
    d->service.access_log = o->access_log;
    d->service.spans = o->spans;
    d->changed_fd = o->changed_fd;
    gr_visitors_init(&d->service.visitors);
    int r = gr_pool_new(&(struct gr_pool_options){.dispatch = o->dispatch,
                                                  .stats = o->stats,
                                                  .threads = o->pool_threads,
                                                  .queue = o->pool_queue,
                                                  .work = gr_errand_work,
                                                  .done = gr_errand_done,
                                                  .late = gr_errand_late,
                                                  .sent_back = gr_errand_sent_back,
                                                  .userdata = &d->service},
                        &d->service.pool);
    if (r == 0)
        r = gr_lanes_start(&(struct gr_lanes_options){.dispatch = o->dispatch,
                                                      .n = o->threads,
                                                      .open = open_daemon,
                                                      .turned_away = on_turned_away,
                                                      .stalled = on_stalled,
                                                      .give_up = on_give_up,
                                                      .give_up_elsewhere = on_give_up_elsewhere,
                                                      .look = on_look,
                                                      .gave_up = on_gave_up,
                                                      .userdata = d},
                           &d->lanes);
    if (r == 0)
        r = gr_acceptor_new(&(struct gr_acceptor_options){.listeners = o->listeners,
                                                          .n_listeners = o->n_listeners,
                                                          .may_accept = may_accept,
                                                          .accepted = on_accepted,
                                                          .userdata = d},
                            &d->acceptor);
    if (r == 0)
        r = gr_acceptor_start(d->acceptor);
    if (r < 0) {
        gr_door_close(d);
        return gr_error_set_retryable(e, r, GR_REASON_INTERNAL,
                                      "asked to serve %zu listeners with %u threads, but they "
                                      "could not be started: %s; the worker's debug log says more",
                                      o->n_listeners, o->threads, strerror(-r));
    }
    *ret = d;
    return 0;
}

void gr_door_drain(struct gr_door *d)
{
    gr_acceptor_stop(d->acceptor);
    atomic_store(&d->service.draining, true);
    if (atomic_load(&d->open) == 0)
        eventfd_write(d->changed_fd, 1);
}

void gr_door_tick(struct gr_door *d)
{
    uint64_t open, total, busy;
    gr_visitors_tick(&d->service.visitors);
    gr_visitors_count(&d->service.visitors, &open, &total, &busy);
    gr_stats_connections_set(d->service.stats, open, total);
}

void gr_door_count(struct gr_door *d, uint64_t *ret_open, uint64_t *ret_busy)
{
    uint64_t open, total;
    gr_visitors_count(&d->service.visitors, &open, &total, ret_busy);
    *ret_open = atomic_load(&d->open);
}

void gr_door_note_broken(struct gr_door *d, unsigned slot)
{
    gr_pool_send_back(d->service.pool, slot);
}

bool gr_door_is_astray(struct gr_door *d)
{
    return gr_lanes_astray(d->lanes) > 0 || gr_pool_astray(d->service.pool) > 0;
}

void gr_door_close(struct gr_door *d)
{
    if (!d)
        return;
    if (d->acceptor)
        gr_acceptor_stop(d->acceptor);
    if (d->service.pool)
        gr_pool_stop(d->service.pool); // first: it tells the lanes of what it has done
    gr_lanes_stop(d->lanes);
    gr_pool_free(d->service.pool);
    gr_acceptor_free(d->acceptor);
    free(d);
}
