// Renders metrics. A version's series exist while it is loaded; labels are module and version as
// validated, escaped all the same.
#include "control/metrics.h"
#include "base/code.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABELS_MAX 768 // two validated names, each at most doubled by escaping

struct writer {
    struct gr_buf *b;
    bool open; // OpenMetrics
    int r;     // first failure; everything after it is skipped
};

static void text(struct writer *w, const char *s)
{
    if (w->r == 0)
        w->r = gr_buf_append(w->b, s, strlen(s));
}

static void sample(struct writer *w, const char *name, const char *labels, double value)
{
    if (w->r == 0)
        w->r = gr_buf_printf(w->b, *labels ? "grayling_%s{%s} %.16g\n" : "grayling_%s%s %.16g\n",
                             name, labels, value);
}

// OpenMetrics names a counter's family without its _total and an info's without its _info.
static void family(struct writer *w, const char *name, const char *type, const char *help)
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

static void single(struct writer *w, const char *name, const char *type, const char *help,
                   double value)
{
    family(w, name, type, help);
    sample(w, name, "", value);
}

// name="value", with value escaped; `into` has room for it by construction (LABELS_MAX), else it is
// cut before a character.
static size_t label(char *into, size_t cap, size_t at, const char *name, const char *value)
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

// --- per version
// -------------------------------------------------------------------------------------------------------

struct row { // one (module, version): the same version in two roles (a changed configuration)
             // counts as one
    const char *module, *version;
    unsigned permyriad;
    struct gr_counters sum;
    uint64_t faults[GR_FAULT_KINDS], deaths; // in all workers
    enum gr_breaker_state breaker;           // the worse one
    char labels[LABELS_MAX];
    size_t labels_len;
};

static void counters_add(struct gr_counters *into, const struct gr_counters *c)
{
    for (size_t i = 0; i < GR_CODES; i++) {
        into->requests[i] += c->requests[i];
        into->nested[i] += c->nested[i];
    }
    for (size_t i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        into->latency.count[i] += c->latency.count[i];
    into->in_flight += c->in_flight;
    into->rescued += c->rescued;
    into->timeouts += c->timeouts;
    into->latency_sum_nsec += c->latency_sum_nsec;
    into->shadow.same += c->shadow.same;
    into->shadow.errors += c->shadow.errors;
    into->shadow.diverged += c->shadow.diverged;
    into->shadow.dropped += c->shadow.dropped;
    into->shadow.noise_same += c->shadow.noise_same;
    into->shadow.noise_diverged += c->shadow.noise_diverged;
}

static struct row *find_row(struct row *rows, size_t from, size_t n, const char *version)
{
    for (size_t i = from; i < n; i++)
        if (!strcmp(rows[i].version, version))
            return &rows[i];
    return NULL;
}

static void versions_of(const struct gr_view_module *m, const struct gr_view_version *ret[3])
{
    ret[0] = &m->stable;
    ret[1] = &m->candidate;
    ret[2] = &m->previous;
}

static void faults_add(struct row *row, const struct gr_view_version *v)
{
    for (unsigned k = 0; v->faults && k < GR_FAULT_KINDS; k++)
        row->faults[k] += v->faults->n[k];
    row->deaths += v->faults ? v->faults->deaths : 0;
    row->breaker = v->breaker > row->breaker ? v->breaker : row->breaker;
}

static int collect_rows(const struct gr_view *v, struct row **ret, size_t *ret_n)
{
    size_t n = 0;
    struct row *rows = calloc(v->n_modules * 3 + 1, sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_version *versions[3];
        size_t first = n;
        versions_of(&v->modules[i], versions);
        for (size_t k = 0; k < 3; k++) {
            if (!versions[k]->present || !versions[k]->counters)
                continue;
            struct row *row = find_row(rows, first, n, versions[k]->version);
            if (!row) {
                row = &rows[n++];
                row->module = v->modules[i].module.s;
                row->version = versions[k]->version;
                row->labels_len = label(row->labels, LABELS_MAX, 0, "module", row->module);
                row->labels_len =
                    label(row->labels, LABELS_MAX, row->labels_len, "version", row->version);
            }
            row->permyriad += versions[k]->permyriad;
            counters_add(&row->sum, versions[k]->counters);
            faults_add(row, versions[k]);
        }
    }
    *ret = rows;
    *ret_n = n;
    return 0;
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

// `labels` has room for one more label.
static void histogram(struct writer *w, const char *name, const char *labels,
                      const struct gr_histogram *h, uint64_t sum_nsec)
{
    char full[LABELS_MAX + 32], metric[64];
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
        sample(w, metric, full, (double)count);
    }
    snprintf(metric, sizeof metric, "%s_sum", name);
    sample(w, metric, labels, (double)sum_nsec / 1e9);
    snprintf(metric, sizeof metric, "%s_count", name);
    sample(w, metric, labels, (double)count);
}

// Codes that were seen, and ok.
static void by_code(struct writer *w, const char *name, const struct row *row,
                    const uint64_t counts[GR_CODES])
{
    char labels[LABELS_MAX + 64];
    memcpy(labels, row->labels, row->labels_len + 1);
    for (unsigned code = 0; code < GR_CODES; code++)
        if (code == 0 || counts[code]) {
            label(labels, sizeof labels, row->labels_len, "code", gr_code_name(code));
            sample(w, name, labels, (double)counts[code]);
        }
}

static void requests(struct writer *w, struct row *rows, size_t n)
{
    family(w, "requests_total", "counter",
           "Calls answered, clients' and other modules', by version and status code.");
    for (size_t i = 0; i < n; i++)
        by_code(w, "requests_total", &rows[i], rows[i].sum.requests);
    family(w, "requests_nested_total", "counter",
           "Of requests_total, the calls that another module made.");
    for (size_t i = 0; i < n; i++)
        by_code(w, "requests_nested_total", &rows[i], rows[i].sum.nested);
    family(w, "request_duration_seconds", "histogram", "Time inside the module, by version.");
    for (size_t i = 0; i < n; i++)
        histogram(w, "request_duration_seconds", rows[i].labels, &rows[i].sum.latency,
                  rows[i].sum.latency_sum_nsec);
    family(w, "requests_in_flight", "gauge", "Calls that run now, by version.");
    for (size_t i = 0; i < n; i++)
        sample(w, "requests_in_flight", rows[i].labels, (double)rows[i].sum.in_flight);
}

static void faults(struct writer *w, struct row *rows, size_t n)
{
    char labels[LABELS_MAX + 64];
    family(w, "faults_total", "counter",
           "Calls that did not return: contained, given up after their deadline (timeout), or "
           "deaths of workers, by version.");
    for (size_t i = 0; i < n; i++) {
        memcpy(labels, rows[i].labels, rows[i].labels_len + 1);
        for (unsigned k = 0; k < GR_FAULT_KINDS; k++) {
            label(labels, sizeof labels, rows[i].labels_len, "kind",
                  gr_fault_kind_name((enum gr_fault_kind)k));
            sample(w, "faults_total", labels, (double)rows[i].faults[k]);
        }
        label(labels, sizeof labels, rows[i].labels_len, "kind", "death");
        sample(w, "faults_total", labels, (double)rows[i].deaths);
    }
    family(w, "late_total", "counter",
           "Calls that were answered after their deadline, by themselves or for them, by version.");
    for (size_t i = 0; i < n; i++)
        sample(w, "late_total", rows[i].labels, (double)rows[i].sum.timeouts);
    family(w, "breaker_state", "gauge", "0 closed, 1 half-open, 2 open, by version.");
    for (size_t i = 0; i < n; i++)
        sample(w, "breaker_state", rows[i].labels, rows[i].breaker);
    family(w, "rescued_total", "counter", "Calls of this version that another version answered.");
    for (size_t i = 0; i < n; i++)
        sample(w, "rescued_total", rows[i].labels, (double)rows[i].sum.rescued);
    family(w, "route_weight_ratio", "gauge",
           "Share of new requests that is routed to this version.");
    for (size_t i = 0; i < n; i++)
        sample(w, "route_weight_ratio", rows[i].labels, rows[i].permyriad / 10000.0);
}

static void shadow_result(struct writer *w, const char *name, const struct row *row,
                          const char *result, uint64_t n)
{
    char labels[LABELS_MAX + 64];
    memcpy(labels, row->labels, row->labels_len + 1);
    label(labels, sizeof labels, row->labels_len, "result", result);
    sample(w, name, labels, (double)n);
}

// Of versions that have been a candidate with a shadow.
static void shadows(struct writer *w, const struct row *rows, size_t n)
{
    static const char copies[] = "shadow_requests_total", noise[] = "shadow_noise_total";
    family(w, copies, "counter",
           "Copies of requests that this candidate answered out of sight, by comparison.");
    for (size_t i = 0; i < n; i++) {
        const struct gr_shadow_counters *s = &rows[i].sum.shadow;
        if (s->same + s->diverged + s->dropped == 0)
            continue;
        shadow_result(w, copies, &rows[i], "same", s->same);
        shadow_result(w, copies, &rows[i], "diverged", s->diverged);
        shadow_result(w, copies, &rows[i], "dropped", s->dropped);
    }
    family(w, noise, "counter",
           "Copies that stable answered again, compared with its own first answer, by candidate.");
    for (size_t i = 0; i < n; i++) {
        const struct gr_shadow_counters *s = &rows[i].sum.shadow;
        if (s->noise_same + s->noise_diverged == 0)
            continue;
        shadow_result(w, noise, &rows[i], "same", s->noise_same);
        shadow_result(w, noise, &rows[i], "diverged", s->noise_diverged);
    }
}

// What came of the weights: measured since the share was set last.
static void observed(struct writer *w, const struct gr_view *v)
{
    family(w, "route_observed_ratio", "gauge",
           "Share of requests that this version answered since its weight was set.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_module *m = &v->modules[i];
        double all = (double)(m->gray.seen_candidate + m->gray.seen_stable);
        if (all == 0 || !m->candidate.present)
            continue;
        char labels[LABELS_MAX];
        size_t at = label(labels, sizeof labels, 0, "module", m->module.s);
        label(labels, sizeof labels, at, "version", m->candidate.version);
        sample(w, "route_observed_ratio", labels, (double)m->gray.seen_candidate / all);
        if (!m->stable.present)
            continue;
        label(labels, sizeof labels, at, "version", m->stable.version);
        sample(w, "route_observed_ratio", labels, (double)m->gray.seen_stable / all);
    }
}

static void infos(struct writer *w, const struct gr_view *v)
{
    char labels[LABELS_MAX];
    family(w, "build_info", "info", "The running supervisor.");
    label(labels, sizeof labels, 0, "version", v->version);
    sample(w, "build_info", labels, 1);
    family(w, "module_info", "info", "Versions that are loaded, with their role.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_version *versions[3];
        versions_of(&v->modules[i], versions);
        for (size_t k = 0; k < 3; k++) {
            if (!versions[k]->present || versions[k]->slot < 0)
                continue;
            size_t at = label(labels, sizeof labels, 0, "module", v->modules[i].module.s);
            at = label(labels, sizeof labels, at, "version", versions[k]->version);
            label(labels, sizeof labels, at, "role", versions[k]->role);
            sample(w, "module_info", labels, 1);
        }
    }
}

// --- the host as a whole
// -----------------------------------------------------------------------------------------------

static void handovers(struct writer *w, const struct gr_worker_gauges *g)
{
    family(w, "state_handovers_total", "counter",
           "Swaps under which state was to change hands, by outcome.");
    sample(w, "state_handovers_total", "result=\"ok\"", (double)g->handovers_ok);
    sample(w, "state_handovers_total", "result=\"failed\"", (double)g->handovers_failed);
    family(w, "state_handover_duration_seconds", "histogram",
           "All hooks of one swap together, within its freeze; failed ones too.");
    histogram(w, "state_handover_duration_seconds", "", &g->handover, g->handover_sum_usec * 1000);
    single(w, "state_handover_bytes_total", "counter", "State that changed hands.",
           (double)g->handover_bytes);
    single(w, "state_handover_last_bytes", "gauge", "State that the last swap handed over.",
           (double)g->handover_last_bytes);
}

static void gauges(struct writer *w, const struct gr_view *v)
{
    const struct gr_worker_gauges *g = &v->gauges;
    uint64_t sum =
        0; // the segment keeps no sum of freezes: upper bounds, at most a sixteenth too much
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        if (g->freeze.count[i])
            sum += g->freeze.count[i] * gr_histogram_upper_nsec(i);
    family(w, "dispatch_freeze_duration_seconds", "histogram",
           "Gates closed to gates open, per swap.");
    histogram(w, "dispatch_freeze_duration_seconds", "", &g->freeze, sum);
    single(w, "requests_parked", "gauge", "Requests that wait for a gate now.", (double)g->parked);
    single(w, "connections", "gauge", "Connections to the front door now.", (double)g->connections);
    single(w, "connections_total", "counter", "Connections accepted by the front door.",
           (double)g->connections_total);
    single(w, "refused_framing_total", "counter",
           "Requests refused because their framing was doubtful.", (double)g->refused_framing);
    single(w, "pinned_versions", "gauge", "Versions that could not be unloaded and are kept.",
           (double)v->pinned);
    single(w, "quarantined_digests", "gauge", "Digests that are convicted on this host.",
           (double)v->n_convictions);
}

static void stations(struct writer *w, const struct gr_view *v)
{
    char labels[64];
    family(w, "artifact_fetch_duration_seconds", "histogram",
           "Fetching one artifact from its source, SHA-256 included.");
    for (size_t i = 0; i < v->n_stations; i++)
        if (!strcmp(v->stations[i].name, "fetch"))
            histogram(w, "artifact_fetch_duration_seconds", "", &v->stations[i].took,
                      v->stations[i].sum_nsec);
    family(w, "release_station_duration_seconds", "histogram",
           "What a proven release spent in each station before it was swapped in.");
    for (size_t i = 0; i < v->n_stations; i++) {
        label(labels, sizeof labels, 0, "station", v->stations[i].name);
        histogram(w, "release_station_duration_seconds", labels, &v->stations[i].took,
                  v->stations[i].sum_nsec);
    }
}

static void source(struct writer *w, const struct gr_view *v)
{
    const struct gr_source_health *s = &v->source;
    char labels[64];
    single(w, "source_up", "gauge", "The source of the desired state can be read.", s->up);
    single(w, "source_held", "gauge", "The source was rewound or replaced and is not followed.",
           s->held);
    if (!v->source_kind || strcmp(v->source_kind, "etcd"))
        return;
    single(w, "etcd_up", "gauge", "The last read worked and the watch is alive.", s->up);
    single(w, "etcd_revision", "gauge", "Newest revision of etcd that is known.",
           (double)s->revision);
    family(w, "etcd_watch_restarts_total", "counter", "Watches opened again, by reason.");
    for (unsigned i = 0; i < GR_WATCH_RESTART_COUNT; i++) {
        label(labels, sizeof labels, 0, "reason", gr_watch_restart_name((enum gr_watch_restart)i));
        sample(w, "etcd_watch_restarts_total", labels, (double)s->watch_restarts[i]);
    }
    family(w, "etcd_resyncs_total", "counter", "Complete reads of the desired state, by reason.");
    for (unsigned i = 0; i < GR_RESYNC_COUNT; i++) {
        label(labels, sizeof labels, 0, "reason", gr_resync_name((enum gr_resync)i));
        sample(w, "etcd_resyncs_total", labels, (double)s->resyncs[i]);
    }
}

static void series(struct writer *w, const struct gr_view *v)
{
    for (size_t i = 0; i < v->n_series; i++) {
        const struct gr_view_series *s = &v->series[i];
        family(w, s->name, s->type, s->help);
        for (size_t k = 0; k < s->n; k++)
            sample(w, s->name, s->values[k].labels, s->values[k].value);
    }
}

enum gr_metrics_dialect gr_metrics_dialect_of(const char *accept)
{
    return accept && strstr(accept, "application/openmetrics-text") ? GR_METRICS_OPENMETRICS
                                                                    : GR_METRICS_PROMETHEUS;
}

const char *gr_metrics_content_type(enum gr_metrics_dialect d)
{
    return d == GR_METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

int gr_metrics_format(const struct gr_view *v, enum gr_metrics_dialect d, struct gr_buf *b)
{
    struct writer w = {.b = b, .open = d == GR_METRICS_OPENMETRICS};
    GR_AUTO_FREE struct row *rows = NULL;
    size_t n = 0;
    int r = collect_rows(v, &rows, &n);
    if (r < 0)
        return r;
    infos(&w, v);
    requests(&w, rows, n);
    faults(&w, rows, n);
    shadows(&w, rows, n);
    observed(&w, v);
    gauges(&w, v);
    handovers(&w, &v->gauges);
    stations(&w, v);
    source(&w, v);
    series(&w, v);
    if (w.open)
        text(&w, "# EOF\n");
    return w.r;
}
