// Renders the view as JSON. Field names are promises (INTERFACES §4); the control socket adds
// fields, it never renames one.
#include "control/view-json.h"
#include "base/code.h"
#include "base/json.h"
#include "control/json-add.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool add_counters(cJSON *o, const struct gr_counters *c)
{
    cJSON *codes = cJSON_AddObjectToObject(o, "codes");
    bool ok =
        codes && gr_json_add_uint(o, "requests", gr_counters_total(c)) &&
        gr_json_add_uint(o, "nested", gr_counters_nested(c)) &&
        gr_json_add_uint(o, "errors", gr_counters_server_errors(c)) &&
        gr_json_add_uint(o, "in_flight", c->in_flight) &&
        gr_json_add_uint(o, "faults", c->faults) && gr_json_add_uint(o, "rescued", c->rescued) &&
        gr_json_add_uint(o, "timeouts", c->timeouts) &&
        cJSON_AddNumberToObject(o, "p50_usec",
                                (double)gr_histogram_quantile_nsec(&c->latency, 0.5) / 1000) &&
        cJSON_AddNumberToObject(o, "p99_usec",
                                (double)gr_histogram_quantile_nsec(&c->latency, 0.99) / 1000);
    for (unsigned i = 0; ok && i < GR_CODES; i++)
        if (c->requests[i])
            ok = gr_json_add_uint(codes, gr_code_name(i), c->requests[i]);
    return ok;
}

// Contained ones by kind, and workers' deaths, since the supervisor started.
static bool add_faults(cJSON *o, const struct gr_view_version *v)
{
    cJSON *j = cJSON_AddObjectToObject(o, "faults_by");
    bool ok = j;
    for (unsigned k = 0; ok && v->faults && k < GR_FAULT_KINDS; k++)
        ok = !v->faults->n[k] ||
             gr_json_add_uint(j, gr_fault_kind_name((enum gr_fault_kind)k), v->faults->n[k]);
    if (ok && v->faults && v->faults->deaths)
        ok = gr_json_add_uint(j, "death", v->faults->deaths);
    cJSON *b = ok ? cJSON_AddObjectToObject(o, "breaker") : NULL;
    return b && cJSON_AddStringToObject(b, "state", gr_breaker_state_name(v->breaker)) &&
           gr_json_add_uint(b, "faults", v->breaker_faults) &&
           gr_json_add_uint(b, "left_usec", v->breaker_left_usec);
}

static bool add_fault(cJSON *o, const struct gr_fault_record *r)
{
    if (!r || !r->last.kind[0])
        return cJSON_AddNullToObject(o, "fault");
    const struct gr_fault_note *n = &r->last;
    cJSON *j = cJSON_AddObjectToObject(o, "fault"), *frames = NULL;
    bool ok = j && gr_json_add_text(j, "version", r->version) && gr_json_add_time(j, "at", n->at) &&
              gr_json_add_text(j, "kind", n->kind) && gr_json_add_text(j, "signal", n->signal) &&
              gr_json_add_text(j, "address", n->address) &&
              gr_json_add_text(j, "detail", n->detail) &&
              gr_json_add_text(j, "method", n->method) &&
              gr_json_add_text(j, "request_id", n->request_id) &&
              gr_json_add_text(j, "build_id", n->build_id) &&
              (frames = cJSON_AddArrayToObject(j, "frames"));
    for (size_t i = 0; ok && i < n->n_frames; i++)
        ok = gr_json_push(frames, cJSON_CreateString(n->frames[i]));
    return ok;
}

// `step` is of a candidate; -1: it is none.
static bool add_version(cJSON *o, const char *name, const struct gr_view_version *v, int64_t step,
                        bool counters)
{
    if (!v->present)
        return cJSON_AddNullToObject(o, name);
    cJSON *j = cJSON_AddObjectToObject(o, name);
    bool ok =
        j && gr_json_add_text(j, "version", v->version) && gr_json_add_text(j, "hash", v->hash);
    if (ok && (step >= 0 || counters))
        ok = cJSON_AddNumberToObject(j, "weight", v->permyriad / 100.0);
    if (ok && step >= 0)
        ok = gr_json_add_int(j, "step", step);
    if (ok && counters)
        ok = cJSON_AddStringToObject(j, "role", v->role) &&
             cJSON_AddBoolToObject(j, "loaded", v->slot >= 0) &&
             cJSON_AddStringToObject(j, "isolation", v->isolated ? "process" : "worker") &&
             (!v->isolated || cJSON_AddNumberToObject(j, "pid", v->pid)) &&
             (!v->counters || add_counters(j, v->counters)) && add_faults(j, v);
    return ok;
}

static bool add_findings(cJSON *o, unsigned findings)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {{GR_FINDING_STABLE_WORSE, "StableWorse"},
                 {GR_FINDING_STABLE_VIOLATES, "StableViolates"},
                 {GR_FINDING_STABLE_DEGRADED, "StableDegraded"},
                 {GR_FINDING_BOTH_BAD, "BothBad"}};
    cJSON *list = cJSON_AddArrayToObject(o, "findings");
    bool ok = list;
    for (size_t i = 0; ok && i < GR_COUNT(names); i++)
        if (findings & names[i].bit)
            ok = gr_json_push(list, cJSON_CreateString(names[i].name));
    return ok;
}

static bool add_sentence(cJSON *o, const struct gr_verdict_record *r)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_MESSAGE_MAX);
    int k = gr_verdict_explain(r, false, &text);
    return k != -ENOMEM && gr_json_add_text(o, "sentence", text.data);
}

// Of the error shares, candidate less stable; JSON has no infinity, an open end is null.
static bool add_bound(cJSON *o, const char *name, double x)
{
    return isfinite(x) ? cJSON_AddNumberToObject(o, name, x) : cJSON_AddNullToObject(o, name);
}

static bool add_interval(cJSON *o, const struct gr_gate_verdict *g)
{
    if (!g->enabled || !g->candidate_n)
        return cJSON_AddNullToObject(o, "difference");
    cJSON *j = cJSON_AddObjectToObject(o, "difference");
    return j && add_bound(j, "estimate", g->estimate) && add_bound(j, "low", g->low) &&
           add_bound(j, "high", g->high);
}

static bool add_ratio(cJSON *o, const struct gr_gate_verdict *g)
{
    bool known = g->enabled && g->candidate_n && g->estimate > 0;
    return add_bound(o, "p99_ratio", known ? g->estimate : INFINITY);
}

// The whole record is in the journal; here is what a person looks at.
static bool add_verdict(cJSON *o, const struct gr_verdict_record *r)
{
    if (!r)
        return cJSON_AddNullToObject(o, "verdict");
    const struct gr_analysis_verdict *v = &r->verdict;
    const struct gr_arm_sample *candidate = &r->input.candidate;
    const struct gr_arm_sample *stable =
        r->input.stable.requests ? &r->input.stable : &r->input.reference;
    const struct gr_gate_verdict *g =
        &v->gates[r->input.concurrent ? GR_GATE_ERRORS : GR_GATE_ERRORS_ALONE];
    cJSON *j = cJSON_AddObjectToObject(o, "verdict");
    return j && cJSON_AddStringToObject(j, "verdict", gr_verdict_name(v->verdict)) &&
           gr_json_add_text(j, "gate", v->gate < GR_GATE_COUNT ? gr_gate_name(v->gate) : NULL) &&
           gr_json_add_text(j, "reason", gr_reason_name(v->reason)) &&
           add_findings(j, v->findings) &&
           cJSON_AddStringToObject(j, "error_rate", gr_verdict_name(g->verdict)) &&
           gr_json_add_uint(j, "requests", candidate->requests) &&
           gr_json_add_uint(j, "errors", candidate->errors) &&
           gr_json_add_uint(j, "baseline_requests", stable->requests) &&
           gr_json_add_uint(j, "baseline_errors", stable->errors) &&
           gr_json_add_uint(j, "min_requests", r->input.limits.min_requests) &&
           cJSON_AddNumberToObject(j, "limit", g->limit) &&
           cJSON_AddNumberToObject(j, "evidence", g->evidence) && add_interval(j, g) &&
           add_ratio(j, &v->gates[GR_GATE_LATENCY_P99]) && add_sentence(j, r);
}

static cJSON *step_json(const struct gr_step *s)
{
    cJSON *o = cJSON_CreateObject(), *v = NULL;
    char text[32];
    bool ok = o;
    switch (s->kind) {
    case GR_STEP_WEIGHT:
        ok = ok && cJSON_AddNumberToObject(o, "weight", s->permyriad / 100.0);
        break;
    case GR_STEP_SHADOW:
        ok = ok && cJSON_AddNumberToObject(o, "shadow", s->permyriad / 100.0);
        break;
    case GR_STEP_PAUSE:
        ok = ok && (v = cJSON_AddObjectToObject(o, "pause")) &&
             (!s->duration_usec ||
              cJSON_AddStringToObject(v, "duration", gr_duration_format(s->duration_usec, text))) &&
             (!s->requests || gr_json_add_uint(v, "requests", s->requests));
        break;
    case GR_STEP_ANALYSIS:
        ok = ok && cJSON_AddObjectToObject(o, "analysis");
        break;
    }
    return gr_json_whole(o, ok);
}

static bool add_order(cJSON *o, const struct gr_order_row *order)
{
    cJSON *j =
        order->verb[0] ? cJSON_AddObjectToObject(o, "order") : cJSON_AddNullToObject(o, "order");
    return j && (!order->verb[0] ||
                 (cJSON_AddStringToObject(j, "verb", order->verb) &&
                  cJSON_AddStringToObject(j, "actor", order->actor) &&
                  cJSON_AddStringToObject(j, "reason", order->reason) &&
                  gr_json_add_int(j, "step", order->step) && gr_json_add_time(j, "at", order->at)));
}

static bool add_pause(cJSON *o, const struct gr_view_gray *g)
{
    if (g->hold == GR_HOLD_NONE)
        return cJSON_AddNullToObject(o, "pause");
    cJSON *j = cJSON_AddObjectToObject(o, "pause");
    return j && cJSON_AddStringToObject(j, "hold", gr_hold_name(g->hold)) &&
           gr_json_add_uint(j, "left_usec", g->pause_left_usec) &&
           gr_json_add_uint(j, "requests_left", g->pause_requests_left) &&
           cJSON_AddBoolToObject(j, "gate", g->gate);
}

static bool add_door(cJSON *o, const struct gr_view_gray *g)
{
    if (g->door == GR_DOOR_NONE)
        return cJSON_AddNullToObject(o, "one_way");
    cJSON *j = cJSON_AddObjectToObject(o, "one_way");
    return j && cJSON_AddStringToObject(j, "door", gr_door_name(g->door)) &&
           cJSON_AddStringToObject(j, "message", g->door_why);
}

// What came of the copies since this worker has the candidate.
static bool add_shadow(cJSON *o, const struct gr_view_version *candidate)
{
    if (!candidate->counters)
        return cJSON_AddNullToObject(o, "shadow_seen");
    const struct gr_shadow_counters *s = &candidate->counters->shadow;
    cJSON *j = cJSON_AddObjectToObject(o, "shadow_seen");
    return j && gr_json_add_uint(j, "same", s->same) &&
           gr_json_add_uint(j, "diverged", s->diverged) &&
           gr_json_add_uint(j, "errors", s->errors) && gr_json_add_uint(j, "dropped", s->dropped) &&
           gr_json_add_uint(j, "noise_same", s->noise_same) &&
           gr_json_add_uint(j, "noise_diverged", s->noise_diverged);
}

static bool add_gray(cJSON *o, const struct gr_view_gray *g,
                     const struct gr_view_version *candidate)
{
    uint64_t seen = g->seen_candidate + g->seen_stable;
    cJSON *steps = NULL;
    bool ok = gr_json_add_int(o, "step", g->step) && gr_json_add_uint(o, "n_steps", g->n_steps) &&
              (steps = cJSON_AddArrayToObject(o, "steps"));
    for (size_t i = 0; ok && i < g->n_steps; i++)
        ok = gr_json_push(steps, step_json(&g->steps[i]));
    ok = ok && cJSON_AddNumberToObject(o, "weight", g->weight_permyriad / 100.0);
    if (ok && seen)
        ok = cJSON_AddNumberToObject(o, "weight_observed",
                                     100.0 * (double)g->seen_candidate / (double)seen);
    else
        ok = ok && cJSON_AddNullToObject(o, "weight_observed");
    return ok && cJSON_AddNumberToObject(o, "shadow", g->shadow_permyriad / 100.0) &&
           add_shadow(o, candidate) && gr_json_add_text(o, "sticky", g->sticky) &&
           add_pause(o, g) && gr_json_add_text(o, "held_by", g->held_by) && add_door(o, g) &&
           gr_json_add_uint(o, "deadline_left_usec", g->deadline_left_usec) &&
           gr_json_add_uint(o, "bake_usec", g->bake_usec) &&
           gr_json_add_text(o, "actor", g->order->actor) &&
           gr_json_add_text(o, "reason", g->order->reason) && add_order(o, g->order);
}

static bool add_intent(cJSON *o, const struct gr_intent_row *in)
{
    return gr_json_add_int(o, "revision", in->revision) && gr_json_add_text(o, "verb", in->verb) &&
           gr_json_add_text(o, "actor", in->actor) &&
           cJSON_AddStringToObject(o, "result", in->applied ? "applied" : "refused") &&
           gr_json_add_text(o, "message", in->message) && gr_json_add_time(o, "at", in->at);
}

static bool add_newest_intent(cJSON *o, const struct gr_view_module *m)
{
    cJSON *j =
        m->n_intents ? cJSON_AddObjectToObject(o, "intent") : cJSON_AddNullToObject(o, "intent");
    return j && (!m->n_intents || add_intent(j, m->intents));
}

// Several, for whoever was overtaken before he looked.
static bool add_intents(cJSON *o, const struct gr_view_module *m)
{
    cJSON *list = cJSON_AddArrayToObject(o, "intents");
    bool ok = list;
    for (size_t i = 0; ok && i < m->n_intents; i++) {
        cJSON *one = cJSON_CreateObject();
        ok = gr_json_push(list, gr_json_whole(one, one && add_intent(one, &m->intents[i])));
    }
    return ok;
}

// What `plan --request` decides with.
static bool add_routing(cJSON *o, const struct gr_view_gray *g)
{
    char salt[17]; // 64 bits do not fit a JSON number
    snprintf(salt, sizeof salt, "%016" PRIx64, g->salt);
    cJSON *match = g->match_json ? cJSON_Parse(g->match_json) : cJSON_CreateNull();
    return cJSON_AddStringToObject(o, "salt", salt) && gr_json_add(o, "match", match);
}

static bool add_module_fields(cJSON *o, const struct gr_view_module *m, bool counters)
{
    return cJSON_AddStringToObject(o, "phase", m->phase) &&
           gr_json_add_text(o, "reason", gr_reason_name(m->reason)) &&
           gr_json_add_text(o, "message", m->message) &&
           gr_json_add_int(o, "observed_revision", m->observed_revision) &&
           add_version(o, "stable", &m->stable, -1, counters) &&
           add_version(o, "candidate", &m->candidate, m->gray.step, counters) &&
           gr_json_add_text(o, "last_good", m->last_good) && add_verdict(o, m->verdict) &&
           add_newest_intent(o, m) && gr_json_add_time(o, "updated", m->updated);
}

cJSON *gr_view_module_key(const struct gr_view_module *m)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && cJSON_AddStringToObject(o, "apiVersion", GR_API_VERSION) &&
                                add_module_fields(o, m, false));
}

cJSON *gr_view_steered_json(const struct gr_view_module *m)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && cJSON_AddStringToObject(o, "module", m->module.s) &&
                                gr_json_add_int(o, "rollout", m->rollout) &&
                                gr_json_add_int(o, "step", m->gray.step) &&
                                gr_json_add_text(o, "phase", m->rollout_phase) &&
                                gr_json_add_text(o, "message", m->message));
}

cJSON *gr_view_module_to_json(const struct gr_view_module *m)
{
    cJSON *o = cJSON_CreateObject(), *rollout;
    return gr_json_whole(
        o, o && cJSON_AddStringToObject(o, "apiVersion", GR_API_VERSION) &&
               cJSON_AddStringToObject(o, "module", m->module.s) && add_module_fields(o, m, true) &&
               add_version(o, "previous", &m->previous, -1, true) && add_fault(o, m->fault) &&
               (rollout = cJSON_AddObjectToObject(o, "rollout")) &&
               gr_json_add_int(rollout, "id", m->rollout) &&
               gr_json_add_text(rollout, "phase", m->rollout_phase) &&
               gr_json_add_uint(rollout, "bake_left_usec", m->bake_left_usec) &&
               (!m->gray.order ||
                (add_gray(rollout, &m->gray, &m->candidate) && add_routing(rollout, &m->gray))) &&
               add_intents(o, m));
}

cJSON *gr_view_find_module_json(const struct gr_view *v, const char *module)
{
    for (size_t i = 0; i < v->n_modules; i++)
        if (!strcmp(v->modules[i].module.s, module))
            return gr_view_module_to_json(&v->modules[i]);
    return NULL;
}

static bool add_instance_fields(cJSON *o, const struct gr_view *v)
{
    cJSON *endpoints;
    bool ok = cJSON_AddStringToObject(o, "apiVersion", GR_API_VERSION) &&
              gr_json_add_text(o, "version", v->version) &&
              cJSON_AddNumberToObject(o, "pid", v->pid) &&
              gr_json_add_time(o, "started", v->started) &&
              (endpoints = cJSON_AddArrayToObject(o, "endpoints"));
    for (size_t i = 0; ok && i < v->n_endpoints; i++)
        ok = gr_json_push(endpoints, cJSON_CreateString(v->endpoints[i]));
    return ok && gr_json_add_int(o, "source_revision", v->source.revision) &&
           cJSON_AddStringToObject(o, "phase", v->phase) &&
           gr_json_add_text(o, "message", v->message);
}

cJSON *gr_view_instance_key(const struct gr_view *v)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && add_instance_fields(o, v));
}

cJSON *gr_conviction_to_json(const struct gr_conviction *c)
{
    char digest[GR_DIGEST_TEXT_MAX];
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(
        o, o && cJSON_AddStringToObject(o, "apiVersion", GR_API_VERSION) &&
               cJSON_AddStringToObject(o, "hash", gr_digest_format(&c->digest, digest)) &&
               cJSON_AddStringToObject(o, "module", c->module.s) &&
               cJSON_AddStringToObject(o, "version", c->version) &&
               gr_json_add_text(o, "reason", gr_reason_name(c->reason)) &&
               gr_json_add_text(o, "evidence", c->evidence) &&
               gr_json_add_text(o, "instance", c->instance) && gr_json_add_time(o, "at", c->at));
}

static bool add_source(cJSON *o, const struct gr_view *v)
{
    const struct gr_source_health *s = &v->source;
    cJSON *j = cJSON_AddObjectToObject(o, "source");
    char cluster[20];
    snprintf(cluster, sizeof cluster, "%016llx", (unsigned long long)s->cluster_id);
    return j && gr_json_add_text(j, "kind", v->source_kind) &&
           cJSON_AddBoolToObject(j, "up", s->up) && cJSON_AddBoolToObject(j, "held", s->held) &&
           gr_json_add_text(j, "reason", gr_reason_name(s->reason)) &&
           gr_json_add_text(j, "message", s->message) &&
           gr_json_add_text(j, "endpoint", s->endpoint) &&
           gr_json_add_text(j, "intents", v->intents_trouble) &&
           gr_json_add_int(j, "revision", s->revision) &&
           gr_json_add_text(j, "cluster_id", s->cluster_id ? cluster : NULL);
}

static bool add_worker(cJSON *o, const struct gr_view *v)
{
    const struct gr_worker_gauges *g = &v->gauges;
    cJSON *j = cJSON_AddObjectToObject(o, "worker");
    return j && cJSON_AddNumberToObject(j, "pid", v->worker_pid) &&
           gr_json_add_uint(j, "connections", g->connections) &&
           gr_json_add_uint(j, "connections_total", g->connections_total) &&
           gr_json_add_uint(j, "parked", g->parked) &&
           gr_json_add_uint(j, "refused_framing", g->refused_framing) &&
           gr_json_add_uint(j, "swaps_ok", g->swaps_ok) &&
           gr_json_add_uint(j, "swaps_failed", g->swaps_failed) &&
           gr_json_add_uint(j, "freeze_last_usec", g->freeze_last_usec) &&
           gr_json_add_time(j, "swapped", v->swapped) &&
           gr_json_add_uint(j, "handovers_ok", g->handovers_ok) &&
           gr_json_add_uint(j, "handovers_failed", g->handovers_failed) &&
           gr_json_add_uint(j, "handover_last_usec", g->handover_last_usec) &&
           gr_json_add_uint(j, "handover_last_bytes", g->handover_last_bytes) &&
           gr_json_add_uint(j, "handover_bytes", g->handover_bytes) &&
           cJSON_AddNumberToObject(j, "freeze_p99_usec",
                                   (double)gr_histogram_quantile_nsec(&g->freeze, 0.99) / 1000) &&
           gr_json_add_uint(j, "loaded", v->loaded) && gr_json_add_uint(j, "pinned", v->pinned);
}

static bool add_host(cJSON *o, const struct gr_view *v)
{
    return add_instance_fields(o, v) && gr_json_add_text(o, "service", v->service) &&
           gr_json_add_text(o, "instance", v->instance) && gr_json_add_text(o, "admin", v->admin) &&
           cJSON_AddStringToObject(o, "trust", v->trust_root ? "signatures" : "digest-only") &&
           add_source(o, v) && add_worker(o, v) &&
           cJSON_AddBoolToObject(o, "safe_mode", v->safe_since.usec != 0);
}

cJSON *gr_view_host_to_json(const struct gr_view *v)
{
    cJSON *o = cJSON_CreateObject();
    return gr_json_whole(o, o && add_host(o, v));
}

cJSON *gr_view_to_json(const struct gr_view *v)
{
    cJSON *o = cJSON_CreateObject(), *modules = NULL, *quarantine = NULL;
    bool ok = o && add_host(o, v) && (modules = cJSON_AddArrayToObject(o, "modules")) &&
              (quarantine = cJSON_AddArrayToObject(o, "quarantine"));
    for (size_t i = 0; ok && i < v->n_modules; i++)
        ok = gr_json_push(modules, gr_view_module_to_json(&v->modules[i]));
    for (size_t i = 0; ok && i < v->n_convictions; i++)
        ok = gr_json_push(quarantine, gr_conviction_to_json(&v->convictions[i]));
    return gr_json_whole(o, ok);
}
