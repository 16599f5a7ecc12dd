// What transport.c (the event loop's side of curl) and transfer.c (one request) share. Nobody else
// includes this.
#pragma once
#include "base/clock.h"
#include "watchers/transport/transport.h"
#include <sys/queue.h>

struct gr_transfer {
    struct gr_transport *transport;
    LIST_ENTRY(gr_transfer) link;
    CURL *easy;
    struct curl_slist *headers;
    struct gr_transfer_options o; // userdata, callbacks and numbers; its strings are not kept
    sd_event_source *stall;
    struct gr_mono last_byte;
    char error[CURL_ERROR_SIZE];
    uint64_t body_bytes;
    int abort_code;
    enum gr_transfer_stop stop;
    bool added;     // to the multi handle
    bool cancelled; // from inside curl: to be reaped when curl has returned
    bool finishing; // on_done runs
    bool address_refused;
};

struct gr_transport {
    sd_event *event;
    CURLM *multi;
    sd_event_source *timer;
    LIST_HEAD(gr_transfer_list, gr_transfer) transfers;
    unsigned in_curl; // curl refuses to be called from its own callbacks
};

// Adds the handle now, or when curl has returned.
int gr_transport_admit(struct gr_transport *t, struct gr_transfer *x);
// Reports the end and frees; never called from inside curl.
void gr_transfer_finish(struct gr_transfer *x, CURLcode code);
// Frees without a word; never called from inside curl.
void gr_transfer_destroy(struct gr_transfer *x);
