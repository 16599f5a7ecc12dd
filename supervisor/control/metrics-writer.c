// Writes families and samples in either dialect.
#include "control/metrics-writer.h"
#include <stdio.h>
#include <string.h>

void gr_metric_sample(struct gr_metrics_writer *w, const char *name, const char *labels,
                      double value)
{
    if (w->r == 0)
        w->r = gr_buf_printf(w->b, *labels ? "grayling_%s{%s} %.16g\n" : "grayling_%s%s %.16g\n",
                             name, labels, value);
}

// OpenMetrics names a counter's family without its _total and an info's without its _info.
void gr_metric_family(struct gr_metrics_writer *w, const char *name, const char *type,
                      const char *help)
{
    size_t len = strlen(name);
    bool info = !strcmp(type, "info");
    if (w->open && !strcmp(type, "counter") && len > 6 && !strcmp(name + len - 6, "_total"))
        len -= 6;
    if (w->open && info)
        len -= strlen("_info");
    if (w->r == 0)
        w->r = gr_buf_printf(w->b, "# HELP grayling_%.*s %s\n# TYPE grayling_%.*s %s\n", (int)len,
                             name, help, (int)len, name, info && !w->open ? "gauge" : type);
}

void gr_metric_single(struct gr_metrics_writer *w, const char *name, const char *type,
                      const char *help, double value)
{
    gr_metric_family(w, name, type, help);
    gr_metric_sample(w, name, "", value);
}

size_t gr_metric_label(char *into, size_t cap, size_t at, const char *name, const char *value)
{
    int n = snprintf(into + at, cap - at, "%s%s=\"", at ? "," : "", name);
    at += (size_t)n < cap - at ? (size_t)n : cap - at - 1;
    for (; *value && at + 4 < cap; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            into[at++] = '\\';
        into[at++] = *value == '\n' ? 'n' : *value;
    }
    into[at++] = '"';
    into[at] = '\0';
    return at;
}

// Upper bounds of the exposed buckets. One of ours counts for a bound when all of it lies under it,
// so that nothing looks faster than it was.
static const struct {
    uint64_t nsec;
    const char *le;
} bounds[] = {
    {10000, "1e-05"},    {25000, "2.5e-05"},  {50000, "5e-05"},      {100000, "0.0001"},
    {250000, "0.00025"}, {500000, "0.0005"},  {1000000, "0.001"},    {2500000, "0.0025"},
    {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"},   {50000000, "0.05"},
    {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},    {1000000000, "1.0"},
    {2500000000, "2.5"}, {5000000000, "5.0"}, {10000000000, "10.0"},
};

void gr_metric_histogram(struct gr_metrics_writer *w, const char *name, const char *labels,
                         const struct gr_histogram *h, uint64_t sum_nsec)
{
    char full[GR_METRIC_LABELS_MAX + 32], metric[64];
    uint64_t count = 0;
    unsigned bucket = 0;
    snprintf(metric, sizeof metric, "%s_bucket", name);
    for (size_t i = 0; i <= GR_COUNT(bounds); i++) {
        bool last = i == GR_COUNT(bounds);
        for (; bucket < GR_HISTOGRAM_BUCKETS &&
               (last || gr_histogram_upper_nsec(bucket) <= bounds[i].nsec);
             bucket++)
            count += h->count[bucket];
        snprintf(full, sizeof full, "%s%sle=\"%s\"", labels, *labels ? "," : "",
                 last ? "+Inf" : bounds[i].le);
        gr_metric_sample(w, metric, full, (double)count);
    }
    snprintf(metric, sizeof metric, "%s_sum", name);
    gr_metric_sample(w, metric, labels, (double)sum_nsec / 1e9);
    snprintf(metric, sizeof metric, "%s_count", name);
    gr_metric_sample(w, metric, labels, (double)count);
}
