// The view as metrics: Prometheus text 0.0.4, or OpenMetrics 1.0. Pure.
// docs/METRICS.md lists the families; a test holds it equal to what a running instance says.
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
