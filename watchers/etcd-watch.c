// See etcd-watch.h. HTTP 200 means nothing here: a watch fails inside its stream, stays open when
// it was cancelled, and may never say its first word (FACTS-ETCD, traps 2, 5 and 9). All of these
// become one `ended`.
#include "watchers/etcd-watch.h"
#include "base/clock.h"
#include "watchers/etcd-stream.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CREATED_USEC (5 * GR_USEC_PER_SEC)

struct gr_etcd_watch {
    struct gr_etcd *client;
    struct gr_etcd_watch_callbacks cb;
    uint64_t cluster_id;
    struct gr_transfer *transfer;
    struct gr_etcd_stream stream;
    struct gr_buf refusal; // body of an answer that is not 200
    sd_event_source *deadline;
    bool created;
    bool is_ending; // why and error are set
    enum gr_watch_restart why;
    struct gr_error error;
};

void gr_etcd_watch_close(struct gr_etcd_watch *w)
{
    if (!w)
        return;
    gr_transfer_cancel(w->transfer);
    sd_event_source_disable_unref(w->deadline);
    gr_etcd_stream_done(&w->stream);
    gr_buf_done(&w->refusal);
    free(w);
}

static void end(struct gr_etcd_watch *w)
{
    struct gr_etcd_watch_callbacks cb = w->cb;
    enum gr_watch_restart why = w->why;
    struct gr_error e = w->error;
    gr_etcd_watch_close(w);
    cb.ended(cb.userdata, why, &e);
}

// Notes the cause; the transfer is dropped by the negative answer and `end` follows outside of
// curl.
static int note_end(struct gr_etcd_watch *w, enum gr_watch_restart why, const char *what)
{
    w->is_ending = true;
    w->why = why;
    return gr_error_set_retryable(&w->error, -ECANCELED, GR_REASON_SOURCE_UNREACHABLE,
                                  "The watch on etcd at %s ended: %s. It will be opened again.",
                                  gr_etcd_endpoint(w->client), what);
}

static int on_canceled(struct gr_etcd_watch *w, const struct gr_etcd_watch_line *line)
{
    char what[640];
    if (line->compact_revision || strstr(line->complaint.message, "has been compacted")) {
        snprintf(what, sizeof what, "its revision was compacted away (oldest kept: %" PRId64 ")",
                 line->compact_revision);
        return note_end(w, GR_WATCH_RESTART_COMPACTED, what);
    }
    snprintf(what, sizeof what, "etcd canceled it: %s",
             line->complaint.message[0] ? line->complaint.message : "no reason given");
    bool login = gr_etcd_complaint_wants_login(0, &line->complaint);
    return note_end(w, login ? GR_WATCH_RESTART_AUTH : GR_WATCH_RESTART_CANCELED, what);
}

static int on_created(struct gr_etcd_watch *w, const struct gr_etcd_watch_line *line)
{
    char what[200];
    if (line->cluster_id != w->cluster_id) {
        snprintf(what, sizeof what,
                 "the cluster id is %" PRIu64 " where %" PRIu64 " answered before",
                 line->cluster_id, w->cluster_id);
        return note_end(w, GR_WATCH_RESTART_CLUSTER, what);
    }
    w->created = true;
    w->deadline = sd_event_source_disable_unref(w->deadline);
    w->cb.created(w->cb.userdata);
    return 0;
}

static void tell_events(struct gr_etcd_watch *w, const struct gr_etcd_watch_line *line)
{
    for (size_t i = 0; i < line->n_events; i++) {
        const struct gr_etcd_event *ev = &line->events[i];
        w->cb.event(w->cb.userdata, gr_bytes(ev->key, ev->key_len), ev->mod_revision, ev->deleted);
    }
    if (line->n_events)
        w->cb.changed(w->cb.userdata, line->max_mod_revision);
}

static int on_line(void *userdata, const char *text, size_t len)
{
    struct gr_etcd_watch *w = userdata;
    GR_CLEANUP(gr_etcd_watch_line_done) struct gr_etcd_watch_line line = {0};
    struct gr_error e = {0};
    if (gr_etcd_watch_line_parse(text, len, &line, &e) < 0)
        return note_end(w, GR_WATCH_RESTART_ERROR, e.message);
    if (line.failed) {
        bool login = gr_etcd_complaint_wants_login(0, &line.complaint);
        return note_end(w, login ? GR_WATCH_RESTART_AUTH : GR_WATCH_RESTART_ERROR,
                        line.complaint.message);
    }
    if (line.canceled) // also when it says "created" as well
        return on_canceled(w, &line);
    if (line.created && !w->created) {
        int r = on_created(w, &line);
        if (r < 0)
            return r;
    }
    tell_events(w, &line);
    return 0;
}

static int on_data(void *userdata, const void *bytes, size_t len)
{
    struct gr_etcd_watch *w = userdata;
    if (gr_transfer_http_status(w->transfer) != 200)
        return gr_buf_append(&w->refusal, bytes, len);
    int r = gr_etcd_stream_feed(&w->stream, bytes, len, on_line, w);
    if (r >= 0 || w->is_ending)
        return r;
    return note_end(w, GR_WATCH_RESTART_ERROR,
                    r == -E2BIG ? "one message is larger than 16 MiB"
                                : "its stream is no sequence of JSON objects");
}

static void judge_end(struct gr_etcd_watch *w, const struct gr_transfer_result *t)
{
    struct gr_etcd_complaint why;
    char what[640];
    if (t->http_status && t->http_status != 200) {
        gr_etcd_complaint_parse(w->refusal.data, w->refusal.len, &why);
        snprintf(what, sizeof what, "HTTP %ld: %s", t->http_status, why.message);
        bool login = gr_etcd_complaint_wants_login(t->http_status, &why);
        (void)note_end(w, login ? GR_WATCH_RESTART_AUTH : GR_WATCH_RESTART_ERROR, what);
    } else if (t->code != CURLE_OK) {
        (void)note_end(w, GR_WATCH_RESTART_CLOSED, t->message);
    } else {
        (void)note_end(w, GR_WATCH_RESTART_CLOSED,
                       gr_etcd_stream_is_whole(&w->stream)
                           ? "etcd closed the connection"
                           : "etcd closed the connection inside a message");
    }
}

static void on_done(void *userdata, const struct gr_transfer_result *t)
{
    struct gr_etcd_watch *w = userdata;
    w->transfer = NULL;
    if (!w->is_ending)
        judge_end(w, t);
    end(w);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    (void)s;
    (void)usec;
    struct gr_etcd_watch *w = userdata;
    (void)note_end(w, GR_WATCH_RESTART_NO_ANSWER, "no first message came within 5 s");
    end(w);
    return 0;
}

int gr_etcd_watch_open(sd_event *event, struct gr_etcd *c, struct gr_bytes prefix,
                       int64_t start_revision, uint64_t cluster_id,
                       const struct gr_etcd_watch_callbacks *cb, struct gr_etcd_watch **ret,
                       struct gr_error *e)
{
    GR_AUTO_FREE char *body = gr_etcd_format_watch(prefix, start_revision);
    struct gr_etcd_watch *w = body ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    *w = (struct gr_etcd_watch){.client = c,
                                .cb = *cb,
                                .cluster_id = cluster_id,
                                .stream = GR_ETCD_STREAM,
                                .refusal = GR_BUF(GR_ETCD_COMPLAINT_BYTES_MAX)};
    struct gr_transfer_options callbacks = {.userdata = w, .on_data = on_data, .on_done = on_done};
    uint64_t due = gr_mono_now().usec + CREATED_USEC;
    int r = sd_event_add_time(event, &w->deadline, CLOCK_MONOTONIC, due, GR_USEC_PER_MSEC,
                              on_deadline, w);
    if (r < 0)
        gr_error_set_retryable(e, r, GR_REASON_INTERNAL, "No timer for the watch: %s.",
                               strerror(-r));
    else
        r = gr_etcd_open_stream(c, "/v3/watch", body, &callbacks, &w->transfer, e);
    if (r < 0) {
        gr_etcd_watch_close(w);
        return r;
    }
    *ret = w;
    return 0;
}
