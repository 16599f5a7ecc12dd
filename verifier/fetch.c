// Mirrors, retries and the deadline of a fetch. One attempt runs at a time; how it ended decides
// between the same source again (after a jittered pause), the next source, and the end.
#include "verifier/fetch.h"
#include "base/limits.h"
#include "verifier/attempt.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

struct gr_fetch {
    struct gr_fetch_options o;
    char *ca_file;
    struct gr_source sources[GR_SOURCES_MAX];
    size_t n_sources, at;
    unsigned attempt; // of this source
    bool retryable;   // some failure may be cured by time
    struct gr_digest digest;
    struct gr_bytes *bytes;
    struct gr_file_attempt *file;
    struct gr_http_attempt *http;
    sd_event_source *pause, *deadline;
    struct gr_error last;
};

static void finish(struct gr_fetch *f, struct gr_bytes *bytes, const struct gr_error *e)
{
    sd_event_source_set_enabled(f->pause, SD_EVENT_OFF);
    sd_event_source_set_enabled(f->deadline, SD_EVENT_OFF);
    f->o.done(f->o.userdata, bytes, e); // may free f
}

static void drop_attempt(struct gr_fetch *f)
{
    gr_file_attempt_cancel(f->file);
    gr_http_attempt_cancel(f->http);
    f->file = NULL;
    f->http = NULL;
}

// Full jitter: anything between nothing and a ceiling that doubles.
static uint64_t jitter(unsigned attempt)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = gr_mono_now().usec;
    return random % ((GR_FETCH_BACKOFF_USEC << attempt) + 1);
}

static int wait_for(struct gr_fetch *f, uint64_t usec)
{
    int r = sd_event_source_set_time_relative(f->pause, usec);
    return r < 0 ? r : sd_event_source_set_enabled(f->pause, SD_EVENT_ONESHOT);
}

static void failed(struct gr_fetch *f, const struct gr_error *e)
{
    f->last = *e;
    f->retryable |= e->retryable;
    drop_attempt(f);
    uint64_t pause = 0;
    // a server that stalls or is slow has had its time: the next one is more likely to help
    bool again = e->retryable && e->reason != GR_REASON_FETCH_TIMEOUT &&
                 f->attempt + 1 < GR_FETCH_ATTEMPTS_MAX;
    if (again) {
        pause = jitter(f->attempt++);
    } else {
        f->at++;
        f->attempt = 0;
    }
    if (f->at < f->n_sources && wait_for(f, pause) >= 0)
        return;
    f->last.retryable = f->retryable;
    if (f->n_sources > 1)
        gr_error_wrap(&f->last, "none of %zu sources gave the artifact; the last one",
                      f->n_sources);
    finish(f, NULL, &f->last);
}

static int check_digest(struct gr_fetch *f, struct gr_error *e)
{
    char expected[GR_DIGEST_TEXT_MAX], actual[GR_DIGEST_TEXT_MAX];
    int r = gr_bytes_seal(f->bytes);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "the fetched bytes cannot be sealed: %s",
                            strerror(-r));
    if (gr_digest_equal(gr_bytes_digest(f->bytes), &f->digest))
        return 0;
    return gr_error_set(e, -EBADMSG, GR_REASON_DIGEST_MISMATCH,
                        "source %s gives %" PRIu64
                        " bytes with %s, and the document names %s; publish the bytes that were "
                        "released or correct version_hash",
                        f->sources[f->at].label, gr_bytes_size(f->bytes),
                        gr_digest_format(gr_bytes_digest(f->bytes), actual),
                        gr_digest_format(&f->digest, expected));
}

static void on_attempt(void *userdata, const struct gr_error *why)
{
    struct gr_fetch *f = userdata;
    struct gr_error e = {0};
    if (!why && check_digest(f, &e) < 0)
        why = &e;
    if (why)
        failed(f, why);
    else
        finish(f, gr_steal(f->bytes), NULL);
}

static int begin_attempt(struct gr_fetch *f, struct gr_error *e)
{
    uint64_t now = gr_mono_now().usec;
    gr_bytes_free(f->bytes);
    f->bytes = NULL;
    int r = gr_bytes_new(f->o.size ? f->o.size : f->o.max_bytes, &f->bytes);
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_DISK_FULL,
                                      "no private memory for an artifact: %s", strerror(-r));
    struct gr_attempt_options o = {
        .event = f->o.event,
        .transport = f->o.transport,
        .policy = f->o.policy,
        .source = &f->sources[f->at],
        .into = f->bytes,
        .size = f->o.size,
        .max_bytes = f->o.max_bytes,
        .timeout_usec = f->o.deadline.usec > now ? f->o.deadline.usec - now : 1,
        .ca_file = f->ca_file,
        .done = on_attempt,
        .userdata = f,
    };
    return o.source->url ? gr_http_attempt_start(&o, &f->http, e)
                         : gr_file_attempt_start(&o, &f->file, e);
}

static int on_pause(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct gr_fetch *f = userdata;
    struct gr_error e = {0};
    (void)s, (void)usec;
    if (begin_attempt(f, &e) < 0)
        failed(f, &e);
    return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct gr_fetch *f = userdata;
    struct gr_error e;
    (void)s, (void)usec;
    drop_attempt(f);
    gr_error_set_retryable(&e, -ETIMEDOUT, GR_REASON_FETCH_TIMEOUT,
                           "source %s did not give the whole artifact before the deadline "
                           "(%" PRIu64 " bytes came)%s%s; look after the server or add a mirror",
                           f->sources[f->at].label, f->bytes ? gr_bytes_size(f->bytes) : 0,
                           f->last.message[0] ? "; before that: " : "", f->last.message);
    finish(f, NULL, &e);
    return 0;
}

static int prepare(struct gr_fetch *f, const struct gr_fetch_options *o, struct gr_error *e)
{
    if (o->n_sources == 0 || o->n_sources > GR_SOURCES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                            "the document names %zu sources; 1 to %d are allowed", o->n_sources,
                            GR_SOURCES_MAX);
    if (o->size > o->max_bytes)
        return gr_error_set(e, -EFBIG, GR_REASON_TOO_LARGE,
                            "the document declares %" PRIu64 " bytes and MaxBytes= in [Artifacts] "
                            "allows %" PRIu64 "; publish a smaller artifact or raise the limit",
                            o->size, o->max_bytes);
    for (; f->n_sources < o->n_sources; f->n_sources++) {
        int r = gr_policy_parse(o->policy, o->sources[f->n_sources], NULL,
                                &f->sources[f->n_sources], e);
        if (r < 0)
            return r;
    }
    if (o->ca_file && !(f->ca_file = strdup(o->ca_file)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a fetch");
    int r = sd_event_add_time(o->event, &f->pause, CLOCK_MONOTONIC, 0, 1, on_pause, f);
    if (r >= 0)
        r = sd_event_add_time(o->event, &f->deadline, CLOCK_MONOTONIC, o->deadline.usec, 1000,
                              on_deadline, f);
    if (r >= 0)
        r = sd_event_source_set_enabled(f->pause, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_source_set_enabled(f->deadline, SD_EVENT_OFF);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "a fetch cannot be timed: %s", strerror(-r));
    return 0;
}

int gr_fetch_begin(struct gr_fetch *f)
{
    int r = wait_for(f, 0);
    return r < 0 ? r : sd_event_source_set_enabled(f->deadline, SD_EVENT_ONESHOT);
}

int gr_fetch_new(const struct gr_fetch_options *o, struct gr_fetch **ret, struct gr_error *e)
{
    struct gr_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a fetch");
    f->o = *o;
    f->digest = *o->digest;
    gr_policy_ref(o->policy);
    int r = prepare(f, o, e);
    if (r < 0) {
        gr_fetch_free(f);
        return r;
    }
    *ret = f;
    return 0;
}

void gr_fetch_free(struct gr_fetch *f)
{
    if (!f)
        return;
    drop_attempt(f);
    sd_event_source_disable_unref(f->pause);
    sd_event_source_disable_unref(f->deadline);
    for (size_t i = 0; i < f->n_sources; i++)
        gr_source_done(&f->sources[i]);
    gr_bytes_free(f->bytes);
    gr_policy_unref(f->o.policy);
    free(f->ca_file);
    free(f);
}
