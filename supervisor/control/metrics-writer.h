// The text of metrics: families, samples, labels. Names come without the prefix "grayling_".
#pragma once
#include "base/buf.h"
#include "dispatch/stats.h"

#define GR_METRIC_LABELS_MAX 768 // two validated names, each at most doubled by escaping

struct gr_metrics_writer {
    struct gr_buf *b;
    bool open; // OpenMetrics 1.0, else Prometheus text 0.0.4
    int r;     // first failure; everything after it is skipped
};

// Begins a family: its samples come next. `type` as in the text format, or "info".
void gr_metric_family(struct gr_metrics_writer *w, const char *name, const char *type,
                      const char *help);
// `labels` "": none.
void gr_metric_sample(struct gr_metrics_writer *w, const char *name, const char *labels,
                      double value);
// A family of one sample.
void gr_metric_single(struct gr_metrics_writer *w, const char *name, const char *type,
                      const char *help, double value);
// Appends name="value", escaped, to the labels that end at `at`; returns where they end now. What
// has no room is cut before a character: GR_METRIC_LABELS_MAX has it by construction.
size_t gr_metric_label(char *into, size_t cap, size_t at, const char *name, const char *value);
// The samples of a histogram: buckets, sum, count. `labels` has room for one more label.
void gr_metric_histogram(struct gr_metrics_writer *w, const char *name, const char *labels,
                         const struct gr_histogram *h, uint64_t sum_nsec);
