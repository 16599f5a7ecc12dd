// The way of one call: pinned by pin.c, run under the guard, counted, rescued, answered.
#include "dispatch/internal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_nsec(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// --- running one version -----------------------------------------------------------------------

static int32_t handle(void *arg)
{
    struct grayling_call *c = arg;
    return c->instance->block->handle(c->instance->self, c, c->request);
}

static void release_kept(struct grayling_call *c)
{
    while (c->kept) {
        struct gr_answer *a = c->kept;
        c->kept = a->next;
        gr_answer_free(c->thread->dispatch, a);
    }
}

// Normal context again. What the call held (memory, descriptors, locks) is lost: the version is
// never touched by unload.
static void note_fault(struct grayling_call *c, struct gr_stats_row *row)
{
    const struct gr_caught *caught = &c->thread->guard->caught;
    const struct gr_dispatch_options *o = &c->thread->dispatch->options;
    atomic_store(&c->instance->faulted, true);
    gr_stats_raise(&row->faults, 1);
    free(c->answer); // a buffer of the module's stays where it is, and stays counted
    c->answer = NULL;
    if (!o->on_fault)
        return;
    char frames[GR_EVIDENCE_FRAMES][96];
    for (size_t i = 0; i < caught->n_frames; i++)
        gr_guard_frame_text(caught->frames[i], frames[i]);
    o->on_fault(o->userdata, &(struct gr_fault){
                                 .slot = c->instance->slot,
                                 .signal = caught->signal,
                                 .kind = "signal",
                                 .address = caught->address,
                                 .interface_name = c->request->interface_name,
                                 .method_name = c->request->method_name,
                                 .request_id = c->request->request_id ? c->request->request_id : "",
                                 .n_frames = caught->n_frames,
                                 .frames = (const char(*)[96])frames,
                             });
}

// false: it faulted. *ret_code is one of gRPC's codes otherwise.
static bool run(struct grayling_call *c, uint64_t start_nsec, int32_t *ret_code)
{
    struct gr_thread *t = c->thread;
    unsigned slot = c->instance->slot;
    struct gr_stats_row *row = &t->dispatch->stats->seg->rows[slot][t->row];
    gr_stats_push(t->inside, c->depth, slot, c->request->method);
    int32_t code = GRAYLING_INTERNAL;
    bool sound = gr_guard_run(t->guard, handle, c, &code);
    if (!sound)
        note_fault(c, row);
    release_kept(c);
    gr_stats_pop(t->inside, c->depth);
    if (code < 0 || code >= GR_CODES)
        code = GRAYLING_UNKNOWN;
    uint64_t end = now_nsec();
    uint64_t deadline = c->request->deadline_usec;
    gr_stats_record(row, code, end - start_nsec, deadline != 0 && end / 1000 > deadline);
    *ret_code = code;
    return sound;
}

// --- serving a route ---------------------------------------------------------------------------

static void say(char *message, const char *text)
{
    if (message)
        snprintf(message, sizeof(((struct gr_response *)0)->message), "%s", text);
}

static uint64_t earlier_deadline(uint64_t asked, uint64_t declared, uint64_t now_usec)
{
    if (declared == 0)
        return asked;
    return asked != 0 && asked < now_usec + declared ? asked : now_usec + declared;
}

void gr_serve(struct gr_thread *t, const struct gr_route *route,
              const struct grayling_request *request, unsigned depth, char *message,
              struct gr_served *ret)
{
    const struct gr_member *member = &route->record->member;
    uint64_t start = now_nsec();
    *ret = (struct gr_served){.by = member->stable};
    if (depth == 0)
        gr_stats_enter(t->inside, request->request_id, start / 1000);
    struct grayling_request own = *request;
    own.struct_size = sizeof(own);
    own.method = route->method;
    own.deadline_usec =
        earlier_deadline(request->deadline_usec, route->deadline_usec, start / 1000);
    if (own.deadline_usec != 0 && start / 1000 >= own.deadline_usec) {
        say(message, "the deadline had passed before the call began");
        ret->code = GRAYLING_DEADLINE_EXCEEDED;
        return;
    }
    struct grayling_call c = {
        .thread = t,
        .record = route->record,
        .instance = member->stable,
        .request = &own,
        .depth = depth,
        .message = message,
    };
    if (!run(&c, start, &ret->code)) {
        say(message, "the module failed while it answered this request");
        if (route->idempotent && route->rescue_method != GR_METHOD_NONE) {
            say(message, "");
            c.instance = member->rescue;
            own.method = route->rescue_method;
            ret->by = member->rescue;
            ret->rescued = run(&c, now_nsec(), &ret->code);
            if (ret->rescued)
                gr_stats_raise(&t->dispatch->stats->seg->rows[member->stable->slot][t->row].rescued,
                               1);
        }
    }
    if (ret->code != GRAYLING_OK) {
        gr_answer_free(t->dispatch, c.answer);
        c.answer = NULL;
    }
    ret->answer = c.answer;
}

// --- the outermost call ------------------------------------------------------------------------

static void fill(struct gr_response *r, const struct gr_served *served)
{
    const struct gr_contract *c = served->by->contract;
    r->code = served->code;
    r->rescued = served->rescued;
    memcpy(r->module, c->module.s, served->by->module_len + 1);
    memcpy(r->version, c->version.text, served->by->version_len + 1);
    r->private_ = served->answer;
    if (served->answer) {
        r->payload = (struct grayling_bytes){served->answer->data, served->answer->size};
        r->release = served->answer->release;
        r->owner = served->answer->owner;
    }
}

// Everything but the long texts, of which the terminator is enough.
static void clear(struct gr_response *r)
{
    r->code = GRAYLING_OK;
    r->payload = (struct grayling_bytes){0};
    r->release = NULL;
    r->owner = NULL;
    r->message[0] = r->module[0] = r->version[0] = 0;
    r->rescued = r->baking = false;
    r->private_ = NULL;
}

enum gr_call_result gr_dispatch_call(struct gr_thread *t, const struct grayling_request *request,
                                     struct gr_response *ret)
{
    assert(!gr_asym_load(&t->entered)); // module to module goes through the host table
    const struct gr_route *route = NULL;
    enum gr_entry entry = gr_pin(t, request, &route);
    if (entry == GR_GATE_CLOSED) {
        gr_unpin(t);
        return GR_CALL_PARKED;
    }
    clear(ret);
    if (entry == GR_NO_ROUTE) {
        ret->code = GRAYLING_UNIMPLEMENTED;
        snprintf(ret->message, sizeof(ret->message), "no module here provides %.127s/%.63s",
                 request->interface_name, request->method_name);
    } else {
        struct gr_served served;
        gr_serve(t, route, request, 0, ret->message, &served);
        fill(ret, &served);
    }
    gr_unpin(t);
    return GR_CALL_DONE;
}
