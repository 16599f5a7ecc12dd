// Spans on their way to a collector, by OTLP/HTTP with JSON: kept in batches, sent one after the
// other through curl on the event loop, with back-off, under a cap. What has no place is counted
// and lost; nothing waits for a collector.
#pragma once
#include "base/error.h"
#include "base/json.h"
#include "watchers/transport/transport.h"
#include <stdint.h>
#include <systemd/sd-event.h>

struct gr_telemetry_config { // borrowed for as long as the exporter lives
    const char *endpoint;    // where batches are posted, "http://127.0.0.1:4318/v1/traces"
    const char *service, *instance, *version;
};
struct gr_telemetry_counts {
    uint64_t exported, lost; // spans
};
struct gr_telemetry;
GR_MUST_CHECK int gr_telemetry_new(sd_event *event, struct gr_transport *t,
                                   const struct gr_telemetry_config *c, struct gr_telemetry **ret,
                                   struct gr_error *e);
// What was not sent is lost. NULL is fine.
void gr_telemetry_free(struct gr_telemetry *t);
// Takes a span in OTLP's form; NULL counts as lost. Of no effect when `t` is NULL.
void gr_telemetry_add(struct gr_telemetry *t, cJSON *span);
// Spans that were lost before they came here.
void gr_telemetry_add_lost(struct gr_telemetry *t, uint64_t n);
struct gr_telemetry_counts gr_telemetry_counts(const struct gr_telemetry *t); // NULL: zeros
