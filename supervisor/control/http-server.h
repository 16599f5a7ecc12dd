// A small HTTP server on the event loop: libmicrohttpd without threads of its own. Knows no routes.
// One thread.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include <systemd/sd-event.h>

struct gr_http_server;
struct gr_http_request { // borrowed, valid inside the handler
    const char *method, *path;
    const char *body; // NUL-terminated, "" when there is none
    size_t body_len;
    bool expired;     // asked again because its wait has run out
    void *connection; // for the two functions below
};
// Query argument and header by name; NULL: absent. Borrowed.
const char *gr_http_query(const struct gr_http_request *q, const char *name);
const char *gr_http_header(const struct gr_http_request *q, const char *name);

struct gr_http_field {
    const char *name, *value;
};
struct gr_http_stream { // a body that goes on until the client leaves
    // Appends to the empty *out what there is to say by now. Nothing: asked again after the next
    // wake. It is not asked while the client has not taken what it said before. Negative errno ends
    // the connection.
    int (*next)(void *userdata, struct gr_buf *out);
    void (*done)(void *userdata); // once, at the end
    void *userdata;
    size_t max_bytes; // of what is said at once
};
struct gr_http_reply {
    unsigned status;          // 0: not yet, ask again at the next wake or when wait_usec is over
    uint64_t wait_usec;       // with status 0: at most so long, counted from the first "not yet"
    const char *content_type; // static storage
    char *body;               // malloc'ed, taken
    const char *fixed;        // instead of `body`: static storage
    size_t body_len;          // of either
    char etag[80];            // of the body, with its quotes. A client that has it gets 304 and no
                              // body; it may keep the body, but asks again each time. "": nobody
                              // keeps it
    const char *coding;       // that the body is in: "gzip"; NULL: none. Static storage
    const struct gr_http_field *fields; // more header fields, static storage
    size_t n_fields;
    struct gr_http_stream stream; // with `next`: instead of the body
};
// Fills *ret. Called again for the same request after each wake while it answers "not yet".
typedef void (*gr_http_handler)(void *userdata, const struct gr_http_request *q,
                                struct gr_http_reply *ret);

// Takes listen_fd (also on failure). Fails: -ENOMEM, -EIO.
GR_MUST_CHECK int gr_http_server_new(sd_event *event, int listen_fd, gr_http_handler handler,
                                     void *userdata, struct gr_http_server **ret,
                                     struct gr_error *e);
// Closes all connections. Not from inside the handler. NULL is fine.
void gr_http_server_free(struct gr_http_server *s);
// Asks the handler again for everybody who waits, and each stream that has nothing to say, at the
// next turn of the loop. Safe inside the handler.
void gr_http_server_wake(struct gr_http_server *s);

// A reply of JSON text; takes `take`. NULL: 500.
void gr_http_reply_json(struct gr_http_reply *ret, unsigned status, cJSON *take);
