// Who is to blame when a module faults or a worker dies. A version that is on trial answers for it
// with its rollout.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool answers_for(const struct gr_rollout *r, bool candidate)
{
    enum gr_phase p = gr_rollout_row(r)->phase;
    return p == GR_PHASE_BAKING || (candidate && gr_rollout_is_gray(r));
}

static struct gr_blame blame_slot(struct gr_hosted *h, int slot)
{
    struct gr_manager *m = h->manager;
    struct gr_blame b = {.slot = slot};
    for (size_t i = 0; i < h->n_places && slot >= 0 && !b.place; i++)
        if (h->places[i].stable == slot || h->places[i].candidate == slot)
            b.place = &h->places[i];
    if (!b.place)
        return b;
    bool candidate = b.place->candidate == slot;
    const struct gr_committed *row = gr_manager_row(m, &b.place->module);
    b.version = row ? row->release : NULL;
    for (size_t i = 0; i < m->n_rollouts; i++) {
        const struct gr_rollout_row *rr = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; answers_for(m->rollouts[i], candidate) && k < rr->n; k++)
            if (rr->members[k].to && gr_name_equal(&rr->members[k].module, &b.place->module)) {
                b.r = m->rollouts[i];
                b.member = k;
                b.version = rr->members[k].to;
            }
    }
    return b;
}

void gr_crew_on_fault(struct gr_hosted *h, const cJSON *msg)
{
    struct gr_manager *m = h->manager;
    uint64_t slot = 0;
    uint64_t apart = 0; // the process of its own in which it happened
    char how[384];
    (void)!gr_json_uint(msg, "", "apart", GR_JSON_OPTIONAL, 0, INT32_MAX, &apart, NULL);
    if (gr_json_uint(msg, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot, NULL) <
            0 ||
        !h->held[slot].version[0])
        return;
    const struct gr_fault_note *n = gr_crew_note_fault(h, (int)slot, msg);
    const struct gr_blame b = blame_slot(h, (int)slot);
    const char *module = h->held[slot].module.s, *version = h->held[slot].version;
    struct gr_error e = {0};
    bool late = gr_fault_note_reason(n) == GR_REASON_CALL_TIMEOUT;
    if (late)
        snprintf(how, sizeof how, "%s", n->detail);
    else if (*n->signal)
        snprintf(how, sizeof how, "%s at address %s, code at %s", n->signal, n->address,
                 n->n_frames ? n->frames[0] : "?");
    else
        snprintf(how, sizeof how, "%s, code at %s", n->detail, n->n_frames ? n->frames[0] : "?");
    gr_error_set(
        &e, -EFAULT, gr_fault_note_reason(n),
        "%s %s %s in %s: %s, request %s; expected it to return%s. %s", module, version,
        late ? "was given up" : "faulted", *n->method ? n->method : "no call", how,
        *n->request_id ? n->request_id : "none", late ? " before its deadline" : "",
        !b.r ? apart ? "Its process is started anew, and the worker goes on"
                     : "The worker is replaced, since its memory is not trusted any more"
        : gr_member_reconfigures(&gr_rollout_row(b.r)->members[b.member])
            ? "The configuration before is put in force and this one is quarantined for this "
              "digest: publish a mended configuration"
            : "The version before is put in force and this digest is quarantined: publish a "
              "mended build");
    gr_manager_tell_fault(m, GR_MSG_FAULT, module, version, b.r ? gr_rollout_row(b.r)->id : 0, n,
                          e.message);
    bool first = !h->tainted && !apart;
    h->tainted |= !apart;
    if (b.r)
        gr_rollout_fail(b.r, b.member, &e);
    if (first)
        gr_manager_replace_worker(m, late ? "a module does not return in it"
                                          : "a module faulted in it");
}

// Of those that a thread was inside of (thread -1: any did), whoever is on trial; else the only
// one.
static struct gr_blame blame_who_was_inside(struct gr_hosted *h, const struct gr_in_call *calls,
                                            size_t n, int32_t thread, const char **ret_method,
                                            const char **ret_request)
{
    struct gr_blame b = {.slot = -1};
    bool several = false;
    for (size_t i = 0; i < n && !b.r; i++) {
        if (thread >= 0 && calls[i].thread != (unsigned)thread)
            continue;
        const struct gr_blame q = blame_slot(h, (int)calls[i].slot);
        several |= b.place && q.slot != b.slot;
        if (!q.place || (b.place && !q.r))
            continue;
        b = q;
        *ret_method = calls[i].method;
        *ret_request = calls[i].request_id;
    }
    return b.r || !several ? b : (struct gr_blame){.slot = -1};
}

// Evidence of the dying handler first; else who was inside a call. SIGKILL and SIGTERM come from
// outside and blame nobody.
struct gr_blame gr_crew_culprit(struct gr_hosted *h, const struct gr_worker_death *d,
                                struct gr_error *e)
{
    struct gr_stats *s = gr_worker_stats(h->worker);
    struct gr_evidence ev;
    struct gr_in_call calls[GR_THREADS_MAX];
    bool evident = gr_stats_evidence(s, &ev);
    bool foreign = gr_worker_was_killed(d);
    size_t n = foreign && !evident ? 0 : gr_stats_in_calls(s, calls, GR_COUNT(calls));
    struct gr_blame b = blame_slot(h, evident ? ev.slot : -1);
    const char *method = evident ? ev.method : "", *request = evident ? ev.request_id : "";
    if (!b.place)
        b = blame_who_was_inside(h, calls, n, evident ? ev.thread : -1, &method, &request);
    snprintf(b.method, sizeof b.method, "%s", method);
    snprintf(b.request_id, sizeof b.request_id, "%s", request);
    gr_error_set(
        e, -EFAULT, GR_REASON_CRASHED,
        "the worker ended with %s %d%s%s%s%s%s%s%s%s; expected it to serve. %s",
        d->by_signal ? "signal" : "status", d->status, b.place ? " inside " : "",
        b.place ? b.place->module.s : "", b.version ? " " : "",
        b.version ? b.version->version.text : "", *method ? ", method " : "", method,
        *request ? ", request " : "", request,
        !b.place ? "No module could be blamed; a new worker takes the same table"
        : b.r ? "The version before is put in force and what changed, digest or configuration, is "
                "quarantined: publish a mended one"
              : "A new worker takes the same table");
    return b;
}
