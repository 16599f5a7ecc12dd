// Owns the harm budgets of open rollouts: which member of a rollout has which, and what becomes of
// one that is spent. Counting is the workers' (dispatch/harm.h).
#include "base/log.h"
#include "control/manager-internal.h"
#include <inttypes.h>
#include <string.h>

int gr_manager_open_harms(struct gr_manager *m, struct gr_error *e)
{
    m->harms = gr_steal(m->orphans.harms);
    m->harms_fd = m->orphans.harms_fd;
    int k = m->harms ? 0 : gr_harms_new(&m->harms, &m->harms_fd);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_INTERNAL,
                            "no memory for harm budgets: %s; memfd_create and mmap must be allowed",
                            strerror(-k));
    return 0;
}

void gr_manager_close_harms(struct gr_manager *m)
{
    if (!m->harms)
        return;
    gr_harms_free(gr_steal(m->harms));
    gr_closep(&m->harms_fd);
}

int gr_manager_harm(struct gr_manager *m, const struct gr_rollout *r, size_t member)
{
    const struct gr_rollout_row *row = gr_rollout_row(r);
    uint64_t total, known;
    if (!gr_rollout_harm(r, member, &total, &known))
        return -1;
    int number = gr_harms_open(m->harms, row->id, &row->members[member].module, total, known);
    if (number < 0)
        gr_log(GR_LOG_WARNING,
               "rollout %" PRId64 ": all %d harm budgets are taken, so that of %s is looked at a "
               "few times a second only",
               row->id, GR_HARMS_MAX, row->members[member].module.s);
    return number;
}

uint64_t gr_manager_harmed(void *manager, const struct gr_rollout *r, size_t member)
{
    struct gr_manager *m = manager;
    const struct gr_rollout_row *row = gr_rollout_row(r);
    const struct gr_harm *h = gr_harms_find(m->harms, row->id, &row->members[member].module);
    return h ? gr_harm_given(h) : 0;
}

// It is looked at now, and not when its timer comes.
void gr_manager_on_harm(struct gr_manager *m, const cJSON *message)
{
    uint64_t id = 0;
    const char *text = "";
    struct gr_name module;
    size_t member;
    if (gr_json_uint(message, "", "rollout", GR_JSON_REQUIRED, 0, INT64_MAX >> 10, &id, NULL) < 0 ||
        gr_json_string(message, "", "module", GR_JSON_REQUIRED, &text, NULL) < 0 ||
        gr_name_parse(text, strlen(text), &module) < 0)
        return;
    struct gr_rollout *r = gr_manager_find_rollout(m, (int64_t)id, &module, &member);
    if (r)
        gr_rollout_tick(r);
}
