// Renders metrics. A version's series exist while it is loaded; labels are module and version as
// validated, escaped all the same.
#include "control/metrics.h"
#include "base/code.h"
#include "control/metrics-writer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// --- per version
// -------------------------------------------------------------------------------------------------------

struct row { // one (module, version): the same version in two roles (a changed configuration)
             // counts as one
    const char *module, *version;
    unsigned permyriad;
    struct gr_counters sum;
    uint64_t faults[GR_FAULT_KINDS], deaths; // in all workers
    enum gr_breaker_state breaker;           // the worse one
    char labels[GR_METRIC_LABELS_MAX];
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
                row->labels_len =
                    gr_metric_label(row->labels, GR_METRIC_LABELS_MAX, 0, "module", row->module);
                row->labels_len = gr_metric_label(row->labels, GR_METRIC_LABELS_MAX,
                                                  row->labels_len, "version", row->version);
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

// Codes that were seen, and ok.
static void by_code(struct gr_metrics_writer *w, const char *name, const struct row *row,
                    const uint64_t counts[GR_CODES])
{
    char labels[GR_METRIC_LABELS_MAX + 64];
    memcpy(labels, row->labels, row->labels_len + 1);
    for (unsigned code = 0; code < GR_CODES; code++)
        if (code == 0 || counts[code]) {
            gr_metric_label(labels, sizeof labels, row->labels_len, "code", gr_code_name(code));
            gr_metric_sample(w, name, labels, (double)counts[code]);
        }
}

static void requests(struct gr_metrics_writer *w, struct row *rows, size_t n)
{
    gr_metric_family(w, "requests_total", "counter",
                     "Calls answered, clients' and other modules', by version and status code.");
    for (size_t i = 0; i < n; i++)
        by_code(w, "requests_total", &rows[i], rows[i].sum.requests);
    gr_metric_family(w, "requests_nested_total", "counter",
                     "Of requests_total, the calls that another module made.");
    for (size_t i = 0; i < n; i++)
        by_code(w, "requests_nested_total", &rows[i], rows[i].sum.nested);
    gr_metric_family(w, "request_duration_seconds", "histogram",
                     "Time inside the module, by version.");
    for (size_t i = 0; i < n; i++)
        gr_metric_histogram(w, "request_duration_seconds", rows[i].labels, &rows[i].sum.latency,
                            rows[i].sum.latency_sum_nsec);
    gr_metric_family(w, "requests_in_flight", "gauge", "Calls that run now, by version.");
    for (size_t i = 0; i < n; i++)
        gr_metric_sample(w, "requests_in_flight", rows[i].labels, (double)rows[i].sum.in_flight);
}

static void faults(struct gr_metrics_writer *w, struct row *rows, size_t n)
{
    char labels[GR_METRIC_LABELS_MAX + 64];
    gr_metric_family(w, "faults_total", "counter",
                     "Calls that did not return: contained, given up after their deadline "
                     "(timeout), or deaths of workers, by version.");
    for (size_t i = 0; i < n; i++) {
        memcpy(labels, rows[i].labels, rows[i].labels_len + 1);
        for (unsigned k = 0; k < GR_FAULT_KINDS; k++) {
            gr_metric_label(labels, sizeof labels, rows[i].labels_len, "kind",
                            gr_fault_kind_name((enum gr_fault_kind)k));
            gr_metric_sample(w, "faults_total", labels, (double)rows[i].faults[k]);
        }
        gr_metric_label(labels, sizeof labels, rows[i].labels_len, "kind", "death");
        gr_metric_sample(w, "faults_total", labels, (double)rows[i].deaths);
    }
    gr_metric_family(
        w, "late_total", "counter",
        "Calls that were answered after their deadline, by themselves or for them, by version.");
    for (size_t i = 0; i < n; i++)
        gr_metric_sample(w, "late_total", rows[i].labels, (double)rows[i].sum.timeouts);
    gr_metric_family(w, "breaker_state", "gauge", "0 closed, 1 half-open, 2 open, by version.");
    for (size_t i = 0; i < n; i++)
        gr_metric_sample(w, "breaker_state", rows[i].labels, rows[i].breaker);
    gr_metric_family(w, "rescued_total", "counter",
                     "Calls of this version that another version answered.");
    for (size_t i = 0; i < n; i++)
        gr_metric_sample(w, "rescued_total", rows[i].labels, (double)rows[i].sum.rescued);
    gr_metric_family(w, "route_weight_ratio", "gauge",
                     "Share of new requests that is routed to this version.");
    for (size_t i = 0; i < n; i++)
        gr_metric_sample(w, "route_weight_ratio", rows[i].labels, rows[i].permyriad / 10000.0);
}

static void shadow_result(struct gr_metrics_writer *w, const char *name, const struct row *row,
                          const char *result, uint64_t n)
{
    char labels[GR_METRIC_LABELS_MAX + 64];
    memcpy(labels, row->labels, row->labels_len + 1);
    gr_metric_label(labels, sizeof labels, row->labels_len, "result", result);
    gr_metric_sample(w, name, labels, (double)n);
}

// Of versions that have been a candidate with a shadow.
static void shadows(struct gr_metrics_writer *w, const struct row *rows, size_t n)
{
    static const char copies[] = "shadow_requests_total", noise[] = "shadow_noise_total";
    gr_metric_family(
        w, copies, "counter",
        "Copies of requests that this candidate answered out of sight, by comparison.");
    for (size_t i = 0; i < n; i++) {
        const struct gr_shadow_counters *s = &rows[i].sum.shadow;
        if (s->same + s->diverged + s->dropped == 0)
            continue;
        shadow_result(w, copies, &rows[i], "same", s->same);
        shadow_result(w, copies, &rows[i], "diverged", s->diverged);
        shadow_result(w, copies, &rows[i], "dropped", s->dropped);
    }
    gr_metric_family(
        w, noise, "counter",
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
static void observed(struct gr_metrics_writer *w, const struct gr_view *v)
{
    gr_metric_family(w, "route_observed_ratio", "gauge",
                     "Share of requests that this version answered since its weight was set.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_module *m = &v->modules[i];
        double all = (double)(m->gray.seen_candidate + m->gray.seen_stable);
        if (all == 0 || !m->candidate.present)
            continue;
        char labels[GR_METRIC_LABELS_MAX];
        size_t at = gr_metric_label(labels, sizeof labels, 0, "module", m->module.s);
        gr_metric_label(labels, sizeof labels, at, "version", m->candidate.version);
        gr_metric_sample(w, "route_observed_ratio", labels, (double)m->gray.seen_candidate / all);
        if (!m->stable.present)
            continue;
        gr_metric_label(labels, sizeof labels, at, "version", m->stable.version);
        gr_metric_sample(w, "route_observed_ratio", labels, (double)m->gray.seen_stable / all);
    }
}

static void infos(struct gr_metrics_writer *w, const struct gr_view *v)
{
    char labels[GR_METRIC_LABELS_MAX];
    gr_metric_family(w, "build_info", "info", "The running supervisor.");
    gr_metric_label(labels, sizeof labels, 0, "version", v->version);
    gr_metric_sample(w, "build_info", labels, 1);
    gr_metric_single(w, "start_time_seconds", "gauge",
                     "When the supervisor began, since the epoch.", (double)v->started.usec / 1e6);
    gr_metric_family(w, "module_info", "info", "Versions that are loaded, with their role.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_version *versions[3];
        versions_of(&v->modules[i], versions);
        for (size_t k = 0; k < 3; k++) {
            if (!versions[k]->present || versions[k]->slot < 0)
                continue;
            size_t at = gr_metric_label(labels, sizeof labels, 0, "module", v->modules[i].module.s);
            at = gr_metric_label(labels, sizeof labels, at, "version", versions[k]->version);
            gr_metric_label(labels, sizeof labels, at, "role", versions[k]->role);
            gr_metric_sample(w, "module_info", labels, 1);
        }
    }
}

// --- the host as a whole
// -----------------------------------------------------------------------------------------------

static void handovers(struct gr_metrics_writer *w, const struct gr_worker_gauges *g)
{
    gr_metric_family(w, "state_handovers_total", "counter",
                     "Swaps under which state was to change hands, by outcome.");
    gr_metric_sample(w, "state_handovers_total", "result=\"ok\"", (double)g->handovers_ok);
    gr_metric_sample(w, "state_handovers_total", "result=\"failed\"", (double)g->handovers_failed);
    gr_metric_family(w, "state_handover_duration_seconds", "histogram",
                     "All hooks of one swap together, within its freeze; failed ones too.");
    gr_metric_histogram(w, "state_handover_duration_seconds", "", &g->handover,
                        g->handover_sum_usec * 1000);
    gr_metric_single(w, "state_handover_bytes_total", "counter", "State that changed hands.",
                     (double)g->handover_bytes);
    gr_metric_single(w, "state_handover_last_bytes", "gauge",
                     "State that the last swap handed over.", (double)g->handover_last_bytes);
}

static void gauges(struct gr_metrics_writer *w, const struct gr_view *v)
{
    const struct gr_worker_gauges *g = &v->gauges;
    uint64_t sum =
        0; // the segment keeps no sum of freezes: upper bounds, at most a sixteenth too much
    for (unsigned i = 0; i < GR_HISTOGRAM_BUCKETS; i++)
        if (g->freeze.count[i])
            sum += g->freeze.count[i] * gr_histogram_upper_nsec(i);
    gr_metric_family(w, "dispatch_freeze_duration_seconds", "histogram",
                     "Gates closed to gates open, per swap.");
    gr_metric_histogram(w, "dispatch_freeze_duration_seconds", "", &g->freeze, sum);
    gr_metric_single(w, "requests_parked", "gauge", "Requests that wait for a gate now.",
                     (double)g->parked);
    gr_metric_single(w, "pool_waiting", "gauge",
                     "Calls that wait for a thread of execution: pool now.",
                     (double)g->pool_waiting);
    gr_metric_family(w, "pool_refused_total", "counter",
                     "Calls of execution: pool that were never begun: as many waited as may, or "
                     "the deadline passed.");
    gr_metric_sample(w, "pool_refused_total", "reason=\"full\"", (double)g->pool_full);
    gr_metric_sample(w, "pool_refused_total", "reason=\"late\"", (double)g->pool_late);
    gr_metric_single(w, "connections_open", "gauge", "Connections to the front door now.",
                     (double)g->connections);
    gr_metric_single(w, "connections_total", "counter", "Connections accepted by the front door.",
                     (double)g->connections_total);
    gr_metric_single(w, "refused_framing_total", "counter",
                     "Requests refused because their framing was doubtful.",
                     (double)g->refused_framing);
    gr_metric_single(w, "pinned_versions", "gauge",
                     "Versions that could not be unloaded and are kept.", (double)v->pinned);
    gr_metric_single(w, "quarantined_digests", "gauge", "Digests that are convicted on this host.",
                     (double)v->n_convictions);
}

static void stations(struct gr_metrics_writer *w, const struct gr_view *v)
{
    char labels[64];
    gr_metric_family(w, "artifact_fetch_duration_seconds", "histogram",
                     "Fetching one artifact from its source, SHA-256 included.");
    for (size_t i = 0; i < v->n_stations; i++)
        if (!strcmp(v->stations[i].name, "fetch"))
            gr_metric_histogram(w, "artifact_fetch_duration_seconds", "", &v->stations[i].took,
                                v->stations[i].sum_nsec);
    gr_metric_family(w, "release_station_duration_seconds", "histogram",
                     "What a proven release spent in each station before it was swapped in.");
    for (size_t i = 0; i < v->n_stations; i++) {
        gr_metric_label(labels, sizeof labels, 0, "station", v->stations[i].name);
        gr_metric_histogram(w, "release_station_duration_seconds", labels, &v->stations[i].took,
                            v->stations[i].sum_nsec);
    }
}

static void source(struct gr_metrics_writer *w, const struct gr_view *v)
{
    const struct gr_source_health *s = &v->source;
    char labels[64];
    gr_metric_single(w, "source_up", "gauge", "The source of the desired state can be read.",
                     s->up);
    gr_metric_single(w, "source_held", "gauge",
                     "The source was rewound or replaced and is not followed.", s->held);
    if (!v->source_kind || strcmp(v->source_kind, "etcd"))
        return;
    gr_metric_single(w, "etcd_up", "gauge", "The last read worked and the watch is alive.", s->up);
    if (s->confirmed.usec)
        gr_metric_single(w, "etcd_watch_confirmed_time_seconds", "gauge",
                         "When a read last agreed with what the watch told, since the epoch.",
                         (double)s->confirmed.usec / 1e6);
    gr_metric_single(w, "etcd_revision", "gauge", "Newest revision of etcd that is known.",
                     (double)s->revision);
    gr_metric_family(w, "etcd_watch_restarts_total", "counter", "Watches opened again, by reason.");
    for (unsigned i = 0; i < GR_WATCH_RESTART_COUNT; i++) {
        gr_metric_label(labels, sizeof labels, 0, "reason",
                        gr_watch_restart_name((enum gr_watch_restart)i));
        gr_metric_sample(w, "etcd_watch_restarts_total", labels, (double)s->watch_restarts[i]);
    }
    gr_metric_family(w, "etcd_resyncs_total", "counter",
                     "Complete reads of the desired state, by reason.");
    for (unsigned i = 0; i < GR_RESYNC_COUNT; i++) {
        gr_metric_label(labels, sizeof labels, 0, "reason", gr_resync_name((enum gr_resync)i));
        gr_metric_sample(w, "etcd_resyncs_total", labels, (double)s->resyncs[i]);
    }
}

// --- what became of releases
// -------------------------------------------------------------------------------------------

// A module that is not known any more has no series: what it counted comes back with it.
static void tallies(struct gr_metrics_writer *w, const struct gr_view *v)
{
    char labels[GR_METRIC_LABELS_MAX];
    gr_metric_family(w, "swaps_total", "counter",
                     "Exchanges of the routing table that this module was part of, by result.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_tally *t = v->modules[i].tally;
        size_t at = gr_metric_label(labels, sizeof labels, 0, "module", v->modules[i].module.s);
        gr_metric_label(labels, sizeof labels, at, "result", "ok");
        gr_metric_sample(w, "swaps_total", labels, t ? (double)t->swaps : 0);
        gr_metric_label(labels, sizeof labels, at, "result", "failed");
        gr_metric_sample(w, "swaps_total", labels, t ? (double)t->swaps_failed : 0);
    }
    gr_metric_family(w, "rollbacks_total", "counter",
                     "Rollouts of this module that were taken back, by reason.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_tally *t = v->modules[i].tally;
        size_t at = gr_metric_label(labels, sizeof labels, 0, "module", v->modules[i].module.s);
        for (unsigned r = 0; t && r < GR_REASON_COUNT; r++)
            if (t->rollbacks[r]) {
                gr_metric_label(labels, sizeof labels, at, "reason",
                                gr_reason_name((enum gr_reason)r));
                gr_metric_sample(w, "rollbacks_total", labels, (double)t->rollbacks[r]);
            }
    }
    if (!v->tallies)
        return;
    gr_metric_family(w, "rollback_duration_seconds", "histogram",
                     "From the decision to take a rollout back to the old table in force.");
    gr_metric_histogram(w, "rollback_duration_seconds", "", &v->tallies->back,
                        v->tallies->back_sum_nsec);
    gr_metric_family(w, "artifact_refused_total", "counter",
                     "Rollouts that were refused before they served, by reason.");
    for (unsigned r = GR_REASON_NONE + 1; r < GR_REASON_COUNT; r++) {
        gr_metric_label(labels, sizeof labels, 0, "reason", gr_reason_name((enum gr_reason)r));
        gr_metric_sample(w, "artifact_refused_total", labels, (double)v->tallies->refused[r]);
    }
}

// Of rollouts under way.
static void rollouts(struct gr_metrics_writer *w, const struct gr_view *v)
{
    static const char moved[] = "rollout_moved_time_seconds", left[] = "rollout_bake_left_seconds";
    char labels[GR_METRIC_LABELS_MAX];
    gr_metric_family(
        w, moved, "gauge",
        "When the rollout under way entered its newest phase or step, since the epoch.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_module *m = &v->modules[i];
        if (!m->moved.usec)
            continue;
        size_t at = gr_metric_label(labels, sizeof labels, 0, "module", m->module.s);
        gr_metric_label(labels, sizeof labels, at, "phase", m->rollout_phase);
        gr_metric_sample(w, moved, labels, (double)m->moved.usec / 1e6);
    }
    gr_metric_family(w, left, "gauge",
                     "What is left of the bake; 0 for long: something holds it that a person has "
                     "to decide.");
    for (size_t i = 0; i < v->n_modules; i++) {
        const struct gr_view_module *m = &v->modules[i];
        if (!m->moved.usec || strcmp(m->rollout_phase, "Baking"))
            continue;
        gr_metric_label(labels, sizeof labels, 0, "module", m->module.s);
        gr_metric_sample(w, left, labels, (double)m->bake_left_usec / 1e6);
    }
}

static void spans(struct gr_metrics_writer *w, const struct gr_view *v)
{
    gr_metric_family(w, "spans_total", "counter",
                     "Spans for the collector: those that it took, and those that were lost.");
    gr_metric_sample(w, "spans_total", "result=\"exported\"", (double)v->spans.exported);
    gr_metric_sample(w, "spans_total", "result=\"lost\"", (double)v->spans.lost);
}

static void series(struct gr_metrics_writer *w, const struct gr_view *v)
{
    for (size_t i = 0; i < v->n_series; i++) {
        const struct gr_view_series *s = &v->series[i];
        gr_metric_family(w, s->name, s->type, s->help);
        for (size_t k = 0; k < s->n; k++)
            gr_metric_sample(w, s->name, s->values[k].labels, s->values[k].value);
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
    struct gr_metrics_writer w = {.b = b, .open = d == GR_METRICS_OPENMETRICS};
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
    tallies(&w, v);
    rollouts(&w, v);
    spans(&w, v);
    series(&w, v);
    if (w.open && w.r == 0)
        w.r = gr_buf_append(b, "# EOF\n", 6);
    return w.r;
}
