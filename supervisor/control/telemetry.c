// One ring of spans; the oldest of them are the batch that is under way.
#include "control/telemetry.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "control/otlp.h"
#include "watchers/backoff.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_USEC GR_USEC_PER_SEC // a batch is sent when its first span is so old, or it is full
#define TIMEOUT_USEC (10 * GR_USEC_PER_SEC)

struct gr_telemetry {
    struct gr_transport *transport;
    struct gr_telemetry_config config;
    sd_event_source *timer;
    struct gr_transfer *transfer; // NULL: none under way
    struct gr_backoff backoff;
    struct gr_buf answer;
    size_t first, n, under_way;
    cJSON *ring[GR_TELEMETRY_SPANS_MAX];
    struct gr_telemetry_counts counts;
    bool armed; // the timer is on
    bool away;  // told once, until a batch arrives
};

static cJSON **at(struct gr_telemetry *t, size_t i)
{
    return &t->ring[(t->first + i) % GR_TELEMETRY_SPANS_MAX];
}

static void drop_batch(struct gr_telemetry *t)
{
    for (size_t i = 0; i < t->under_way; i++)
        cJSON_Delete(gr_steal(*at(t, i)));
    t->first = (t->first + t->under_way) % GR_TELEMETRY_SPANS_MAX;
    t->n -= t->under_way;
    t->under_way = 0;
}

static void send_after(struct gr_telemetry *t, uint64_t usec)
{
    (void)sd_event_source_set_time_relative(t->timer, usec);
    (void)sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
    t->armed = true;
}

static void tell_away(struct gr_telemetry *t, const char *why)
{
    if (!t->away)
        gr_log(GR_LOG_WARNING, "spans do not reach the collector of [Telemetry] Endpoint=: %s",
               why);
    t->away = true;
}

// What trying again can cure (OTLP, "Retryable Response Codes").
static bool is_passing(const struct gr_transfer_result *r)
{
    return r->code != CURLE_OK || r->http_status == 429 || r->http_status == 502 ||
           r->http_status == 503 || r->http_status == 504;
}

static void judge(struct gr_telemetry *t, const struct gr_transfer_result *r)
{
    char why[300];
    if (r->code == CURLE_OK && r->http_status / 100 == 2) {
        uint64_t rejected = gr_otlp_rejected(t->answer.data ? t->answer.data : "", t->answer.len);
        rejected = rejected > t->under_way ? t->under_way : rejected;
        t->counts.exported += t->under_way - rejected;
        t->counts.lost += rejected;
        t->backoff.failures = 0;
        t->away = false;
        drop_batch(t);
        return;
    }
    if (r->code != CURLE_OK)
        snprintf(why, sizeof why, "%.200s", r->message);
    else
        snprintf(why, sizeof why, "it answers with status %ld", r->http_status);
    tell_away(t, why);
    if (is_passing(r)) {
        t->under_way = 0; // stays where it is
        return;
    }
    t->counts.lost += t->under_way;
    drop_batch(t);
}

static void on_done(void *userdata, const struct gr_transfer_result *r)
{
    struct gr_telemetry *t = userdata;
    t->transfer = NULL;
    judge(t, r);
    gr_buf_done(&t->answer);
    t->answer = GR_BUF(GR_TELEMETRY_ANSWER_BYTES_MAX);
    if (t->n > 0)
        send_after(t, t->away                          ? gr_backoff_next_usec(&t->backoff, 0)
                      : t->n >= GR_TELEMETRY_BATCH_MAX ? 0
                                                       : GATHER_USEC);
}

static int on_data(void *userdata, const void *bytes, size_t len)
{
    struct gr_telemetry *t = userdata;
    return gr_buf_append(&t->answer, bytes, len);
}

static int send_batch(struct gr_telemetry *t, struct gr_error *e)
{
    cJSON *spans[GR_TELEMETRY_BATCH_MAX];
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    size_t n = t->n < GR_TELEMETRY_BATCH_MAX ? t->n : GR_TELEMETRY_BATCH_MAX, len = 0;
    for (size_t i = 0; i < n; i++)
        spans[i] = *at(t, i);
    GR_AUTO_FREE char *body =
        gr_otlp_export(t->config.service, t->config.instance, t->config.version, spans, n, &len);
    if (!body)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a batch of spans");
    t->under_way = n;
    return gr_transfer_start(t->transport,
                             &(struct gr_transfer_options){.url = t->config.endpoint,
                                                           .body = body,
                                                           .body_len = len,
                                                           .headers = headers,
                                                           .protocols = "http,https",
                                                           .timeout_usec = TIMEOUT_USEC,
                                                           .userdata = t,
                                                           .on_data = on_data,
                                                           .on_done = on_done},
                             &t->transfer, e);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct gr_telemetry *t = userdata;
    struct gr_error e = {0};
    (void)s, (void)usec;
    t->armed = false;
    if (t->transfer || t->n == 0)
        return 0;
    if (send_batch(t, &e) < 0) {
        tell_away(t, e.message);
        t->counts.lost += t->under_way;
        drop_batch(t);
    }
    return 0;
}

int gr_telemetry_new(sd_event *event, struct gr_transport *transport,
                     const struct gr_telemetry_config *c, struct gr_telemetry **ret,
                     struct gr_error *e)
{
    struct gr_telemetry *t = calloc(1, sizeof *t);
    if (!t)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for spans");
    t->transport = transport;
    t->config = *c;
    t->answer = GR_BUF(GR_TELEMETRY_ANSWER_BYTES_MAX);
    int r = sd_event_add_time(event, &t->timer, CLOCK_MONOTONIC, 0, GR_USEC_PER_MSEC, on_timer, t);
    if (r >= 0)
        r = sd_event_source_set_enabled(t->timer, SD_EVENT_OFF);
    if (r >= 0) // serving and releasing go first
        r = sd_event_source_set_priority(t->timer, SD_EVENT_PRIORITY_IDLE);
    if (r < 0) {
        gr_telemetry_free(t);
        return gr_error_set(e, r, GR_REASON_INTERNAL, "no timer for spans: %s", strerror(-r));
    }
    *ret = t;
    return 0;
}

void gr_telemetry_free(struct gr_telemetry *t)
{
    if (!t)
        return;
    gr_transfer_cancel(t->transfer);
    sd_event_source_disable_unref(t->timer);
    t->under_way = t->n;
    drop_batch(t);
    gr_buf_done(&t->answer);
    free(t);
}

void gr_telemetry_add(struct gr_telemetry *t, cJSON *span)
{
    if (!t || !span || t->n == GR_TELEMETRY_SPANS_MAX) {
        gr_telemetry_add_lost(t, 1);
        cJSON_Delete(span);
        return;
    }
    *at(t, t->n++) = span;
    if (t->transfer)
        return; // its end goes on with the rest
    if (!t->armed)
        send_after(t, GATHER_USEC);
    else if (t->n == GR_TELEMETRY_BATCH_MAX && !t->away)
        send_after(t, 0);
}

void gr_telemetry_add_lost(struct gr_telemetry *t, uint64_t n)
{
    if (t)
        t->counts.lost += n;
}

struct gr_telemetry_counts gr_telemetry_counts(const struct gr_telemetry *t)
{
    return t ? t->counts : (struct gr_telemetry_counts){0};
}
