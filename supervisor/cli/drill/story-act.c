// What a story does to an instance from outside: documents and traffic.
#include "base/json.h"
#include "cli/drill/build.h"
#include "cli/drill/story.h"
#include "cli/output.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS_DEFAULT 2
#define RATE_DEFAULT 200

static int out_of_memory(struct gr_error *e)
{
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

// Written at once, or with the others between begin and commit. Takes the value.
static int want(struct gr_story *s, const char *module, cJSON *take, struct gr_error *e)
{
    if (!take)
        return out_of_memory(e);
    cJSON *changes = s->batch ? s->batch : cJSON_CreateObject();
    int r = 0;
    if (!changes || !cJSON_AddItemToObject(changes, module, take)) {
        cJSON_Delete(take);
        r = out_of_memory(e);
    } else if (!s->batch) {
        r = gr_drill_store_write(s->w->store, changes, e);
    }
    if (!s->batch)
        cJSON_Delete(changes);
    return r;
}

static int put(struct gr_story *s, const struct gr_drill_build *b, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *document = NULL;
    int r = gr_drill_document(s->w, s->modules, b, &document, e);
    if (r < 0)
        return r;
    cJSON_DeleteItemFromObjectCaseSensitive(s->latest, b->module);
    cJSON *copy = cJSON_Duplicate(document, true);
    if (!copy || !cJSON_AddItemToObject(s->latest, b->module, copy)) {
        cJSON_Delete(copy);
        return out_of_memory(e);
    }
    return want(s, b->module, gr_steal(document), e);
}

static int put_again(struct gr_story *s, const char *module, const char *more, struct gr_error *e)
{
    const cJSON *latest = cJSON_GetObjectItemCaseSensitive(s->latest, module);
    GR_AUTO_JSON cJSON *copy = cJSON_Duplicate(latest, true),
                       *members = more ? cJSON_Parse(more) : NULL;
    char why[64];
    static unsigned n;
    if (!latest)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "%s was not put before", module);
    snprintf(why, sizeof why, "once more %u", ++n); // another document, the same artifact
    if (!copy || (cJSON_DeleteItemFromObjectCaseSensitive(copy, "reason"),
                  !cJSON_AddStringToObject(copy, "reason", why)))
        return out_of_memory(e);
    const cJSON *one;
    cJSON_ArrayForEach(one, members)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(copy, one->string);
        cJSON *value = cJSON_Duplicate(one, true);
        if (!value || !cJSON_AddItemToObject(copy, one->string, value)) {
            cJSON_Delete(value);
            return out_of_memory(e);
        }
    }
    return want(s, module, gr_steal(copy), e);
}

static int commit(struct gr_story *s, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *batch = gr_steal(s->batch);
    return gr_drill_store_write(s->w->store, batch, e);
}

static int number(const char *text, unsigned most, unsigned fallback, unsigned *ret,
                  struct gr_error *e)
{
    unsigned long n = text ? strtoul(text, NULL, 10) : fallback;
    if (n < 1 || n > most)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "%s: expected 1 to %u", text, most);
    *ret = (unsigned)n;
    return 0;
}

static int start_traffic(struct gr_story *s, char *const *args, struct gr_error *e)
{
    struct gr_traffic_asked asked = {0};
    if (s->n_traffics == GR_DRILL_TRAFFICS_MAX)
        return gr_error_set(e, -E2BIG, GR_REASON_NONE, "more than %d traffics",
                            GR_DRILL_TRAFFICS_MAX);
    int r = gr_name_parse(args[0], strlen(args[0]), &asked.module);
    snprintf(asked.url, sizeof asked.url, "http://%s/%s", s->w->door, args[1]);
    snprintf(asked.header, sizeof asked.header, "%s", args[4] ? args[4] : "");
    if (r >= 0)
        r = number(args[2], GR_DRILL_CLIENTS_MAX, CLIENTS_DEFAULT, &asked.clients, e);
    if (r >= 0)
        r = number(args[3], GR_DRILL_RATE_MAX, RATE_DEFAULT, &asked.rate, e);
    struct gr_traffic *t = NULL;
    if (r >= 0)
        r = gr_traffic_new(&asked, &t, e);
    if (r < 0)
        return r;
    s->traffics[s->n_traffics++] = t;
    if (gr_traffic_await_turns(t, 1, GR_DRILL_PATIENCE_USEC) < 0)
        return gr_error_set(e, -ETIME, GR_REASON_NONE, "nobody answers at %s", asked.url);
    return 0;
}

static void stop_traffic(struct gr_story *s)
{
    struct gr_traffic_seen sum;
    gr_story_sum(s, &sum);
    for (size_t i = 0; i < s->n_traffics; i++)
        gr_traffic_free(s->traffics[i]);
    s->n_traffics = 0;
    s->ended = sum;
}

static int await_requests(struct gr_story *s, const char *n, struct gr_error *e)
{
    if (!s->n_traffics)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "there is no traffic to wait for");
    int r = gr_traffic_await(s->traffics[0], strtoull(n, NULL, 10), GR_DRILL_PATIENCE_USEC);
    return r < 0 ? gr_error_set(e, r, GR_REASON_NONE, "so many requests were not answered in time")
                 : 0;
}

static int given(struct gr_story *s, char *const *args, struct gr_error *e)
{
    const struct gr_drill_build b = {
        .module = args[0], .version = args[1], .build = args[2], .more = args[3]};
    int r = put(s, &b, e);
    return r < 0 ? r : gr_story_await_event(s, args[0], "Healthy", NULL, GR_DRILL_PATIENCE_USEC, e);
}

int gr_story_act(struct gr_story *s, const struct gr_drill_line *l, struct gr_error *e)
{
    char *const *a = l->args;
    const struct gr_drill_build b = {.module = a[0],
                                     .version = a[1],
                                     .build = a[2],
                                     .from = a[3],
                                     .wrong_digest = a[4],
                                     .more = a[5]};
    switch ((unsigned)l->act) { // the others are not of this file
    case GR_DRILL_GIVEN:
        return given(s, a, e);
    case GR_DRILL_PUT:
        return put(s, &b, e);
    case GR_DRILL_PUT_AGAIN:
        return put_again(s, a[0], a[1], e);
    case GR_DRILL_WRITE:
        return want(s, a[0], cJSON_CreateString(a[1]), e);
    case GR_DRILL_REMOVE:
        return want(s, a[0], cJSON_CreateNull(), e);
    case GR_DRILL_BEGIN:
        s->batch = cJSON_CreateObject();
        return s->batch ? 0 : out_of_memory(e);
    case GR_DRILL_COMMIT:
        return commit(s, e);
    case GR_DRILL_TRAFFIC:
        return start_traffic(s, a, e);
    case GR_DRILL_STOP_TRAFFIC:
        stop_traffic(s);
        return 0;
    case GR_DRILL_AWAIT:
        return await_requests(s, a[0], e);
    default:
        return -ENOSYS;
    }
}
