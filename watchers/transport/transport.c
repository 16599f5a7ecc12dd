// The event loop's side of curl: sockets and the timer of one multi handle as sd-event sources.
// Knows no request's meaning.
#include "watchers/transport/internal.h"
#include <errno.h>
#include <sys/epoll.h>

static void leave_curl(struct gr_transport *t);

static void act(struct gr_transport *t, curl_socket_t fd, int bits)
{
    int running;
    t->in_curl++;
    (void)curl_multi_socket_action(t->multi, fd, bits, &running);
    t->in_curl--;
    leave_curl(t);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)s;
    int bits = 0;
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
        bits |= CURL_CSELECT_IN; // an error is learned by reading
    if (revents & EPOLLOUT)
        bits |= CURL_CSELECT_OUT;
    act(userdata, fd, bits);
    return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    act(userdata, CURL_SOCKET_TIMEOUT, 0);
    return 0;
}

static uint32_t events_of(int what)
{
    return (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *per_socket)
{
    (void)easy;
    struct gr_transport *t = userdata;
    sd_event_source *source = per_socket;
    if (what == CURL_POLL_REMOVE) {
        (void)curl_multi_assign(t->multi, fd, NULL);
        sd_event_source_disable_unref(source);
        return 0;
    }
    if (source)
        return sd_event_source_set_io_events(source, events_of(what)) < 0 ? -1 : 0;
    if (sd_event_add_io(t->event, &source, fd, events_of(what), on_io, t) < 0)
        return -1;
    if (curl_multi_assign(t->multi, fd, source) != CURLM_OK) {
        sd_event_source_disable_unref(source);
        return -1;
    }
    return 0;
}

static int on_timeout_wanted(CURLM *multi, long timeout_msec, void *userdata)
{
    (void)multi;
    struct gr_transport *t = userdata;
    if (timeout_msec < 0)
        return sd_event_source_set_enabled(t->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
    uint64_t at = gr_mono_now().usec + (uint64_t)timeout_msec * GR_USEC_PER_MSEC;
    if (sd_event_source_set_time(t->timer, at) < 0)
        return -1;
    return sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

static void reap_cancelled(struct gr_transport *t)
{
    struct gr_transfer *x = LIST_FIRST(&t->transfers);
    while (x) {
        struct gr_transfer *next = LIST_NEXT(x, link);
        if (x->cancelled)
            gr_transfer_destroy(x);
        x = next;
    }
}

// A transfer that was started inside one of curl's callbacks is still outside of the multi handle.
static struct gr_transfer *next_unadded(struct gr_transport *t)
{
    struct gr_transfer *x;
    LIST_FOREACH(x, &t->transfers, link)
    if (!x->added && !x->finishing)
        return x;
    return NULL;
}

// What curl's callbacks asked for while curl could not be called, then the transfers that ended.
static void leave_curl(struct gr_transport *t)
{
    struct gr_transfer *x;
    reap_cancelled(t);
    while ((x = next_unadded(t))) {
        x->added = true;
        if (curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
            x->added = false;
            gr_transfer_finish(x, CURLE_FAILED_INIT);
        }
    }
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(t->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result; // m dies with the handle's removal
        if (curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x) == CURLE_OK && x)
            gr_transfer_finish(x, code);
    }
}

int gr_transport_admit(struct gr_transport *t, struct gr_transfer *x)
{
    LIST_INSERT_HEAD(&t->transfers, x, link);
    if (t->in_curl)
        return 0;
    if (curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
        LIST_REMOVE(x, link);
        return -ENOMEM;
    }
    x->added = true;
    return 0;
}

int gr_transport_new(sd_event *event, struct gr_transport **ret)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    struct gr_transport *t = calloc(1, sizeof *t);
    if (!t) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    LIST_INIT(&t->transfers);
    t->event = sd_event_ref(event);
    t->multi = curl_multi_init();
    int r = t->multi ? 0 : -ENOMEM;
    if (r >= 0)
        r = sd_event_add_time(event, &t->timer, CLOCK_MONOTONIC, 0, 1, on_timer, t);
    if (r >= 0)
        r = sd_event_source_set_enabled(t->timer, SD_EVENT_OFF);
    if (r < 0) {
        gr_transport_free(t);
        return r;
    }
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
    *ret = t;
    return 0;
}

void gr_transport_free(struct gr_transport *t)
{
    if (!t)
        return;
    struct gr_transfer *x;
    while ((x = LIST_FIRST(&t->transfers)))
        gr_transfer_destroy(x);
    if (t->multi)
        curl_multi_cleanup(t->multi);
    sd_event_source_disable_unref(t->timer);
    sd_event_unref(t->event);
    free(t);
    curl_global_cleanup();
}
