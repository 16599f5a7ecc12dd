// The functions that a module gets from its host. Each is entered from module code with the guard
// armed; what runs here is the host's, so a fault here must not be taken for the module's: only a
// program counter in module text is.
#include "dispatch/internal.h"
#include <stdio.h>
#include <string.h>

static struct gr_instance *instance_of(const struct grayling_host *host)
{
    return host->opaque;
}

static void host_log(const struct grayling_host *host, int32_t level, const char *message)
{
    const struct gr_instance *i = instance_of(host);
    const struct gr_dispatch_options *o = &i->dispatch->options;
    if (o->on_log)
        o->on_log(o->userdata, i->slot, level, message);
}

// --- memory ------------------------------------------------------------------------------------

struct block { // keeps the size, so that free() can uncount it
    _Alignas(max_align_t) uint64_t size;
    char bytes[];
};

static void *host_alloc(const struct grayling_host *host, uint64_t size)
{
    if (size > PTRDIFF_MAX - sizeof(struct block))
        return NULL;
    struct block *b = malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->size = size;
    atomic_fetch_add_explicit(&instance_of(host)->allocated_bytes, size, memory_order_relaxed);
    return b->bytes;
}

static void host_free(const struct grayling_host *host, void *memory)
{
    if (!memory)
        return;
    struct block *b = (struct block *)((char *)memory - offsetof(struct block, bytes));
    atomic_fetch_sub_explicit(&instance_of(host)->allocated_bytes, b->size, memory_order_relaxed);
    free(b);
}

static int32_t host_memory_new(const struct grayling_host *host, uint64_t size,
                               struct grayling_memory *ret)
{
    struct gr_memory *m;
    struct grayling_bytes bytes;
    int fd;
    if (!GRAYLING_HAS(ret, size))
        return GRAYLING_INVALID_ARGUMENT;
    if (gr_memory_new(instance_of(host), size, &m) < 0)
        return GRAYLING_RESOURCE_EXHAUSTED;
    gr_memory_describe(m, &bytes, &fd);
    ret->fd = fd;
    ret->data = (void *)bytes.data;
    ret->size = bytes.size;
    return GRAYLING_OK;
}

static void host_memory_free(const struct grayling_host *host, void *data)
{
    gr_memory_let_go(instance_of(host), data);
}

// --- answering ---------------------------------------------------------------------------------

static int32_t may_answer(const struct grayling_call *call, struct grayling_bytes payload)
{
    if (call->answer)
        return GRAYLING_FAILED_PRECONDITION;
    return payload.size > GR_RESPONSE_BYTES_MAX ? GRAYLING_RESOURCE_EXHAUSTED : GRAYLING_OK;
}

static int32_t host_respond(struct grayling_call *call, struct grayling_bytes payload)
{
    int32_t code = may_answer(call, payload);
    if (code != GRAYLING_OK)
        return code;
    call->answer = call->thread->room && call->depth == 0
                       ? gr_answer_place(payload, call->thread->room)
                       : gr_answer_copy(payload);
    return call->answer ? GRAYLING_OK : GRAYLING_RESOURCE_EXHAUSTED;
}

static int32_t host_respond_take(struct grayling_call *call, struct grayling_bytes payload,
                                 grayling_release_fn release, void *owner)
{
    if (call->thread->room && call->depth == 0) {
        int32_t placed = host_respond(call, payload);
        if (placed == GRAYLING_OK && release)
            release(owner, payload.data, payload.size);
        return placed;
    }
    int32_t code = may_answer(call, payload);
    struct gr_held *held = &call->instance->held[call->thread->index];
    if (code == GRAYLING_OK && !(call->answer = gr_answer_take(payload, release, owner, held)))
        code = GRAYLING_RESOURCE_EXHAUSTED;
    return code;
}

static void host_fail(struct grayling_call *call, const char *message)
{
    snprintf(call->message, GR_SENTENCE_BYTES, "%s", message);
    call->passed = 0;
}

static uint64_t host_time_left_usec(struct grayling_call *call)
{
    if (call->request->deadline_usec == 0)
        return UINT64_MAX;
    uint64_t now = gr_mono_now().usec;
    return call->request->deadline_usec > now ? call->request->deadline_usec - now : 0;
}

static void host_count(const struct grayling_host *host, const char *name, uint64_t add)
{
    const struct gr_instance *i = instance_of(host);
    gr_stats_count(i->dispatch->stats, i->slot, name, add);
}

// --- module to module --------------------------------------------------------------------------

static const struct gr_contract_need *find_need(const struct gr_contract_need *needs, size_t n,
                                                const char *interface_name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(needs[i].interface, interface_name) == 0)
            return &needs[i];
    return NULL;
}

// *ret_need NULL: its own interface.
static bool is_declared(const struct grayling_call *call, const char *interface_name,
                        const struct gr_contract_need **ret_need)
{
    const struct gr_contract *c = call->instance->contract;
    *ret_need = find_need(c->requires, c->n_requires, interface_name);
    if (!*ret_need)
        *ret_need = find_need(c->optional, c->n_optional, interface_name);
    for (size_t i = 0; i < c->n_provides && !*ret_need; i++)
        if (strcmp(c->provides[i].name, interface_name) == 0)
            return true;
    return *ret_need != NULL;
}

// Does the version that would answer provide the interface in one that the caller's range allows?
static bool fits(const struct grayling_call *call, const struct gr_route *route,
                 const struct gr_contract_need *need)
{
    const struct gr_thread *t = call->thread;
    const struct gr_record *r = route->record;
    const struct gr_version *v = route->version;
    if (__builtin_expect(r->member.gray && gr_sees_candidate(call->thread, route), 0))
        v = route->candidate_version;
    else if (__builtin_expect(r->batch != GR_BATCH_NONE && (t->batches[r->batch] & GR_BATCH_BACK),
                              0))
        v = route->rescue_version;
    return !need || !v || gr_range_matches(&need->range, v);
}

// Why a call did not end well, for whoever called the caller, unless that one says something of its
// own: it is theirs only if the caller ends with the same code.
static int32_t pass_on(struct grayling_call *call, int32_t code, const char *why)
{
    if (why[0] && (call->passed != 0 || !call->message[0])) {
        snprintf(call->message, GR_SENTENCE_BYTES, "%s", why);
        call->passed = code;
    }
    return code;
}

// The same of a call that reached nobody.
static int32_t pass_on_refusal(struct grayling_call *call, int32_t code, const char *interface_name,
                               const char *method_name, const char *why)
{
    char all[GR_SENTENCE_BYTES];
    snprintf(all, sizeof(all), "%.127s/%.63s was not called: %s", interface_name, method_name, why);
    return pass_on(call, code, all);
}

static int32_t call_route(struct grayling_call *call, const struct gr_route *route,
                          struct grayling_bytes payload, struct grayling_bytes *ret)
{
    struct grayling_request request = *call->request;
    request.interface_name = route->interface_name;
    request.method_name = route->method_name;
    request.payload = payload;
    struct gr_served served;
    char why[GR_SENTENCE_BYTES];
    why[0] = 0;
    gr_serve(call->thread, route, &request, call->depth + 1, why, &served);
    if (served.answer) {
        served.answer->next = call->kept;
        call->kept = served.answer;
        *ret = (struct grayling_bytes){served.answer->data, served.answer->size};
    }
    if (__builtin_expect(served.code == GRAYLING_OK, 1))
        return served.code;
    if (served.passed || !why[0])
        return pass_on(call, served.code, why);
    char all[GR_SENTENCE_BYTES + 196];
    snprintf(all, sizeof(all), "%.127s/%.63s: %s", route->interface_name, route->method_name, why);
    return pass_on(call, served.code, all);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
static const char too_deep[] = "the request is " TEXT(
    GR_CALL_DEPTH_MAX) " modules deep already, "
                       "which is the most; one of them has to call less far down";

int32_t gr_host_call(struct grayling_call *call, const char *interface_name,
                     const char *method_name, struct grayling_bytes payload,
                     struct grayling_bytes *ret)
{
    *ret = (struct grayling_bytes){0};
    if (call->depth + 1 >= GR_CALL_DEPTH_MAX)
        return pass_on_refusal(call, GRAYLING_RESOURCE_EXHAUSTED, interface_name, method_name,
                               too_deep);
    // Undeclared needs are in nobody's reach: answering them would let a call run through a freeze,
    // and even the names of what is out of reach may be gone with its version.
    const struct gr_contract_need *need;
    if (!is_declared(call, interface_name, &need))
        return pass_on_refusal(call, GRAYLING_UNIMPLEMENTED, interface_name, method_name,
                               "the caller's contract does not name the interface");
    const struct gr_route *route =
        gr_table_find(call->record->table, gr_route_hash(interface_name, method_name),
                      interface_name, method_name);
    if (!route || !fits(call, route, need))
        return pass_on_refusal(call, GRAYLING_UNIMPLEMENTED, interface_name, method_name,
                               "no module here provides it in a version that the caller can use");
    // The host's own code and a callee's release functions run disarmed: a fault in them is not the
    // caller's.
    struct gr_guard_self *guard = call->thread->guard;
    struct gr_guard_frame *armed = guard->armed;
    guard->armed = NULL;
    int32_t code = call_route(call, route, payload, ret);
    guard->armed = armed;
    return code;
}

static int32_t host_call(struct grayling_call *call, const char *interface_name,
                         const char *method_name, struct grayling_bytes payload,
                         struct grayling_bytes *ret)
{
    return call->thread->ring ? gr_afar_call(call, interface_name, method_name, payload, ret)
                              : gr_host_call(call, interface_name, method_name, payload, ret);
}

void gr_host_init(struct gr_instance *i)
{
    i->host = (struct grayling_host){
        .struct_size = sizeof(i->host),
        .abi_minor = GRAYLING_ABI_MINOR,
        .opaque = i,
        .log = host_log,
        .alloc = host_alloc,
        .free = host_free,
        .respond = host_respond,
        .respond_take = host_respond_take,
        .fail = host_fail,
        .call = host_call,
        .time_left_usec = host_time_left_usec,
        .count = host_count,
        .memory_new = host_memory_new,
        .memory_free = host_memory_free,
    };
}
