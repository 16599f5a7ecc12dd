// Decodes strictly: an order that names a slot that is empty, a rollout that it does not describe,
// or a field that nobody knows is refused with its path.
#include "worker/tables.h"
#include "worker/wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX (INT64_MAX >> 10) // of numbers that JSON carries without rounding

struct order {
    uint64_t table, budget_usec;
    struct gr_change changes[GR_MODULES_MAX];
    struct gr_inventory_route routes[GR_MODULES_MAX];
    size_t n;
    struct gr_gray *grays[GR_GRAYS_MAX];
    size_t n_grays;
};

static void free_order(struct order *o)
{
    for (size_t i = 0; o && i < o->n_grays; i++)
        gr_gray_unref(o->grays[i]);
    free(o);
}
static void free_orderp(struct order **o)
{
    free_order(*o);
}

// --- rollouts
// ------------------------------------------------------------------------------------------------

static struct gr_gray *gray_of(const struct order *o, int64_t rollout)
{
    for (size_t i = 0; i < o->n_grays; i++)
        if (gr_gray_rollout(o->grays[i]) == rollout)
            return o->grays[i];
    return NULL;
}

static int read_salt(const cJSON *entry, const char *path, uint64_t *ret, struct gr_error *e)
{
    const char *text = "";
    int r = gr_json_string(entry, path, "salt", GR_JSON_REQUIRED, &text, e);
    if (r < 0)
        return r;
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "%s.salt: expected 16 digits of lower-case hex, found \"%.32s\"", path,
                            text);
    *ret = strtoull(text, NULL, 16);
    return 0;
}

static int read_spec(const cJSON *entry, const char *path, struct gr_gray_spec *s,
                     struct gr_error *e)
{
    static const char *const fields[] = {"rollout", "salt",  "weight",        "shadow",
                                         "sticky",  "match", "shadow_ignore", NULL};
    uint64_t rollout, weight, shadow = 0;
    s->sticky = "";
    int r = gr_json_check_fields(entry, path, fields, e);
    if (r == 0)
        r = gr_json_uint(entry, path, "rollout", GR_JSON_REQUIRED, 0, EXACT_MAX, &rollout, e);
    if (r == 0)
        r = read_salt(entry, path, &s->salt, e);
    if (r == 0)
        r = gr_json_uint(entry, path, "weight", GR_JSON_REQUIRED, 0, GR_GRAY_BUCKETS, &weight, e);
    if (r == 0)
        r = gr_json_uint(entry, path, "shadow", GR_JSON_OPTIONAL, 0, GR_GRAY_BUCKETS, &shadow, e);
    if (r == 0)
        r = gr_json_string(entry, path, "sticky", GR_JSON_OPTIONAL, &s->sticky, e);
    if (r < 0)
        return r;
    s->rollout = (int64_t)rollout;
    s->weight_permyriad = (unsigned)weight;
    s->shadow_permyriad = (unsigned)shadow;
    return 0;
}

// As text, for whoever parses it; *ret is untouched when there is none.
static int read_list(const cJSON *entry, const char *path, const char *field, char **ret,
                     struct gr_error *e)
{
    const cJSON *list = gr_json_get(entry, field);
    if (!list || cJSON_IsNull(list))
        return 0;
    char *text = gr_json_format(list);
    if (!text)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "%s.%s: the worker's memory ran out; try again", path, field);
    *ret = text;
    return 0;
}

static int add_rollout(struct gr_dispatch *d, struct order *o, const cJSON *entry,
                       struct gr_error *e)
{
    char path[32];
    struct gr_gray_spec spec = {0};
    snprintf(path, sizeof path, "rollouts[%zu]", o->n_grays);
    if (o->n_grays == GR_COUNT(o->grays))
        return gr_error_set(e, -E2BIG, GR_REASON_INTERNAL,
                            "rollouts: expected at most %d, which is the most at once",
                            GR_GRAYS_MAX);
    int r = read_spec(entry, path, &spec, e);
    if (r < 0)
        return r;
    if (gray_of(o, spec.rollout))
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "%s.rollout: %lld is described twice; one rollout has one rule", path,
                            (long long)spec.rollout);
    GR_AUTO_FREE char *match = NULL, *ignore = NULL;
    r = read_list(entry, path, "match", &match, e);
    if (r == 0)
        r = read_list(entry, path, "shadow_ignore", &ignore, e);
    if (r < 0)
        return r;
    GR_AUTO_GRAY struct gr_gray *before = gr_dispatch_gray(d, spec.rollout);
    spec.match_json = match;
    spec.ignore_json = ignore;
    r = gr_gray_new(&spec, before, &o->grays[o->n_grays], e);
    if (r == 0)
        o->n_grays++;
    return r;
}

// --- modules
// ------------------------------------------------------------------------------------------------

static int find_slot(struct gr_inventory *v, const cJSON *entry, const char *path,
                     const char *field, int *ret_slot, struct gr_instance **ret, struct gr_error *e)
{
    double slot = -1;
    int r =
        gr_json_double(entry, path, field, GR_JSON_OPTIONAL, -1, GR_INSTANCES_MAX - 1, &slot, e);
    if (r < 0)
        return r;
    *ret_slot = (int)slot;
    *ret = gr_inventory_find(v, *ret_slot);
    if (*ret_slot >= 0 && !*ret)
        return gr_error_set(e, -ENOENT, GR_REASON_INTERNAL,
                            "%s.%s: slot %d is empty; expected a loaded version, load it first",
                            path, field, *ret_slot);
    return 0;
}

static int add_change(struct order *o, const char *module, struct gr_change **ret_change,
                      struct gr_inventory_route **ret_route, struct gr_error *e)
{
    if (o->n == GR_COUNT(o->changes))
        return gr_error_set(e, -E2BIG, GR_REASON_INTERNAL,
                            "one order names more than %d modules, which is the most",
                            GR_MODULES_MAX);
    *ret_change = &o->changes[o->n];
    *ret_route = &o->routes[o->n++];
    **ret_change = (struct gr_change){.module = module};
    **ret_route = (struct gr_inventory_route){.stable = -1, .rescue = -1, .candidate = -1};
    snprintf((*ret_route)->module, sizeof(*ret_route)->module, "%s", module);
    return 0;
}

static int join_rollout(const struct order *o, const cJSON *entry, const char *path,
                        struct gr_change *c, struct gr_inventory_route *route, struct gr_error *e)
{
    uint64_t rollout = 0;
    if (!c->candidate && !c->stable)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "%s.stable: required for %s, or a candidate; to take the module away "
                            "name it in remove",
                            path, c->module);
    int r = gr_json_uint(entry, path, "rollout", c->candidate ? GR_JSON_REQUIRED : GR_JSON_OPTIONAL,
                         0, EXACT_MAX, &rollout, e);
    if (r < 0 || !c->candidate)
        return r;
    route->rollout = (int64_t)rollout;
    c->gray = gray_of(o, route->rollout);
    if (!c->gray)
        return gr_error_set(e, -ENOENT, GR_REASON_INTERNAL,
                            "%s.rollout: %llu is not described; expected one of the order's "
                            "rollouts, which says who sees the candidate",
                            path, (unsigned long long)rollout);
    return 0;
}

static int find_harm(struct gr_harms *harms, const cJSON *entry, const char *path,
                     struct gr_harm **ret, struct gr_error *e)
{
    double number = -1;
    int r = gr_json_double(entry, path, "harm", GR_JSON_OPTIONAL, -1, GR_HARMS_MAX - 1, &number, e);
    if (r < 0)
        return r;
    *ret = number < 0 ? NULL : gr_harms_at(harms, (unsigned)number);
    if (number >= 0 && !*ret)
        return gr_error_set(e, -ENOENT, GR_REASON_INTERNAL,
                            "%s.harm: budget %d is not open; expected one of the supervisor's",
                            path, (int)number);
    return 0;
}

static int add_set(struct gr_inventory *v, struct order *o, const cJSON *entry, struct gr_error *e)
{
    static const char *const fields[] = {"module", "stable", "rescue",  "candidate", "rollout",
                                         "harm",   "batch",  "one_way", NULL};
    uint64_t batch = 0;
    char path[32];
    struct gr_change *c;
    struct gr_inventory_route *route;
    const char *module;
    snprintf(path, sizeof path, "set[%zu]", o->n);
    int r = gr_json_check_fields(entry, path, fields, e);
    if (r == 0)
        r = gr_json_string(entry, path, "module", GR_JSON_REQUIRED, &module, e);
    if (r == 0)
        r = add_change(o, module, &c, &route, e);
    if (r == 0)
        r = find_slot(v, entry, path, "stable", &route->stable, &c->stable, e);
    if (r == 0)
        r = find_slot(v, entry, path, "rescue", &route->rescue, &c->rescue, e);
    if (r == 0)
        r = find_slot(v, entry, path, "candidate", &route->candidate, &c->candidate, e);
    if (r == 0)
        r = find_harm(v->harms, entry, path, &c->harm, e);
    if (r == 0)
        r = gr_json_bool(entry, path, "one_way", GR_JSON_OPTIONAL, &c->one_way, e);
    if (r == 0)
        r = gr_json_uint(entry, path, "batch", GR_JSON_OPTIONAL, 0, EXACT_MAX, &batch, e);
    if (r < 0)
        return r;
    c->batch = (int64_t)batch;
    return join_rollout(o, entry, path, c, route, e);
}

static int add_remove(struct order *o, const cJSON *entry, struct gr_error *e)
{
    struct gr_change *c;
    struct gr_inventory_route *route;
    if (!cJSON_IsString(entry))
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "remove[]: expected the names of modules");
    return add_change(o, entry->valuestring, &c, &route, e);
}

// --- the order
// ------------------------------------------------------------------------------------------------

static int check_list(const cJSON *m, const char *field, struct gr_error *e)
{
    const cJSON *list = gr_json_get(m, field);
    if (!list || cJSON_IsArray(list))
        return 0;
    return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL, "%s: expected a list", field);
}

static int read_order(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *m, bool freeze,
                      struct order *o, struct gr_error *e)
{
    static const char *const fields[] = {"type", "id",     "table",    "budget_usec",
                                         "set",  "remove", "rollouts", NULL};
    static const char *const lists[] = {"set", "remove", "rollouts"};
    int r = gr_json_check_fields(m, "", fields, e);
    for (size_t i = 0; i < GR_COUNT(lists) && r == 0; i++)
        r = check_list(m, lists[i], e);
    if (r == 0)
        r = gr_json_uint(m, "", "table", GR_JSON_REQUIRED, 0, EXACT_MAX, &o->table, e);
    if (r == 0)
        r = gr_json_uint(m, "", "budget_usec", freeze ? GR_JSON_REQUIRED : GR_JSON_OPTIONAL, 0,
                         GR_FREEZE_BUDGET_MAX_USEC, &o->budget_usec, e);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, gr_json_get(m, "rollouts"))
    {
        if (r == 0)
            r = add_rollout(d, o, entry, e);
    }
    cJSON_ArrayForEach(entry, gr_json_get(m, "set"))
    {
        if (r == 0)
            r = add_set(v, o, entry, e);
    }
    cJSON_ArrayForEach(entry, gr_json_get(m, "remove"))
    {
        if (r == 0)
            r = add_remove(o, entry, e);
    }
    return r;
}

static cJSON *exchange(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *m, uint64_t id,
                       bool freeze, struct gr_error *e)
{
    GR_CLEANUP(free_orderp) struct order *o = calloc(1, sizeof *o);
    struct gr_swap_result result;
    if (!o)
        return NULL;
    gr_inventory_hold(v);
    int r = read_order(d, v, m, freeze, o, e);
    if (r == 0)
        r = freeze ? gr_dispatch_swap(d, o->changes, o->n, o->budget_usec, &result, e)
                   : gr_dispatch_route(d, o->changes, o->n, &result, e);
    if (r == 0)
        gr_inventory_route(v, o->table, o->routes, o->n);
    gr_inventory_release(v);
    if (r < 0)
        return NULL;
    cJSON *answer = gr_wire_answer("swapped", id);
    gr_json_add_uint(answer, "table", o->table);
    gr_json_add_uint(answer, "freeze_usec", result.freeze_usec);
    cJSON_AddNumberToObject(answer, "parked", result.parked);
    cJSON_AddNumberToObject(answer, "handed", result.handed);
    gr_json_add_uint(answer, "handover_usec", result.handover_usec);
    gr_json_add_uint(answer, "state_bytes", result.state_bytes);
    return answer;
}

cJSON *gr_tables_swap(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *order,
                      uint64_t id, struct gr_error *e)
{
    return exchange(d, v, order, id, true, e);
}

cJSON *gr_tables_route(struct gr_dispatch *d, struct gr_inventory *v, const cJSON *order,
                       uint64_t id, struct gr_error *e)
{
    return exchange(d, v, order, id, false, e);
}
