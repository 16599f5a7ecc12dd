// A lease that is kept alive at a third of its time. Whether it lives is etcd's word, or our
// clock's when etcd is silent.
#include "base/clock.h"
#include "watchers/backoff.h"
#include "watchers/etcd.h"
#include <errno.h>

struct gr_lease {
    struct gr_etcd *client;
    struct gr_lease_callbacks cb;
    int64_t ttl_sec;
    int64_t id;          // 0: none now
    struct gr_mono sent; // when the grant or keepalive that was answered last went out
    struct gr_mono asked;
    struct gr_backoff backoff;
    struct gr_etcd_call *call;
    sd_event_source *timer;
};

static void ask(struct gr_lease *l);

static void set_timer(struct gr_lease *l, uint64_t usec)
{
    (void)sd_event_source_set_time(l->timer, gr_mono_now().usec + usec);
    (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static uint64_t ttl_usec(const struct gr_lease *l)
{
    return (uint64_t)l->ttl_sec * GR_USEC_PER_SEC;
}

static bool is_dead(const struct gr_lease *l, const struct gr_etcd_result *r)
{
    return r->grpc_code == GR_GRPC_NOT_FOUND || gr_mono_now().usec >= l->sent.usec + ttl_usec(l);
}

static void on_answer(void *userdata, const struct gr_etcd_result *r)
{
    struct gr_lease *l = userdata;
    l->call = NULL;
    bool granted = !r->error.reason && !l->id, lost = r->error.reason && l->id && is_dead(l, r);
    if (r->error.reason) {
        set_timer(l, gr_backoff_next_usec(&l->backoff, 0));
        if (lost)
            l->id = 0;
    } else {
        l->backoff.failures = 0;
        l->sent = l->asked;
        if (granted)
            l->id = r->lease;
        l->ttl_sec = r->ttl_sec; // etcd may grant more than was asked
        set_timer(l, ttl_usec(l) / 3);
    }
    // Last: the receiver may free the lease.
    if (granted)
        l->cb.granted(l->cb.userdata, l->id);
    else if (lost)
        l->cb.lost(l->cb.userdata, &r->error);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    ask(userdata);
    return 0;
}

static void ask(struct gr_lease *l)
{
    l->asked = gr_mono_now();
    int r = l->id ? gr_etcd_lease_keepalive(l->client, l->id, on_answer, l, &l->call, NULL)
                  : gr_etcd_lease_grant(l->client, l->ttl_sec, on_answer, l, &l->call, NULL);
    if (r < 0)
        set_timer(l, gr_backoff_next_usec(&l->backoff, 0));
}

int gr_lease_new(sd_event *event, struct gr_etcd *c, int64_t ttl_sec,
                 const struct gr_lease_callbacks *cb, struct gr_lease **ret)
{
    struct gr_lease *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    *l = (struct gr_lease){.client = c, .cb = *cb, .ttl_sec = ttl_sec};
    int r = sd_event_add_time(event, &l->timer, CLOCK_MONOTONIC, 0, GR_USEC_PER_MSEC, on_timer, l);
    if (r < 0) {
        gr_lease_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void gr_lease_free(struct gr_lease *l)
{
    if (!l)
        return;
    gr_etcd_cancel(l->call);
    sd_event_source_disable_unref(l->timer);
    free(l);
}

int64_t gr_lease_id(const struct gr_lease *l)
{
    return l->id;
}
