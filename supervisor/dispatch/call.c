// The outermost call of a request: pinned by pin.c, answered by serve.c, told to the front door.
#include "dispatch/internal.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

// Nearly all names fit into one register's store; both places have room for it.
static inline void copy_name(char *to, const char *from, size_t len)
{
    if (__builtin_expect(len < 16, 1))
        memcpy(to, from, 16);
    else
        memcpy(to, from, len + 1);
}
_Static_assert(sizeof(struct gr_name) >= 16 && GR_VERSION_MAX >= 16, "copy_name() reads as much");

void gr_response_fill(struct gr_response *r, const struct gr_served *served)
{
    r->code = served->code;
    r->rescued = served->rescued;
    r->candidate = served->candidate;
    if (!served->by)
        return;
    const struct gr_contract *c = served->by->contract;
    copy_name(r->module, c->module.s, served->by->module_len);
    copy_name(r->version, c->version.text, served->by->version_len);
    r->private_ = served->answer;
    if (served->answer) {
        r->payload = (struct grayling_bytes){served->answer->data, served->answer->size};
        r->release = served->answer->release;
        r->owner = served->answer->owner;
    }
}

void gr_response_clear(struct gr_response *r)
{
    r->code = GRAYLING_OK;
    r->payload = (struct grayling_bytes){0};
    r->release = NULL;
    r->owner = NULL;
    r->message[0] = r->module[0] = r->version[0] = 0;
    r->rescued = r->candidate = r->shadow.chosen = false;
    r->private_ = NULL;
}

// A candidate, or one of a batch that bakes, failed where answering again would have mixed two
// views, or where its own method is not idempotent. Unless its caller made do without, the request
// as a whole is answered again, all by stable, or all by what was before the batch, if what it
// asked for is idempotent.
static __attribute__((noinline)) void mend(struct gr_thread *t, const struct gr_route *route,
                                           const struct grayling_request *request, char *message,
                                           struct gr_served *served)
{
    const struct gr_instance *broken = t->broken;
    t->broken = NULL;
    if (served->code == GRAYLING_OK || route->method == GR_METHOD_NONE || !route->idempotent ||
        (served->candidate && !route->candidate_idempotent))
        return;
    if (t->broken_batch == GR_BATCH_NONE)
        gr_cohorts_leave_used(t, route->record->table);
    else
        t->batches[t->broken_batch] = GR_BATCH_BACK;
    message[0] = '\0';
    gr_serve(t, route, request, 0, message, served);
    served->rescued = !served->failed;
    if (served->rescued)
        gr_count_rescue(t, broken);
    t->broken = NULL; // once
}

// Stable has answered, by itself and as it meant to: is the candidate to answer too?
static __attribute__((noinline)) void
choose_shadow(const struct gr_route *route, const struct gr_served *served, struct gr_response *ret)
{
    struct gr_gray *gray = route->record->member.gray;
    if (served->candidate || served->rescued || served->failed || !served->ran ||
        gr_gray_shadow(gray) == 0 || !gr_route_both_idempotent(route))
        return;
    ret->shadow.chosen = gr_gray_shadow_turn(gray, &ret->shadow.noise);
    ret->shadow.rollout = gr_gray_rollout(gray);
}

static void answer_no_route(const struct grayling_request *request, struct gr_response *ret)
{
    ret->code = GRAYLING_UNIMPLEMENTED;
    snprintf(ret->message, sizeof(ret->message), "no module here provides %.127s/%.63s",
             request->interface_name, request->method_name);
}

static inline void answer_route(struct gr_thread *t, const struct gr_route *route,
                                const struct grayling_request *request, struct gr_response *ret)
{
    struct gr_served served;
    gr_serve(t, route, request, 0, ret->message, &served);
    if (__builtin_expect(t->broken != NULL, 0))
        mend(t, route, request, ret->message, &served);
    gr_response_fill(ret, &served);
    if (__builtin_expect(route->record->member.gray != NULL, 0))
        choose_shadow(route, &served, ret);
}

static inline enum gr_call_result call(struct gr_thread *t, const struct grayling_request *request,
                                       const struct gr_place *before, struct gr_place *find,
                                       struct gr_response *ret)
{
    assert(!gr_asym_load(&t->entered)); // module to module goes through the host table
    const struct gr_route *route = NULL;
    enum gr_call_result result = GR_CALL_DONE;
    enum gr_entry entry = gr_pin(t, request, &route);
    if (entry == GR_GATE_CLOSED) {
        gr_unpin(t);
        return GR_CALL_PARKED;
    }
    gr_response_clear(ret);
    if (entry == GR_NO_ROUTE) {
        answer_no_route(request, ret);
    } else {
        gr_cohorts_begin(t, route->record->table, request);
        if (before && before->rollout != 0)
            gr_place_recall(t, route->record, before);
        if (!find || __builtin_expect(!route->record->pooled, 1) ||
            !gr_place_find(t, route, find, ret, &result))
            answer_route(t, route, request, ret);
    }
    gr_unpin(t);
    return result;
}

enum gr_call_result gr_dispatch_call(struct gr_thread *t, const struct grayling_request *request,
                                     struct gr_response *ret)
{
    return call(t, request, NULL, NULL, ret);
}

enum gr_call_result gr_dispatch_place(struct gr_thread *t, const struct grayling_request *request,
                                      struct gr_place *place, struct gr_response *ret)
{
    return call(t, request, place, place, ret);
}

enum gr_call_result gr_dispatch_call_placed(struct gr_thread *t,
                                            const struct grayling_request *request,
                                            const struct gr_place *place, struct gr_response *ret)
{
    return call(t, request, place, NULL, ret);
}
