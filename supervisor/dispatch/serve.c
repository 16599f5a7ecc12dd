// One route answered: by which version, run under the guard, counted, rescued by another.
#include "dispatch/internal.h"
#include <stdio.h>
#include <string.h>

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
    gr_stats_raise(&row->faults[caught->kind], 1);
    free(c->answer); // a buffer of the module's stays where it is, and stays counted
    c->answer = NULL;
    if (!o->on_fault)
        return;
    char frames[GR_EVIDENCE_FRAMES][96];
    for (size_t i = 0; i < caught->n_frames; i++)
        gr_guard_frame_text(caught->frames[i], frames[i]);
    o->on_fault(o->userdata, &(struct gr_fault){
                                 .slot = c->instance->slot,
                                 .kind = caught->kind,
                                 .signal = caught->signal,
                                 .address = caught->address,
                                 .detail = caught->detail,
                                 .build_id = c->instance->build_id,
                                 .interface_name = c->request->interface_name,
                                 .method_name = c->request->method_name,
                                 .request_id = c->request->request_id ? c->request->request_id : "",
                                 .n_frames = caught->n_frames,
                                 .frames = (const char(*)[96])frames,
                             });
}

// A call that another process was to answer. false: nobody did.
static __attribute__((noinline)) bool end_away(struct grayling_call *c, struct gr_stats_row *row)
{
    enum gr_fault_kind kind = c->end == GR_END_LATE ? GR_FAULT_TIMEOUT : c->end_kind;
    if (c->end_counts)
        gr_stats_raise(&row->faults[kind], 1);
    if (c->end == GR_END_HERE && c->probe)
        gr_breakers_probe_ended(c->instance, gr_now_nsec() / 1000);
    return c->end != GR_END_LOST;
}

static void forget_passed(struct grayling_call *c)
{
    c->passed = 0;
    c->message[0] = 0;
}

// It was answered for and counted when it was given up (overdue.c). Nobody answers it once more.
static void end_lost(struct grayling_call *c, int32_t *ret_code)
{
    if (c->depth == 0)
        atomic_store_explicit(&c->thread->lost, false, memory_order_relaxed);
    *ret_code = GRAYLING_DEADLINE_EXCEEDED;
}

// When it is overdue. Whoever calls into another process gives the call up by itself (away.c), and
// what it calls for that process has no more time than the process.
static uint64_t due_nsec(const struct grayling_call *c, uint64_t start_nsec)
{
    if (c->instance->away)
        return GR_NEVER_NSEC;
    uint64_t due = start_nsec + c->limit_nsec, bound = c->depth > 0 ? c->thread->bound_nsec : 0;
    return bound && bound < due ? bound : due;
}

// false: it faulted. *ret_code is one of gRPC's codes otherwise.
static bool run(struct grayling_call *c, uint64_t start_nsec, int32_t *ret_code)
{
    struct gr_thread *t = c->thread;
    unsigned slot = c->instance->slot;
    struct gr_stats_row *row = &t->dispatch->stats->seg->rows[slot][t->row];
    gr_stats_push(t->inside, c->depth, slot, c->request->method, due_nsec(c, start_nsec));
    int32_t code = GRAYLING_INTERNAL;
    bool sound = gr_guard_run(t->guard, handle, c, &code);
    bool lost = atomic_load_explicit(&t->lost, memory_order_relaxed);
    if (!sound) {
        note_fault(c, row);
        gr_breakers_fault(c->instance, c->probe, gr_now_nsec() / 1000);
    } else if (__builtin_expect(c->instance->away != NULL, 0)) {
        sound = end_away(c, row);
    } else if (__builtin_expect(c->probe && !lost, 0)) {
        gr_breakers_probe_ended(c->instance, gr_now_nsec() / 1000);
    }
    release_kept(c);
    gr_stats_pop(t->inside, c->depth);
    if (__builtin_expect(lost, 0)) {
        end_lost(c, ret_code);
        return true;
    }
    if (code < 0 || code >= GR_CODES)
        code = GRAYLING_UNKNOWN;
    if (__builtin_expect(c->passed != 0, 0) && (!sound || c->passed != code))
        forget_passed(c); // what a callee said is no reason of this end
    uint64_t end = gr_now_nsec();
    uint64_t deadline = c->request->deadline_usec;
    if (__builtin_expect(!t->shadow, 1))
        gr_stats_record(row, code, end - start_nsec, deadline != 0 && end / 1000 > deadline,
                        c->depth > 0);
    *ret_code = code;
    return sound;
}

// --- serving a route ---------------------------------------------------------------------------

static void say(char *message, const char *text)
{
    snprintf(message, GR_SENTENCE_BYTES, "%s", text);
}

static uint64_t earlier_deadline(uint64_t asked, uint64_t declared, uint64_t now_usec)
{
    if (declared == 0)
        return asked;
    return asked != 0 && asked < now_usec + declared ? asked : now_usec + declared;
}

// How long a call may run before it is given up. What the client asks for does not count: a module
// is not at fault for the haste of others.
static uint64_t limit_nsec(const struct gr_dispatch_options *o, uint64_t declared_usec)
{
    uint64_t usec = declared_usec ? declared_usec : o->call_timeout_usec;
    return usec == 0 || usec > GR_NEVER_NSEC / 2000 ? GR_NEVER_NSEC
                                                    : (usec + o->call_grace_usec) * 1000;
}

// What one attempt after another to answer a request shares.
struct attempt {
    struct grayling_call call;
    struct grayling_request request;
    const struct gr_route *route;
    uint64_t start_nsec;
    bool refused; // nothing of the version that was asked last ran
};

// An open breaker stands in for the version. false: it does not.
static __attribute__((noinline)) bool refuse_broken(struct attempt *a, struct gr_instance *by,
                                                    struct gr_served *ret)
{
    struct gr_thread *t = a->call.thread;
    if (gr_breakers_admit(by, a->start_nsec / 1000, &a->call.probe))
        return false;
    a->refused = true;
    ret->code = GRAYLING_UNAVAILABLE;
    if (!t->shadow)
        gr_stats_code(&t->dispatch->stats->seg->rows[by->slot][t->row], GRAYLING_UNAVAILABLE,
                      a->call.depth > 0);
    say(a->call.message, GR_BREAKER_SENTENCE);
    return true;
}

// Its process has ended and the next one does not serve yet.
static __attribute__((noinline)) bool refuse_absent(struct attempt *a, struct gr_instance *by,
                                                    struct gr_served *ret)
{
    struct gr_thread *t = a->call.thread;
    if (gr_away_present(by->away))
        return false;
    a->refused = true;
    ret->code = GRAYLING_UNAVAILABLE;
    if (!t->shadow)
        gr_stats_code(&t->dispatch->stats->seg->rows[by->slot][t->row], GRAYLING_UNAVAILABLE,
                      a->call.depth > 0);
    say(a->call.message, "the module's process is being started anew, try again");
    return true;
}

// Lets one version answer. false: it faulted, its breaker refused, or it has no process.
static inline bool answer_by(struct attempt *a, struct gr_instance *by, uint16_t method,
                             struct gr_served *ret)
{
    a->call.instance = by;
    a->call.passed = 0;
    a->request.method = method;
    a->call.probe = a->refused = false;
    ret->by = by;
    if (__builtin_expect(by->away != NULL, 0) && refuse_absent(a, by, ret))
        return false;
    if (__builtin_expect(!gr_breakers_closed(by), 0) && refuse_broken(a, by, ret))
        return false;
    ret->ran = true;
    if (__builtin_expect(run(&a->call, a->start_nsec, &ret->code), 1))
        return true;
    say(a->call.message, "the module failed while it answered this request");
    return false;
}

// The same for the version on trial, whose bad answers have a budget. `kept`: a place in it is kept
// for this call.
static __attribute__((noinline)) bool answer_on_trial(struct attempt *a, struct gr_instance *by,
                                                      uint16_t method, bool kept,
                                                      struct gr_served *ret)
{
    struct gr_harm *harm = a->route->record->member.harm;
    const struct gr_dispatch_options *o = &a->call.thread->dispatch->options;
    bool sound = answer_by(a, by, method, ret);
    if (a->call.thread->shadow)
        return sound;
    if (!gr_code_is_server_error(ret->code)) {
        if (kept)
            gr_harm_give_back(harm);
    } else if (gr_harm_count(harm, kept) && o->on_harm) {
        o->on_harm(o->userdata, harm);
    }
    return sound;
}

void gr_count_rescue(const struct gr_thread *t, const struct gr_instance *failed)
{
    gr_stats_raise(&t->dispatch->stats->seg->rows[failed->slot][t->row].rescued, 1);
}

static bool answer_again(struct attempt *a, const struct gr_instance *failed,
                         struct gr_instance *by, uint16_t method, struct gr_served *ret)
{
    say(a->call.message, "");
    a->start_nsec = gr_now_nsec();
    ret->candidate = false;
    ret->rescued = answer_by(a, by, method, ret);
    if (ret->rescued)
        gr_count_rescue(a->call.thread, failed);
    return ret->rescued;
}

static bool can_rescue(const struct attempt *a)
{
    return (a->route->idempotent || a->refused) && a->route->rescue_method != GR_METHOD_NONE &&
           !a->call.thread->shadow;
}

// false: it failed too, or there is none.
static bool rescue_stable(struct attempt *a, struct gr_served *ret)
{
    const struct gr_member *m = &a->route->record->member;
    return can_rescue(a) && a->route->record->batch == GR_BATCH_NONE &&
           answer_again(a, m->stable, m->rescue, a->route->rescue_method, ret);
}

// Apart from the way of a call without a rollout, which it must not slow down. false: whoever
// answered last faulted.
static __attribute__((noinline)) bool answer_candidate(struct attempt *a, bool kept,
                                                       struct gr_served *ret)
{
    struct gr_thread *t = a->call.thread;
    const struct gr_route *route = a->route;
    const struct gr_member *m = &route->record->member;
    bool alone = gr_cohort_use(t, route->record);
    bool sound = m->harm ? answer_on_trial(a, m->candidate, route->candidate_method, kept, ret)
                         : answer_by(a, m->candidate, route->candidate_method, ret);
    if (sound)
        return true;
    if (t->shadow)
        return false; // nobody waits for a shadow's answer
    if (!alone || route->method == GR_METHOD_NONE ||
        (!a->refused && !gr_route_both_idempotent(route))) {
        t->broken = m->candidate; // maybe the request as a whole can be answered again
        t->broken_batch = GR_BATCH_NONE;
        return false;
    }
    gr_cohort_leave(t, route->record);
    return answer_again(a, m->candidate, m->stable, route->method, ret) || rescue_stable(a, ret);
}

// In its bake the version in force is the one on trial.
static inline bool answer_in_force(struct attempt *a, struct gr_served *ret)
{
    const struct gr_member *m = &a->route->record->member;
    if (__builtin_expect(m->harm != NULL, 0) && !m->gray)
        return answer_on_trial(a, m->stable, a->route->method, false, ret);
    return answer_by(a, m->stable, a->route->method, ret);
}

// The version before a batch, for a request that sees all of the batch as it was.
static bool answer_before(struct attempt *a, struct gr_served *ret)
{
    const struct gr_route *route = a->route;
    if (route->rescue_method != GR_METHOD_NONE)
        return answer_by(a, route->record->member.rescue, route->rescue_method, ret);
    ret->by = NULL;
    ret->code = GRAYLING_UNIMPLEMENTED;
    say(a->call.message, "the version before has no such method");
    return true;
}

// A version that came with others and bakes: the first one of them that runs in a request may be
// answered for by the version before, and then the request sees the others' versions before too.
// Later that would mix what was and what is.
static __attribute__((noinline)) bool answer_batch(struct attempt *a, struct gr_served *ret)
{
    struct gr_thread *t = a->call.thread;
    const struct gr_record *record = a->route->record;
    uint8_t *view = &t->batches[record->batch], before = *view;
    if (before & GR_BATCH_BACK)
        return answer_before(a, ret);
    *view |= GR_BATCH_USED;
    if (answer_in_force(a, ret))
        return true;
    if (t->shadow || record->stateful)
        return false;
    if ((before & GR_BATCH_USED) || !can_rescue(a)) {
        t->broken = record->member.stable;
        t->broken_batch = record->batch;
        return false;
    }
    *view = GR_BATCH_BACK;
    return answer_again(a, record->member.stable, record->member.rescue, a->route->rescue_method,
                        ret);
}

static inline bool answer_stable(struct attempt *a, struct gr_served *ret)
{
    if (__builtin_expect(a->route->record->batch != GR_BATCH_NONE, 0))
        return answer_batch(a, ret);
    return answer_in_force(a, ret) || rescue_stable(a, ret);
}

// A request of the candidate's cohort that finds no place in the harm budget is stable's, unless it
// has met the rollout's candidates before: then it keeps its view, and what it breaks is counted.
// Without a stable version nobody is refused for what others might break.
static bool keep_place(struct gr_thread *t, const struct gr_route *route, bool *ret_kept)
{
    const struct gr_member *m = &route->record->member;
    if (!m->harm || !m->stable || t->shadow)
        return true;
    *ret_kept = gr_harm_take(m->harm);
    if (*ret_kept || !gr_cohort_is_fresh(t, route->record))
        return true;
    gr_cohort_leave(t, route->record);
    return false;
}

bool gr_sees_candidate(struct gr_thread *t, const struct gr_route *route)
{
    return (gr_cohort(t, route->record) & GR_COHORT_CANDIDATE) &&
           route->candidate_method != GR_METHOD_NONE &&
           !atomic_load_explicit(&route->record->member.candidate->unsettled, memory_order_acquire);
}

static void answer_nobody(const struct gr_member *m, char *message, struct gr_served *ret)
{
    *ret = (struct gr_served){0};
    ret->code = m->stable ? GRAYLING_UNIMPLEMENTED : GRAYLING_UNAVAILABLE;
    say(message, m->stable ? "the stable version of the module has no such method"
                           : "the module has no stable version yet");
}

// What a shadow does must leave no trace.
static void refuse_shadow(char *message, struct gr_served *ret)
{
    *ret = (struct gr_served){.code = GRAYLING_UNAVAILABLE};
    say(message, "shadow: the method is not declared idempotent");
}

void gr_serve(struct gr_thread *t, const struct gr_route *route,
              const struct grayling_request *request, unsigned depth, char *message,
              struct gr_served *ret)
{
    const struct gr_member *member = &route->record->member;
    uint64_t start = gr_now_nsec();
    bool candidate = false, kept = false;
    if (__builtin_expect(member->gray != NULL, 0)) {
        candidate = gr_sees_candidate(t, route) && keep_place(t, route, &kept);
        if (!candidate && route->method == GR_METHOD_NONE) {
            answer_nobody(member, message, ret);
            return;
        }
    }
    if (__builtin_expect(t->shadow, 0) &&
        !(candidate ? route->candidate_idempotent : route->idempotent)) {
        refuse_shadow(message, ret);
        return;
    }
    *ret = (struct gr_served){.by = candidate ? member->candidate : member->stable,
                              .candidate = candidate};
    if (depth == 0)
        gr_stats_enter(t->inside, request->request_id, start / 1000);
    struct attempt a = {
        .call = {.thread = t, .record = route->record, .depth = depth, .message = message},
        .request = *request,
        .route = route,
        .start_nsec = start,
    };
    uint64_t declared = candidate ? route->candidate_deadline_usec : route->deadline_usec;
    a.call.request = &a.request;
    a.call.limit_nsec = limit_nsec(&t->dispatch->options, declared);
    a.request.struct_size = sizeof(a.request);
    a.request.deadline_usec = earlier_deadline(request->deadline_usec, declared, start / 1000);
    // Who asks through a ring has judged that already, and may ask late all the same.
    if (a.request.deadline_usec != 0 && start / 1000 >= a.request.deadline_usec &&
        !(depth == 0 && t->room)) {
        say(message, "the deadline had passed before the call began");
        if (kept)
            gr_harm_give_back(member->harm);
        ret->code = GRAYLING_DEADLINE_EXCEEDED;
        return;
    }
    if (__builtin_expect(candidate, 0))
        ret->failed = !answer_candidate(&a, kept, ret);
    else
        ret->failed = !answer_stable(&a, ret);
    if (ret->code != GRAYLING_OK) {
        gr_answer_free(t->dispatch, a.call.answer);
        a.call.answer = NULL;
    }
    ret->answer = a.call.answer;
    ret->passed = a.call.passed != 0;
}
