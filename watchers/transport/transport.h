// HTTP on the event loop: one curl multi handle driven by sd-event, and requests that may be
// cancelled at any time. Knows nothing of etcd or artifacts; never follows a redirect and never
// blocks. One thread.
#pragma once
#include "base/error.h"
#include <curl/curl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

struct gr_transport; // outlives every transfer and everybody who starts some
struct gr_transfer;

GR_MUST_CHECK int gr_transport_new(sd_event *event, struct gr_transport **ret);
// Cancels what still runs. Not from inside a transfer's callback. NULL is fine.
void gr_transport_free(struct gr_transport *t);
static inline void gr_transport_freep(struct gr_transport **t)
{
    gr_transport_free(*t);
}

// Why a transfer ended before curl had an opinion of its own.
enum gr_transfer_stop {
    GR_TRANSFER_NOT_STOPPED = 0, // `code` tells all
    GR_TRANSFER_ADDRESS_REFUSED, // allow_address refused the only addresses there were
    GR_TRANSFER_TOO_LARGE,       // more than max_bytes of body
    GR_TRANSFER_STALLED,         // no byte for stall_usec
    GR_TRANSFER_ABORTED,         // on_data or on_header answered negative; see `abort_code`
};
struct gr_transfer_result { // borrowed, valid inside on_done only
    CURLcode code;          // CURLE_OK: the whole answer came; http_status is still to be judged
    enum gr_transfer_stop stop;
    int abort_code;   // what on_data or on_header returned
    long http_status; // 0: no answer line came
    bool connected;   // a connection existed, so the request may have reached the peer
    uint64_t body_bytes;
    char primary_ip[64];      // "": never connected
    char message[256];        // "" on success; else what went wrong, in words
    const char *redirect_url; // absolute target of a 3xx, "": none. Check it again before following
};

struct gr_transfer_options { // copied; zeroed members mean the default
    const char *url;
    const char *method; // NULL: GET, or POST when there is a body
    const void *body;
    size_t body_len;
    const char *const *headers;       // NULL-terminated "Name: value" lines, may be NULL
    const char *protocols;            // curl's list, "https" or "http,https"; required
    const char *ca_file;              // NULL: the system's authorities
    const char *cert_file, *key_file; // NULL: no client certificate
    uint64_t timeout_usec;            // whole transfer; 0: none
    uint64_t connect_timeout_usec;    // 0: 3 s
    uint64_t stall_usec;              // longest silence; 0: none
    uint64_t max_bytes;               // of body; 0: none
    bool fresh_connection;            // neither takes a pooled connection nor leaves one
    bool http1_only;                  // cleartext http is always HTTP/1.1
    void *userdata;
    // Refuse (negative) an address after name resolution and before connecting. NULL: all are fine.
    int (*allow_address)(void *userdata, const struct sockaddr *addr, socklen_t len);
    // One header line without its line end; negative aborts. May be NULL.
    int (*on_header)(void *userdata, const char *line, size_t len);
    // Body bytes as they come, of any status; negative aborts. May be NULL.
    int (*on_data)(void *userdata, const void *bytes, size_t len);
    // Exactly once, never from inside gr_transfer_start, never after gr_transfer_cancel.
    // The transfer is gone when it returns. Cancelling it from inside is harmless.
    void (*on_done)(void *userdata, const struct gr_transfer_result *r);
};
// May be called from inside any callback. Fails: -EINVAL (url, options), -ENOMEM; nothing is
// started then.
GR_MUST_CHECK int gr_transfer_start(struct gr_transport *t, const struct gr_transfer_options *o,
                                    struct gr_transfer **ret, struct gr_error *e);
// Drops it; no callback of it runs any more. Safe inside every callback, its own included. NULL is
// fine.
void gr_transfer_cancel(struct gr_transfer *x);
// Status of the answer so far, 0 before its first line; for on_data, which sees the body of errors
// too.
long gr_transfer_http_status(const struct gr_transfer *x);
// Address of the peer, "" before the connection. Borrowed.
const char *gr_transfer_primary_ip(const struct gr_transfer *x);
