// What the manager does with intents of etcd: when one can be judged, who obeys, and who is told.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// An intent may overtake the document that it speaks of, since they come by two watches: nothing of
// the source was taken up yet, or the rollout is not known here and its revision is one that the
// documents have not reached.
static bool is_ahead(const struct gr_manager *m, int64_t intent, const struct gr_order *o,
                     bool late)
{
    enum gr_phase phase;
    struct gr_error e = {0};
    if (!m->planned_once || m->health.held)
        return true;
    if (late || o->rollout <= m->now.revision || o->rollout > intent)
        return false;
    return gr_journal_find_rollout(m->journal, o->rollout, &phase, &e) == 0;
}

static int obey(void *u, const struct gr_name *module, int64_t revision, const struct gr_order *o,
                bool late, struct gr_error *e)
{
    struct gr_manager *m = u;
    return is_ahead(m, revision, o, late) ? -EAGAIN : gr_manager_steer(m, module, o, e);
}

// One that was obeyed is told by the rollout that obeyed.
static void answered(void *u, const struct gr_intent_row *row, const struct gr_order *o)
{
    struct gr_manager *m = u;
    char text[GR_MESSAGE_MAX];
    if (row->applied) {
        gr_manager_changed(m);
        return;
    }
    if (o)
        snprintf(text, sizeof text, "%s's %s (intent at revision %" PRId64 ") was refused: %.800s",
                 row->actor[0] ? row->actor : "somebody", row->verb, row->revision, row->message);
    else
        snprintf(text, sizeof text, "the intent at revision %" PRId64 " was refused: %.900s",
                 row->revision, row->message);
    gr_manager_tell(m, GR_MSG_ORDER_REFUSED, GR_LOG_WARNING, row->module.s, NULL,
                    o ? o->rollout : 0, NULL, GR_REASON_NONE, text);
    gr_manager_changed(m);
}

int gr_manager_follow_intents(struct gr_manager *m, const struct gr_etcd_config *c,
                              struct gr_error *e)
{
    const struct gr_intents_ops ops = {.obey = obey, .answered = answered, .userdata = m};
    int k = gr_intents_new(m->journal, &ops, &m->intents, e);
    return k < 0 ? k
                 : gr_intents_follow(m->intents, m->event, m->transport, c, &m->config->service, e);
}
