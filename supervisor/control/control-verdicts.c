// GET /v1/rollouts/{id}/verdicts: how a rollout was judged, as records that explain and replay read
// as they are. Those that changed a member's verdict are in the journal; what stands now, or stood
// at the end, comes last.
#include "base/limits.h"
#include "control/control-routes.h"
#include "control/journal-json.h"
#include "control/json-add.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool push_record(cJSON *list, const struct gr_name *module, struct gr_wall at,
                        const char *record)
{
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "module", module->s) &&
              gr_json_add_time(o, "at", at) && gr_json_add(o, "record", cJSON_CreateRaw(record));
    return gr_json_push(list, gr_json_whole(o, ok));
}

static bool push_changes(cJSON *list, const struct gr_rollout_row *r,
                         const struct gr_verdict_row *rows, size_t n)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        if (rows[i].at.usec >= r->created.usec) // one that was tried before had the same id
            ok = push_record(list, &rows[i].module, rows[i].at, rows[i].record);
    return ok;
}

// Of a rollout in progress the view has what the journal does not have yet.
static const struct gr_verdict_record *in_view(const struct gr_view *v, int64_t id,
                                               const struct gr_name *module)
{
    for (size_t i = 0; i < v->n_modules; i++)
        if (v->modules[i].rollout == id && gr_name_equal(&v->modules[i].module, module))
            return v->modules[i].verdict;
    return NULL;
}

// Unless it is the last one that changed the verdict.
static bool push_newest(cJSON *list, const struct gr_view *v, const struct gr_rollout_row *r,
                        const struct gr_rollout_member *m, const char *last)
{
    struct gr_buf text GR_AUTO_BUF = GR_BUF(GR_VERDICT_RECORD_BYTES_MAX);
    const struct gr_verdict_record *now = in_view(v, r->id, &m->module);
    bool live = now && gr_verdict_record_format(now, &text) == 0;
    const char *record = live ? text.data : m->verdict;
    return !record || (last && strcmp(last, record) == 0) ||
           push_record(list, &m->module, live ? gr_wall_now() : r->updated, record);
}

static const char *last_of(const struct gr_verdict_row *rows, size_t n,
                           const struct gr_name *module)
{
    while (n-- > 0)
        if (gr_name_equal(&rows[n].module, module))
            return rows[n].record;
    return NULL;
}

static cJSON *all_of(struct gr_control *c, const struct gr_rollout_row *r,
                     const struct gr_verdict_row *rows, size_t n)
{
    const struct gr_view *v = c->ops.view(c->ops.userdata);
    cJSON *o = gr_rollout_row_to_json(r), *list = o ? cJSON_AddArrayToObject(o, "verdicts") : NULL;
    bool ok = list && push_changes(list, r, rows, n);
    for (size_t i = 0; ok && i < r->n; i++)
        ok = push_newest(list, v, r, &r->members[i], last_of(rows, n, &r->members[i].module));
    return gr_json_whole(o, ok);
}

void gr_get_verdicts(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                     struct gr_http_reply *ret)
{
    GR_CLEANUP(gr_rollout_row_done) struct gr_rollout_row row = {0};
    struct gr_journal *j = c->ops.journal(c->ops.userdata);
    struct gr_verdict_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    char *end;
    (void)q;
    long long id = strtoll(arg, &end, 10);
    if (*end || id <= 0) {
        gr_route_refuse(ret, -EINVAL, "%.64s is no rollout's number; grayctl history shows them",
                        arg);
        return;
    }
    int k = gr_journal_get_rollout(j, id, &row, &e);
    if (k == 0)
        k = gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                         "there was no rollout %lld here; expected one that grayctl history shows",
                         id);
    if (k > 0)
        k = gr_journal_verdicts(j, id, &rows, &n, &e);
    if (k < 0) {
        e.code = k;
        gr_route_error(ret, &e);
        return;
    }
    gr_http_reply_json(ret, 200, all_of(c, &row, rows, n));
    gr_verdict_rows_free(rows, n);
}
