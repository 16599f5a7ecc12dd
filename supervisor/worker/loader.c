// Two queues of messages, each with a thread, and one function for each kind of job. Exchanging the
// table has a thread of its own: taking a candidate out must not wait until a load has ended, or
// until the last call has left a version that is being unloaded.
#include "worker/loader.h"
#include "base/limits.h"
#include "worker/tables.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define JOBS_MAX (2 * GR_INSTANCES_MAX) // waiting; the supervisor asks for one thing after another

struct job {
    struct job *next;
    cJSON *message;
    int fd;
    cJSON *(*run)(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e);
};
enum lane_name { LANE_SLOTS, LANE_TABLE, LANES };
struct lane {
    struct gr_loader *loader;
    pthread_t thread;
    pthread_cond_t posted;
    struct job *first, **end;
    bool started;
};
struct gr_loader {
    struct gr_loader_options o;
    pthread_mutex_t lock;
    struct lane lanes[LANES];
    unsigned n; // waiting and running
    bool stopping;
};

// --- the jobs: an answer to send, or NULL with *e filled (out of memory: *e untouched)
// ------------------------------------------------------------------------------------------------

// Where its contract says.
static int load(struct gr_loader *l, const cJSON *message, const struct gr_load_order *o,
                struct gr_instance **ret, struct gr_error *e)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *contract = NULL;
    int r = gr_load_contract(&o->load, &contract, e);
    if (r < 0)
        return r;
    if (!contract->isolation_process)
        return gr_instance_load(l->o.dispatch, &o->load, ret, e);
    r = gr_nursery_load(l->o.nursery, message, o, contract, ret, e);
    if (r == 0)
        contract = NULL; // the instance's
    return r;
}

static void name_item(struct gr_inventory_item *item, const struct gr_load_order *o)
{
    snprintf(item->module, sizeof item->module, "%s", o->load.module);
    snprintf(item->version, sizeof item->version, "%s", o->load.version);
    snprintf(item->digest, sizeof item->digest, "%s", o->digest);
}

// A refusal that leaves something mapped (a hook faulted) says so: the supervisor must not give its
// slot and its file to another load.
static cJSON *refuse_load(struct gr_loader *l, uint64_t pinned_before, uint64_t id,
                          const struct gr_error *e)
{
    cJSON *refusal = gr_wire_failure(id, e);
    if (refusal)
        cJSON_AddBoolToObject(refusal, "pinned",
                              gr_dispatch_pinned(l->o.dispatch) != pinned_before);
    return refusal;
}

static cJSON *run_load(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    GR_CLEANUP(gr_load_order_done) struct gr_load_order o;
    struct gr_inventory_item item = {0};
    if (gr_load_order_read(j->message, &o, e) < 0)
        return NULL;
    o.load.fd = j->fd;
    unsigned slot = o.load.slot;
    if (gr_inventory_find(l->o.inventory, (int)slot)) {
        gr_error_set(e, -EEXIST, GR_REASON_INTERNAL,
                     "slot %u: asked to load %s %s into it, but it holds another version; unload "
                     "that one first",
                     slot, o.load.module, o.load.version);
        return NULL;
    }
    struct gr_mono begin = gr_mono_now();
    uint64_t pinned = gr_dispatch_pinned(l->o.dispatch);
    if (load(l, j->message, &o, &item.instance, e) < 0)
        return refuse_load(l, pinned, id, e);
    name_item(&item, &o);
    gr_inventory_put(l->o.inventory, slot, &item);
    cJSON *answer = gr_wire_answer("loaded", id);
    cJSON_AddNumberToObject(answer, "instance", slot);
    gr_json_add_uint(answer, "load_usec", gr_mono_now().usec - begin.usec);
    return answer;
}

static cJSON *run_swap(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    return gr_tables_swap(l->o.dispatch, l->o.inventory, j->message, id, e);
}

static cJSON *run_route(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    return gr_tables_route(l->o.dispatch, l->o.inventory, j->message, id, e);
}

// Out of the inventory first: an exchange on the other thread cannot name it any more. What one
// named before is in force by now, and is refused.
static struct gr_instance *take_slot(struct gr_inventory *v, unsigned slot,
                                     struct gr_inventory_item *ret_item)
{
    gr_inventory_hold(v);
    gr_inventory_take(v, slot, ret_item);
    gr_inventory_release(v);
    return ret_item->instance;
}

static cJSON *run_unload(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    uint64_t slot;
    struct gr_inventory_item item;
    if (gr_json_uint(j->message, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot,
                     e) < 0)
        return NULL;
    int r = take_slot(l->o.inventory, (unsigned)slot, &item)
                ? gr_instance_unload(l->o.dispatch, item.instance, GR_UNLOAD_USEC_MAX)
                : -ENOENT;
    if (r < 0 && r != -EBUSY) {
        if (item.instance)
            gr_inventory_put(l->o.inventory, (unsigned)slot, &item);
        gr_error_set(e, r, GR_REASON_INTERNAL,
                     "slot %u: asked to unload, but %s; expected a version that no table names",
                     (unsigned)slot,
                     r == -ENOENT   ? "it is empty"
                     : r == -EINVAL ? "the table in force names it"
                                    : strerror(-r));
        return NULL;
    }
    cJSON *answer = gr_wire_answer("unloaded", id);
    gr_json_add_uint(answer, "instance", slot);
    cJSON_AddBoolToObject(answer, "pinned", r == -EBUSY);
    return answer;
}

static int read_modules(const cJSON *m, struct gr_freeze *freeze, struct gr_error *e)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, gr_json_get(m, "modules"))
    {
        if (!cJSON_IsString(entry) || freeze->n == GR_COUNT(freeze->modules) ||
            gr_name_parse(entry->valuestring, strlen(entry->valuestring),
                          &freeze->modules[freeze->n++]) < 0)
            return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                                "modules: expected at most %d names of modules", GR_MODULES_MAX);
    }
    return 0;
}

static cJSON *run_freeze(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    GR_AUTO_FREE struct gr_freeze *freeze = calloc(1, sizeof *freeze);
    uint64_t usec;
    if (!freeze || read_modules(j->message, freeze, e) < 0 ||
        gr_json_uint(j->message, "", "for_usec", GR_JSON_REQUIRED, 1, GR_FREEZE_FOR_USEC_MAX, &usec,
                     e) < 0)
        return NULL;
    freeze->until.usec = gr_mono_now().usec + usec;
    if (gr_freezes_begin(l->o.freezes, gr_steal(freeze), e) < 0)
        return NULL;
    eventfd_write(l->o.changed_fd, 1);
    return gr_wire_answer("frozen", id);
}

static cJSON *run_thaw(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    GR_AUTO_FREE struct gr_freeze *which = calloc(1, sizeof *which);
    if (!which || read_modules(j->message, which, e) < 0)
        return NULL;
    gr_freezes_end(l->o.freezes, which);
    return gr_wire_answer("thawed", id);
}

// --- the queue
// ------------------------------------------------------------------------------------------------

static const struct {
    const char *type;
    enum lane_name lane;
    cJSON *(*run)(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e);
} kinds[] = {
    {"load", LANE_SLOTS, run_load},     {"unload", LANE_SLOTS, run_unload},
    {"swap", LANE_TABLE, run_swap},     {"route", LANE_TABLE, run_route},
    {"freeze", LANE_TABLE, run_freeze}, {"thaw", LANE_TABLE, run_thaw},
};

static void free_job(struct job *j)
{
    cJSON_Delete(j->message);
    gr_closep(&j->fd);
    free(j);
}

static void perform(struct gr_loader *l, struct job *j)
{
    uint64_t id = 0;
    struct gr_error e = {.reason = GR_REASON_INTERNAL,
                         .retryable = true,
                         .message = "the worker's memory ran out; try again"};
    cJSON *answer = NULL;
    if (gr_json_uint(j->message, "", "id", GR_JSON_REQUIRED, 0, UINT32_MAX, &id, &e) == 0)
        answer = j->run(l, j, id, &e);
    gr_wire_send(l->o.wire, answer ? answer : gr_wire_failure(id, &e));
}

static void *run(void *userdata)
{
    struct lane *lane = userdata;
    struct gr_loader *l = lane->loader;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!lane->first && !l->stopping)
            pthread_cond_wait(&lane->posted, &l->lock);
        if (l->stopping)
            break;
        struct job *j = lane->first;
        lane->first = j->next;
        if (!lane->first)
            lane->end = &lane->first;
        pthread_mutex_unlock(&l->lock);
        perform(l, j);
        free_job(j);
        pthread_mutex_lock(&l->lock);
        l->n--;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

int gr_loader_start(const struct gr_loader_options *o, struct gr_loader **ret)
{
    struct gr_loader *l = calloc(1, sizeof *l);
    int r = 0;
    if (!l)
        return -ENOMEM;
    l->o = *o;
    pthread_mutex_init(&l->lock, NULL);
    for (size_t i = 0; i < LANES && r == 0; i++) {
        struct lane *lane = &l->lanes[i];
        lane->loader = l;
        lane->end = &lane->first;
        pthread_cond_init(&lane->posted, NULL);
        r = -pthread_create(&lane->thread, NULL, run, lane);
        lane->started = r == 0;
    }
    if (r < 0) {
        gr_loader_stop(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void enqueue(struct gr_loader *l, struct lane *lane, struct job *j)
{
    pthread_mutex_lock(&l->lock);
    bool full = l->n == JOBS_MAX;
    if (!full) {
        *lane->end = j;
        lane->end = &j->next;
        l->n++;
        pthread_cond_signal(&lane->posted);
    }
    pthread_mutex_unlock(&l->lock);
    if (full)
        free_job(j); // its asker times out; nobody sane has a thousand jobs waiting
}

bool gr_loader_post(struct gr_loader *l, const char *type, cJSON *message, int fd)
{
    for (size_t i = 0; i < GR_COUNT(kinds); i++) {
        if (strcmp(kinds[i].type, type) != 0)
            continue;
        struct job *j = malloc(sizeof *j);
        if (!j)
            return false;
        *j = (struct job){.message = message, .fd = fd, .run = kinds[i].run};
        enqueue(l, &l->lanes[kinds[i].lane], j);
        return true;
    }
    return false;
}

bool gr_loader_idle(struct gr_loader *l)
{
    pthread_mutex_lock(&l->lock);
    bool idle = l->n == 0;
    pthread_mutex_unlock(&l->lock);
    return idle;
}

static void stop_lane(struct lane *lane)
{
    if (lane->started)
        pthread_join(lane->thread, NULL);
    while (lane->first) {
        struct job *j = lane->first;
        lane->first = j->next;
        free_job(j);
    }
}

void gr_loader_stop(struct gr_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    for (size_t i = 0; i < LANES; i++)
        pthread_cond_signal(&l->lanes[i].posted);
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < LANES; i++)
        stop_lane(&l->lanes[i]);
    free(l);
}
