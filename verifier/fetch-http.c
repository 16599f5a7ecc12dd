// One try at an http or https source: one transfer after another along the redirects, each judged
// before it starts and again when its address is known.
#include "base/fault.h"
#include "base/limits.h"
#include "verifier/attempt.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct gr_http_attempt {
    struct gr_attempt_options o;
    struct gr_source at; // where the redirects have led; url NULL: still at the source itself
    unsigned redirects;
    struct gr_transfer *transfer;
    struct gr_error refused; // why allow_address said no
};

static const struct gr_source *current(const struct gr_http_attempt *a)
{
    return a->at.url ? &a->at : a->o.source;
}

static int allow_address(void *userdata, const struct sockaddr *sa, socklen_t len)
{
    struct gr_http_attempt *a = userdata;
    return gr_policy_check_address(a->o.policy, current(a), sa, len, &a->refused);
}

static int on_data(void *userdata, const void *bytes, size_t len)
{
    struct gr_http_attempt *a = userdata;
    if (gr_transfer_http_status(a->transfer) != 200)
        return 0; // the text of an error or a redirect
    return gr_bytes_append(a->o.into, bytes, len);
}

static int judge_stop(const struct gr_http_attempt *a, const struct gr_transfer_result *r,
                      struct gr_error *e)
{
    const char *label = current(a)->label;
    switch (r->stop) {
    case GR_TRANSFER_ADDRESS_REFUSED:
        *e = a->refused;
        return e->code;
    case GR_TRANSFER_TOO_LARGE:
        return gr_attempt_append_error(&a->o, -EFBIG, label, e);
    case GR_TRANSFER_STALLED:
        return gr_error_set_retryable(e, -ETIMEDOUT, GR_REASON_FETCH_TIMEOUT,
                                      "source %s sent nothing for %llu s after %" PRIu64
                                      " bytes; look after the server or add a mirror",
                                      label, GR_FETCH_STALL_USEC / 1000000, r->body_bytes);
    case GR_TRANSFER_ABORTED:
        return gr_attempt_append_error(&a->o, r->abort_code, label, e);
    case GR_TRANSFER_NOT_STOPPED:
        break;
    }
    if (r->code == CURLE_OPERATION_TIMEDOUT)
        return gr_error_set_retryable(e, -ETIMEDOUT, GR_REASON_FETCH_TIMEOUT,
                                      "source %s did not finish in time (%" PRIu64
                                      " bytes came): %s; look after the server or add a mirror",
                                      label, r->body_bytes, r->message);
    if (r->code == CURLE_PEER_FAILED_VERIFICATION)
        return gr_error_set(e, -EPROTO, GR_REASON_FETCH_FAILED,
                            "source %s is not who it claims to be: %s; correct its certificate or "
                            "the authorities of this host",
                            label, r->message);
    if (r->code != CURLE_OK)
        return gr_error_set_retryable(e, -EIO, GR_REASON_FETCH_FAILED,
                                      "source %s broke off after %" PRIu64
                                      " bytes: %s; look after the server or add a mirror",
                                      label, r->body_bytes, r->message);
    return 0;
}

static int judge_answer(const struct gr_http_attempt *a, const struct gr_transfer_result *r,
                        struct gr_error *e)
{
    const char *label = current(a)->label;
    if (r->http_status == 408 || r->http_status == 429 || r->http_status >= 500)
        return gr_error_set_retryable(e, -EIO, GR_REASON_FETCH_FAILED,
                                      "source %s answered with status %ld instead of 200; the "
                                      "server may recover, or add a mirror",
                                      label, r->http_status);
    if (r->http_status != 200)
        return gr_error_set(e, -ENOENT, GR_REASON_FETCH_FAILED,
                            "source %s answered with status %ld instead of 200; publish the file "
                            "there or correct the document",
                            label, r->http_status);
    uint64_t bytes = gr_bytes_size(a->o.into);
    if (a->o.size && bytes != a->o.size)
        return gr_error_set_retryable(e, -ENODATA, GR_REASON_FETCH_FAILED,
                                      "source %s ended after %" PRIu64
                                      " bytes and the document declares %" PRIu64
                                      "; publish the whole file or correct the document",
                                      label, bytes, a->o.size);
    return 0;
}

static int start_transfer(struct gr_http_attempt *a, struct gr_error *e);

static int follow(struct gr_http_attempt *a, const char *target, struct gr_error *e)
{
    struct gr_source next;
    if (a->redirects == GR_REDIRECTS_MAX)
        return gr_error_set(e, -ELOOP, GR_REASON_FETCH_FAILED,
                            "source %s redirects more than %d times, last to %s; name the final "
                            "address in the document",
                            a->o.source->label, GR_REDIRECTS_MAX, current(a)->label);
    int r = gr_policy_parse(a->o.policy, target, current(a), &next, e);
    if (r < 0) {
        gr_error_wrap(e, "redirected from source %s", current(a)->label);
        return r;
    }
    a->redirects++;
    gr_source_done(&a->at);
    a->at = next;
    return start_transfer(a, e);
}

static void on_done(void *userdata, const struct gr_transfer_result *result)
{
    struct gr_http_attempt *a = userdata;
    struct gr_error e = {0};
    a->transfer = NULL;
    int r = judge_stop(a, result, &e);
    if (r == 0 && result->http_status / 100 == 3 && result->redirect_url[0]) {
        r = follow(a, result->redirect_url, &e);
        if (r == 0)
            return;
    }
    if (r == 0)
        r = judge_answer(a, result, &e);
    a->o.done(a->o.userdata, r < 0 ? &e : NULL); // may free a
}

static int start_transfer(struct gr_http_attempt *a, struct gr_error *e)
{
    const struct gr_source *s = current(a);
    struct gr_transfer_options o = {
        .url = s->url,
        .protocols = s->scheme,
        .ca_file = a->o.ca_file,
        .timeout_usec = a->o.timeout_usec,
        .stall_usec = GR_FETCH_STALL_USEC,
        .max_bytes = a->o.size ? a->o.size : a->o.max_bytes,
        .fresh_connection = true, // a pooled one was judged by an older policy, or not at all
        .userdata = a,
        .allow_address = allow_address,
        .on_data = on_data,
        .on_done = on_done,
    };
    int r = GR_FAULT("fetch.open");
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_FETCH_FAILED,
                                      "source %s cannot be opened: %s", s->label, strerror(-r));
    return gr_transfer_start(a->o.transport, &o, &a->transfer, e);
}

int gr_http_attempt_start(const struct gr_attempt_options *o, struct gr_http_attempt **ret,
                          struct gr_error *e)
{
    struct gr_http_attempt *a = calloc(1, sizeof *a);
    if (!a)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a fetch");
    a->o = *o;
    int r = start_transfer(a, e);
    if (r < 0) {
        gr_http_attempt_cancel(a);
        return r;
    }
    *ret = a;
    return 0;
}

void gr_http_attempt_cancel(struct gr_http_attempt *a)
{
    if (!a)
        return;
    gr_transfer_cancel(a->transfer);
    gr_source_done(&a->at);
    free(a);
}
