// A queue of messages and one function for each kind of job.
#include "worker/loader.h"
#include "base/limits.h"
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
struct gr_loader {
    struct gr_loader_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct job *first, **end;
    unsigned n; // waiting and running
    bool stopping;
};

// --- the jobs: an answer to send, or NULL with *e filled (out of memory: *e untouched)
// ------------------------------------------------------------------------------------------------

static int read_load(const cJSON *m, struct gr_load *load, struct gr_inventory_item *item,
                     struct gr_error *e)
{
    const char *digest = "";
    uint64_t slot = 0;
    int r = gr_json_uint(m, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot, e);
    if (r == 0)
        r = gr_json_string(m, "", "module", GR_JSON_REQUIRED, &load->module, e);
    if (r == 0)
        r = gr_json_string(m, "", "version", GR_JSON_REQUIRED, &load->version, e);
    if (r == 0)
        r = gr_json_string(m, "", "digest", GR_JSON_OPTIONAL, &digest, e);
    if (r == 0)
        r = gr_json_string(m, "", "path", GR_JSON_REQUIRED, &load->path, e);
    if (r == 0)
        r = gr_json_bool(m, "", "sealed", GR_JSON_OPTIONAL, &load->sealed, e);
    if (r == 0)
        r = gr_json_string(m, "", "build_id", GR_JSON_OPTIONAL, &load->build_id, e);
    if (r < 0)
        return r;
    if (load->build_id && !*load->build_id)
        load->build_id = NULL;
    load->slot = (unsigned)slot;
    snprintf(item->module, sizeof item->module, "%s", load->module);
    snprintf(item->version, sizeof item->version, "%s", load->version);
    snprintf(item->digest, sizeof item->digest, "%s", digest);
    return 0;
}

// Loads into *ret. A refusal that leaves something mapped (a hook faulted) says so: the supervisor
// must not give its slot and its file to another load.
static cJSON *load(struct gr_loader *l, const struct gr_load *load, uint64_t id,
                   struct gr_instance **ret, struct gr_error *e)
{
    uint64_t pinned = gr_dispatch_pinned(l->o.dispatch);
    if (gr_instance_load(l->o.dispatch, load, ret, e) == 0)
        return gr_wire_answer("loaded", id);
    cJSON *refusal = gr_wire_failure(id, e);
    if (refusal)
        cJSON_AddBoolToObject(refusal, "pinned", gr_dispatch_pinned(l->o.dispatch) != pinned);
    return refusal;
}

static cJSON *run_load(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    struct gr_load what = {.fd = j->fd};
    struct gr_inventory_item item = {0};
    if (read_load(j->message, &what, &item, e) < 0)
        return NULL;
    if (gr_inventory_find(l->o.inventory, (int)what.slot)) {
        gr_error_set(e, -EEXIST, GR_REASON_INTERNAL,
                     "slot %u: asked to load %s %s into it, but it holds another version; unload "
                     "that one first",
                     what.slot, what.module, what.version);
        return NULL;
    }
    const cJSON *config = gr_json_get(j->message, "config");
    GR_AUTO_FREE char *text = cJSON_IsObject(config) ? gr_json_format(config) : NULL;
    what.config = text;
    struct gr_mono begin = gr_mono_now();
    cJSON *answer = load(l, &what, id, &item.instance, e);
    if (!item.instance)
        return answer;
    gr_inventory_put(l->o.inventory, what.slot, &item);
    cJSON_AddNumberToObject(answer, "instance", what.slot);
    gr_json_add_uint(answer, "load_usec", gr_mono_now().usec - begin.usec);
    return answer;
}

struct swap {
    uint64_t table, budget_usec;
    struct gr_change changes[GR_MODULES_MAX];
    struct gr_inventory_route routes[GR_MODULES_MAX];
    size_t n;
};

static int find_slot(struct gr_loader *l, const cJSON *entry, const char *field, int *ret_slot,
                     struct gr_instance **ret, struct gr_error *e)
{
    double slot = -1;
    int r =
        gr_json_double(entry, "set[]", field, GR_JSON_OPTIONAL, -1, GR_INSTANCES_MAX - 1, &slot, e);
    if (r < 0)
        return r;
    *ret_slot = (int)slot;
    *ret = gr_inventory_find(l->o.inventory, *ret_slot);
    if (*ret_slot >= 0 && !*ret)
        return gr_error_set(e, -ENOENT, GR_REASON_INTERNAL,
                            "set[].%s: slot %d is empty; expected a loaded version, load it first",
                            field, *ret_slot);
    return 0;
}

static int add_change(struct swap *s, const char *module, struct gr_change **ret_change,
                      struct gr_inventory_route **ret_route, struct gr_error *e)
{
    if (s->n == GR_COUNT(s->changes))
        return gr_error_set(e, -E2BIG, GR_REASON_INTERNAL,
                            "one swap names more than %d modules, which is the most",
                            GR_MODULES_MAX);
    *ret_change = &s->changes[s->n];
    *ret_route = &s->routes[s->n++];
    **ret_change = (struct gr_change){.module = module};
    **ret_route = (struct gr_inventory_route){.stable = -1, .rescue = -1};
    snprintf((*ret_route)->module, sizeof(*ret_route)->module, "%s", module);
    return 0;
}

static int add_set(struct gr_loader *l, struct swap *s, const cJSON *entry, struct gr_error *e)
{
    struct gr_change *c;
    struct gr_inventory_route *route;
    const char *module;
    int r = gr_json_string(entry, "set[]", "module", GR_JSON_REQUIRED, &module, e);
    if (r == 0)
        r = add_change(s, module, &c, &route, e);
    if (r == 0)
        r = find_slot(l, entry, "stable", &route->stable, &c->stable, e);
    if (r == 0)
        r = find_slot(l, entry, "rescue", &route->rescue, &c->rescue, e);
    if (r == 0 && !c->stable)
        r = gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                         "set[].stable: required for %s; to take the module away name it in remove",
                         module);
    return r;
}

static int read_swap(struct gr_loader *l, const cJSON *m, struct swap *s, struct gr_error *e)
{
    int r = gr_json_uint(m, "", "table", GR_JSON_REQUIRED, 0, INT64_MAX >> 10, &s->table, e);
    if (r == 0)
        r = gr_json_uint(m, "", "budget_usec", GR_JSON_REQUIRED, 0, GR_FREEZE_BUDGET_MAX_USEC,
                         &s->budget_usec, e);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, gr_json_get(m, "set"))
    {
        if (r == 0)
            r = add_set(l, s, entry, e);
    }
    cJSON_ArrayForEach(entry, gr_json_get(m, "remove"))
    {
        struct gr_change *c;
        struct gr_inventory_route *route;
        if (r == 0 && !cJSON_IsString(entry))
            r = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                             "remove[]: expected the names of modules");
        if (r == 0)
            r = add_change(s, entry->valuestring, &c, &route, e);
    }
    return r;
}

static cJSON *run_swap(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    GR_AUTO_FREE struct swap *s = calloc(1, sizeof *s);
    struct gr_swap_result result;
    if (!s || read_swap(l, j->message, s, e) < 0 ||
        gr_dispatch_swap(l->o.dispatch, s->changes, s->n, s->budget_usec, &result, e) < 0)
        return NULL;
    gr_inventory_route(l->o.inventory, s->table, s->routes, s->n);
    cJSON *answer = gr_wire_answer("swapped", id);
    gr_json_add_uint(answer, "table", s->table);
    gr_json_add_uint(answer, "freeze_usec", result.freeze_usec);
    cJSON_AddNumberToObject(answer, "parked", result.parked);
    return answer;
}

static cJSON *run_unload(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e)
{
    uint64_t slot;
    if (gr_json_uint(j->message, "", "instance", GR_JSON_REQUIRED, 0, GR_INSTANCES_MAX - 1, &slot,
                     e) < 0)
        return NULL;
    struct gr_instance *instance = gr_inventory_find(l->o.inventory, (int)slot);
    int r = instance ? gr_instance_unload(l->o.dispatch, instance, GR_UNLOAD_USEC_MAX) : -ENOENT;
    if (r < 0 && r != -EBUSY) {
        gr_error_set(e, r, GR_REASON_INTERNAL,
                     "slot %u: asked to unload, but %s; expected a version that no table names",
                     (unsigned)slot, r == -ENOENT ? "it is empty" : strerror(-r));
        return NULL;
    }
    gr_inventory_drop(l->o.inventory, (unsigned)slot);
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
    cJSON *(*run)(struct gr_loader *l, struct job *j, uint64_t id, struct gr_error *e);
} kinds[] = {
    {"load", run_load},     {"swap", run_swap}, {"unload", run_unload},
    {"freeze", run_freeze}, {"thaw", run_thaw},
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
    struct gr_loader *l = userdata;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->first && !l->stopping)
            pthread_cond_wait(&l->posted, &l->lock);
        if (l->stopping)
            break;
        struct job *j = l->first;
        l->first = j->next;
        if (!l->first)
            l->end = &l->first;
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
    if (!l)
        return -ENOMEM;
    l->o = *o;
    l->end = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->posted, NULL);
    int r = -pthread_create(&l->thread, NULL, run, l);
    if (r < 0) {
        free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void enqueue(struct gr_loader *l, struct job *j)
{
    pthread_mutex_lock(&l->lock);
    bool full = l->n == JOBS_MAX;
    if (!full) {
        *l->end = j;
        l->end = &j->next;
        l->n++;
        pthread_cond_signal(&l->posted);
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
        enqueue(l, j);
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

void gr_loader_stop(struct gr_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->posted);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    while (l->first) {
        struct job *j = l->first;
        l->first = j->next;
        free_job(j);
    }
    free(l);
}
