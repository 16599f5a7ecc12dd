// One client and one call, as etcd-client.c (where to, with which token) and etcd-call.c (a
// request's life) share them.
#pragma once
#include "watchers/etcd-client.h"
#include <sys/queue.h>

enum gr_etcd_call_kind {
    GR_ETCD_CALL_REPEATABLE, // reads, and writes whose repetition does no harm
    GR_ETCD_CALL_ONCE,       // sent again only when it surely did not arrive
    GR_ETCD_CALL_KEEPALIVE,  // repeatable; HTTP 200 may mean that the lease is dead
    GR_ETCD_CALL_LOGIN,      // needs no token
};

struct gr_etcd_call {
    struct gr_etcd *client;
    LIST_ENTRY(gr_etcd_call) link;
    enum gr_etcd_call_kind kind;
    const char *path;
    char *body;
    uint64_t timeout_usec;
    gr_etcd_done done;
    void *userdata;
    struct gr_transfer *transfer;
    struct gr_buf answer;
    size_t endpoint;   // of the present try
    size_t tries_left; // on other endpoints
    bool logged_in_again;
    bool waits_for_login;
    bool finishing;            // done runs
    sd_event_source *deferred; // reports `failure` from the loop; off until then
    struct gr_etcd_result failure;
};

struct gr_etcd {
    sd_event *event;
    struct gr_transport *transport;
    size_t n_endpoints, current;
    char **endpoints;
    char *user, *password_file, *password;
    char *ca_file, *cert_file, *key_file;
    char *token;
    bool pinned;
    bool without_auth; // etcd said that it has no authentication
    struct gr_etcd_call *login;
    LIST_HEAD(, gr_etcd_call) calls;
};

// Takes `body` (NULL: out of memory) and starts. Fails: -ENOMEM.
GR_MUST_CHECK int gr_etcd_call_new(struct gr_etcd *c, enum gr_etcd_call_kind kind, const char *path,
                                   char *body, uint64_t timeout_usec, gr_etcd_done done,
                                   void *userdata, struct gr_etcd_call **ret, struct gr_error *e);
// Sends it to the present endpoint, or lets it wait for the login.
void gr_etcd_call_try(struct gr_etcd_call *call);
// Reports the failure from the event loop: for places that must not call back.
void gr_etcd_call_fail_later(struct gr_etcd_call *call, const struct gr_error *e);
// Begins a login unless one is under way; calls with waits_for_login are taken up at its end.
GR_MUST_CHECK int gr_etcd_log_in(struct gr_etcd *c, struct gr_error *e);
#define GR_ETCD_HEADERS_MAX 4
// Address, headers and TLS of a request; they live in the two buffers and the array.
GR_MUST_CHECK int gr_etcd_set_target(struct gr_etcd *c, const char *path, bool with_token,
                                     const char *ret_headers[GR_ETCD_HEADERS_MAX],
                                     struct gr_buf *url, struct gr_buf *authorization,
                                     struct gr_transfer_options *o);
