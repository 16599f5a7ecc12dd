// What the workers' faults leave behind with the supervisor: the evidence in the book, and the
// breakers, which the next worker is given before it serves. Who is to blame is in crew-blame.c.
#include "base/contract.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct gr_fault_record *record_of(struct gr_hosted *h, int slot)
{
    const struct gr_held_file *held = &h->held[slot];
    return gr_fault_book_open(h->manager->faults, &held->module, &held->digest, held->version);
}

// --- notes
// ----------------------------------------------------------------------------------------

static void take_text(const cJSON *msg, const char *name, char *at, size_t cap)
{
    const char *text = "";
    (void)!gr_json_string(msg, "", name, GR_JSON_OPTIONAL, &text, NULL);
    snprintf(at, cap, "%s", text);
}

static void take_frames(const cJSON *msg, struct gr_fault_note *n)
{
    const cJSON *frame;
    cJSON_ArrayForEach(frame, gr_json_get(msg, "frames"))
    {
        if (n->n_frames < GR_COUNT(n->frames) && cJSON_IsString(frame))
            snprintf(n->frames[n->n_frames++], sizeof n->frames[0], "%s", frame->valuestring);
    }
}

static enum gr_fault_kind kind_of(const char *name)
{
    unsigned k = 0;
    while (k < GR_FAULT_KINDS - 1 && strcmp(gr_fault_kind_name((enum gr_fault_kind)k), name) != 0)
        k++;
    return (enum gr_fault_kind)k;
}

const struct gr_fault_note *gr_crew_note_fault(struct gr_hosted *h, int slot, const cJSON *msg)
{
    struct gr_fault_record *r = record_of(h, slot);
    struct gr_fault_note *n = &r->last;
    char interface[GR_INTERFACE_MAX + 1], method[GR_METHOD_MAX + 1];
    *n = (struct gr_fault_note){.at = gr_wall_now()};
    take_text(msg, "kind", n->kind, sizeof n->kind);
    take_text(msg, "signal", n->signal, sizeof n->signal);
    take_text(msg, "address", n->address, sizeof n->address);
    take_text(msg, "detail", n->detail, sizeof n->detail);
    take_text(msg, "interface", interface, sizeof interface);
    take_text(msg, "method", method, sizeof method);
    snprintf(n->method, sizeof n->method, "%s/%s", interface, method);
    take_text(msg, "request_id", n->request_id, sizeof n->request_id);
    take_text(msg, "build_id", n->build_id, sizeof n->build_id);
    take_frames(msg, n);
    r->n[kind_of(n->kind)]++;
    gr_crew_watch_memory(h->manager);
    return n;
}

// A frame as the worker itself would have written it; its names died with it.
static void name_frame(const struct gr_hosted *h, int32_t slot, uint64_t offset, char buf[96])
{
    char digest[GR_DIGEST_TEXT_MAX];
    if (slot < 0 || slot >= GR_INSTANCES_MAX || !h->held[slot].version[0]) {
        snprintf(buf, 96, "0x%" PRIx64, offset);
        return;
    }
    const struct gr_held_file *f = &h->held[slot];
    const char *hex = strchr(gr_digest_format(&f->digest, digest), ':');
    snprintf(buf, 96, "%.30s-%.20s-%.16s.so+0x%" PRIx64, f->module.s, f->version,
             hex ? hex + 1 : digest, offset);
}

static void note_evidence(const struct gr_hosted *h, const struct gr_evidence *ev,
                          struct gr_fault_note *n)
{
    snprintf(n->address, sizeof n->address, "0x%" PRIx64, ev->address);
    for (uint32_t i = 0; i < ev->n_frames && n->n_frames < GR_COUNT(n->frames); i++)
        name_frame(h, ev->frame_slot[i], ev->frame_offset[i], n->frames[n->n_frames++]);
}

// A death that is blamed on what is in force without a rollout counts for its breaker, as the last
// call of a probe if one was under way.
void gr_crew_count_death(struct gr_hosted *h, const struct gr_blame *b)
{
    const struct gr_breaker_policy *p = &h->manager->config->breaker;
    uint64_t now = gr_mono_now().usec;
    if (!b->place || b->r || b->slot != b->place->stable)
        return;
    struct gr_fault_record *r = record_of(h, b->slot);
    struct gr_breaker last;
    gr_stats_breaker(gr_worker_stats(h->worker), (unsigned)b->slot, &last);
    if (!gr_breaker_fault(&r->breaker, p, now, last.probe != 0))
        return;
    gr_crew_tell_breaker(h, b->slot, GR_BREAKER_OPEN, gr_breaker_recent(&r->breaker, p, now),
                         gr_breaker_left_usec(&r->breaker, now));
}

const struct gr_fault_note *gr_crew_note_death(struct gr_hosted *h, const struct gr_blame *b,
                                               const struct gr_worker_death *d)
{
    struct gr_evidence ev;
    if (!b->place)
        return NULL;
    struct gr_fault_record *r = record_of(h, b->slot);
    struct gr_fault_note *n = &r->last;
    *n = (struct gr_fault_note){.at = gr_wall_now(), .kind = "death"};
    const char *name = d->by_signal ? sigabbrev_np(d->status) : NULL;
    if (name)
        snprintf(n->signal, sizeof n->signal, "SIG%s", name);
    else
        snprintf(n->detail, sizeof n->detail, "the worker ended with %s %d",
                 d->by_signal ? "signal" : "status", d->status);
    snprintf(n->method, sizeof n->method, "%s", b->method);
    snprintf(n->request_id, sizeof n->request_id, "%s", b->request_id);
    snprintf(n->build_id, sizeof n->build_id, "%s", h->held[b->slot].build_id);
    if (gr_stats_evidence(gr_worker_stats(h->worker), &ev))
        note_evidence(h, &ev, n);
    r->deaths++;
    gr_crew_watch_memory(h->manager);
    return n;
}

// --- breakers
// -------------------------------------------------------------------------------------

void gr_crew_tell_breaker(struct gr_hosted *h, int slot, enum gr_breaker_state state,
                          unsigned recent, uint64_t left_usec)
{
    const struct gr_held_file *held = &h->held[slot];
    char text[GR_MESSAGE_MAX], window[32], left[32];
    if (state == GR_BREAKER_CLOSED)
        snprintf(text, sizeof text,
                 "the breaker of %s %s is closed: a call went through without a fault",
                 held->module.s, held->version);
    else
        snprintf(text, sizeof text,
                 "the breaker of %s %s is open: %u faults within %s. Its requests are answered "
                 "with unavailable; in %s one of them tries it. Publish a mended build, or go "
                 "back: grayctl undo %s",
                 held->module.s, held->version, recent,
                 gr_duration_format(h->manager->config->breaker.window_usec, window),
                 gr_duration_format(left_usec, left), held->module.s);
    gr_manager_tell(
        h->manager, state == GR_BREAKER_CLOSED ? GR_MSG_BREAKER_CLOSED : GR_MSG_BREAKER_OPENED,
        state == GR_BREAKER_CLOSED ? GR_LOG_NOTICE : GR_LOG_ERROR, held->module.s, held->version, 0,
        NULL, state == GR_BREAKER_CLOSED ? GR_REASON_NONE : GR_REASON_CRASHED, text);
    gr_manager_changed(h->manager);
}

void gr_crew_on_breaker(struct gr_hosted *h, const cJSON *msg)
{
    uint64_t slot = 0, recent = 0, left = 0;
    const char *state = "";
    if (gr_json_uint(msg, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot, NULL) <
            0 ||
        gr_json_string(msg, "", "state", GR_JSON_REQUIRED, &state, NULL) < 0 ||
        !h->held[slot].version[0])
        return;
    (void)!gr_json_uint(msg, "", "faults", GR_JSON_OPTIONAL, 0, UINT32_MAX, &recent, NULL);
    (void)!gr_json_uint(msg, "", "left_usec", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10, &left, NULL);
    bool closed = strcmp(state, gr_breaker_state_name(GR_BREAKER_CLOSED)) == 0;
    gr_crew_tell_breaker(h, (int)slot, closed ? GR_BREAKER_CLOSED : GR_BREAKER_OPEN,
                         (unsigned)recent, left);
}

void gr_crew_keep_breakers(struct gr_hosted *h)
{
    for (size_t i = 0; i < h->n_places; i++) {
        int slot = h->places[i].stable;
        struct gr_breaker b;
        if (slot < 0)
            continue;
        gr_stats_breaker(gr_worker_stats(h->worker), (unsigned)slot, &b);
        if (b.n_faults == 0)
            continue;
        struct gr_fault_record *r =
            gr_fault_book_find(h->manager->faults, &h->places[i].module, &h->held[slot].digest);
        if (!r) // what it says of its faults is still on the way
            r = record_of(h, slot);
        r->breaker = gr_breaker_handed_over(&b);
    }
}

void gr_crew_give_breakers(struct gr_hosted *h)
{
    for (size_t i = 0; i < h->n_places; i++) {
        int slot = h->places[i].stable;
        const struct gr_fault_record *r =
            slot < 0 ? NULL
                     : gr_fault_book_find(h->manager->faults, &h->places[i].module,
                                          &h->held[slot].digest);
        if (r)
            gr_stats_set_breaker(gr_worker_stats(h->worker), (unsigned)slot, &r->breaker);
    }
}
