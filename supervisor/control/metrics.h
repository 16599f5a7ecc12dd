// The view as metrics: Prometheus text 0.0.4, or OpenMetrics 1.0. Pure.
//
// From the view's own members come build_info, module_info, requests_total,
// requests_nested_total, state_handovers_total, state_handover_*, request_duration_seconds,
// requests_in_flight, faults_total, rescued_total, route_weight_ratio, requests_parked,
// dispatch_freeze_duration_seconds, connections, connections_total, refused_framing_total,
// pinned_versions, quarantined_digests, source_up, source_held and the etcd_* ones; all others are
// `series`.
#pragma once
#include "base/buf.h"
#include "control/view.h"

enum gr_metrics_dialect { GR_METRICS_PROMETHEUS, GR_METRICS_OPENMETRICS };
// What an Accept header asks for; NULL: Prometheus.
enum gr_metrics_dialect gr_metrics_dialect_of(const char *accept);
const char *gr_metrics_content_type(enum gr_metrics_dialect d);
// Appends to b. Fails: -ENOMEM, -E2BIG (b's cap).
GR_MUST_CHECK int gr_metrics_format(const struct gr_view *v, enum gr_metrics_dialect d,
                                    struct gr_buf *b);
