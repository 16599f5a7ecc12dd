// A scripted HTTP/1.1 server for tests, in the test's own event loop: it answers what the test
// says, in pieces as small as the test says, and breaks off where the test says.
#pragma once
#include <stddef.h>
#include <systemd/sd-event.h>

struct gr_loopback;
struct gr_exchange;                          // one connection with a whole request on it
struct gr_loopback_request {                 // borrowed
    const char *method, *path, *head, *body; // head: the request with its header lines
};
// Called for each request. The exchange lives until it is closed by either side.
typedef void (*gr_loopback_handler)(void *userdata, struct gr_exchange *x,
                                    const struct gr_loopback_request *r);
struct gr_loopback *gr_loopback_new(sd_event *event, gr_loopback_handler handler, void *userdata);
void gr_loopback_free(struct gr_loopback *l);
const char *gr_loopback_url(const struct gr_loopback *l);      // "http://127.0.0.1:PORT"
unsigned gr_loopback_connections(const struct gr_loopback *l); // accepted so far

// Queues bytes; at most `piece` of them go out in one turn of the loop (0: no limit).
void gr_exchange_send(struct gr_exchange *x, const char *bytes, size_t len, size_t piece);
// A whole answer with Content-Length.
void gr_exchange_reply(struct gr_exchange *x, int status, const char *headers, const char *body);
// Head of a chunked answer, and one chunk of it. An empty one is its end.
void gr_exchange_begin_chunked(struct gr_exchange *x, int status);
void gr_exchange_chunk(struct gr_exchange *x, const char *text, size_t piece);
// Once all is sent: an orderly end, or a reset.
void gr_exchange_close(struct gr_exchange *x);
void gr_exchange_reset(struct gr_exchange *x);
