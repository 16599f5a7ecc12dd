// What the service says: to the journal with fields, or as JSON lines on stderr when not under the
// journal. Library code stays at debug; an event is told once, by the one who decided it.
#pragma once
#include "base/macros.h"
#include <stdint.h>

enum gr_log_level {
    GR_LOG_ERROR = 3,
    GR_LOG_WARNING = 4,
    GR_LOG_NOTICE = 5,
    GR_LOG_INFO = 6,
    GR_LOG_DEBUG = 7
};

// Every kind of event has one MESSAGE_ID (128-bit hex) and one catalog text in
// systemd/grayling.catalog.
struct gr_event_field { // one more, "GRAYLING_METHOD" in the journal and "method" in JSON
    const char *journal_name, *json_name, *value;
};
#define GR_EVENT_FIELDS_MAX 8
struct gr_event {
    const char *message_id; // one of GR_MSG_*
    enum gr_log_level level;
    const char *module, *version, *rollout, *phase, *reason; // each may be NULL
    int64_t revision;                                        // 0: none
    const char *message;                                     // a sentence
    size_t n_fields;
    const struct gr_event_field *fields;
};
// Before there are threads; detects JOURNAL_STREAM; GRAYLING_LOG_LEVEL=debug lowers the bar from
// info. `identifier` is borrowed for ever.
void gr_log_init(const char *identifier);
// Any thread.
void gr_log(enum gr_log_level level, const char *format, ...) GR_PRINTF(2, 3);
void gr_log_event(const struct gr_event *ev);

#define GR_MSG_STARTED "6f0c1d2e3a4b4c5d8e9f101112131401"
#define GR_MSG_STOPPING "6f0c1d2e3a4b4c5d8e9f101112131402"
#define GR_MSG_PHASE "6f0c1d2e3a4b4c5d8e9f101112131403" // a rollout entered a phase
#define GR_MSG_REJECTED "6f0c1d2e3a4b4c5d8e9f101112131404"
#define GR_MSG_SWAPPED "6f0c1d2e3a4b4c5d8e9f101112131405"
#define GR_MSG_ROLLED_BACK "6f0c1d2e3a4b4c5d8e9f101112131406"
#define GR_MSG_HEALTHY "6f0c1d2e3a4b4c5d8e9f101112131407"
#define GR_MSG_WORKER_STARTED "6f0c1d2e3a4b4c5d8e9f101112131408"
#define GR_MSG_WORKER_DIED "6f0c1d2e3a4b4c5d8e9f101112131409"
#define GR_MSG_FAULT "6f0c1d2e3a4b4c5d8e9f10111213140a" // a module faulted; evidence in the message
#define GR_MSG_QUARANTINED "6f0c1d2e3a4b4c5d8e9f10111213140b"
#define GR_MSG_SOURCE_LOST "6f0c1d2e3a4b4c5d8e9f10111213140c"
#define GR_MSG_SOURCE_BACK "6f0c1d2e3a4b4c5d8e9f10111213140d"
// restored or foreign cluster: held
#define GR_MSG_SOURCE_REWOUND "6f0c1d2e3a4b4c5d8e9f10111213140e"
#define GR_MSG_REMOVED "6f0c1d2e3a4b4c5d8e9f10111213140f"
#define GR_MSG_DEGRADED "6f0c1d2e3a4b4c5d8e9f101112131410"
#define GR_MSG_UNTRUSTED "6f0c1d2e3a4b4c5d8e9f101112131411" // no trust root: digest only
#define GR_MSG_MENDED "6f0c1d2e3a4b4c5d8e9f101112131441"    // a lost artifact was fetched again
// something is served without an interface that it can do without
#define GR_MSG_OPTIONAL_MISSING "6f0c1d2e3a4b4c5d8e9f101112131442"
// journaled state taken up after a start
#define GR_MSG_RECOVERED "6f0c1d2e3a4b4c5d8e9f101112131412"
#define GR_MSG_STEP "6f0c1d2e3a4b4c5d8e9f101112131430"    // a rollout entered a step
#define GR_MSG_STEERED "6f0c1d2e3a4b4c5d8e9f101112131431" // an operator's order was obeyed
// an operator's intent was refused
#define GR_MSG_ORDER_REFUSED "6f0c1d2e3a4b4c5d8e9f101112131432"
#define GR_MSG_BREAKER_OPENED "6f0c1d2e3a4b4c5d8e9f101112131460"
#define GR_MSG_BREAKER_CLOSED "6f0c1d2e3a4b4c5d8e9f101112131461"
#define GR_MSG_MEMORY "6f0c1d2e3a4b4c5d8e9f101112131462"     // what was done about too little of it
#define GR_MSG_START_DIED "6f0c1d2e3a4b4c5d8e9f101112131450" // with a candidate in play
#define GR_MSG_SAFE_MODE "6f0c1d2e3a4b4c5d8e9f101112131451"
#define GR_MSG_SAFE_MODE_LEFT "6f0c1d2e3a4b4c5d8e9f101112131452"
#define GR_MSG_NO_CONTROL "6f0c1d2e3a4b4c5d8e9f101112131421" // no room for its socket
#define GR_MSG_CONTROL_BACK "6f0c1d2e3a4b4c5d8e9f101112131422"
#define GR_MSG_JOURNAL_DAMAGED "6f0c1d2e3a4b4c5d8e9f101112131420"
