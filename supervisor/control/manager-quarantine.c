// What the manager does with the fleet's quarantine: what other hosts convict is refused here and
// taken back where it is on its way, and what an operator lifts anywhere may run again.
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// On its way here: a release that is in force for good stays, since nothing better is known.
static void stop_rollouts(struct gr_manager *m, const struct gr_conviction *c)
{
    struct gr_error e = {0};
    gr_error_set(
        &e, -EKEYREJECTED, GR_REASON_QUARANTINED,
        "%s %s was convicted by %s (%s: %.400s); expected a digest without a conviction. "
        "The version before serves: publish a mended build, or lift it: grayctl quarantine "
        "lift",
        c->module.s, c->version, c->instance[0] ? c->instance : "another host",
        gr_reason_name(c->reason), c->evidence);
    for (size_t i = m->n_rollouts; i-- > 0;) { // one that ends leaves the list
        const struct gr_rollout_row *row = gr_rollout_row(m->rollouts[i]);
        for (size_t k = 0; k < row->n; k++) {
            struct gr_digest accused;
            if (row->members[k].to && gr_member_accused(&row->members[k], &accused) == 0 &&
                gr_digest_equal(&accused, &c->digest)) {
                gr_rollout_fail(m->rollouts[i], k, &e);
                break;
            }
        }
    }
}

static void learned(void *u, const struct gr_conviction *c)
{
    struct gr_manager *m = u;
    char text[GR_MESSAGE_MAX];
    gr_manager_reload_convictions(m);
    snprintf(text, sizeof text, "convicted by %s: %.900s",
             c->instance[0] ? c->instance : "another host", c->evidence);
    gr_manager_tell(m, GR_MSG_QUARANTINED, GR_LOG_WARNING, c->module.s, c->version, 0, NULL,
                    c->reason, text);
    stop_rollouts(m, c);
    gr_manager_changed(m);
}

// The journal's event tells it to operators; here the log is told.
static void lifted(void *u, const struct gr_conviction *c, const struct gr_lift *lift)
{
    struct gr_manager *m = u;
    struct gr_error e = {0};
    gr_manager_reload_convictions(m);
    if (gr_journal_forget_tries(m->journal, &c->digest, 1, &e) < 0)
        gr_log(GR_LOG_WARNING, "%s", e.message);
    gr_log(GR_LOG_NOTICE, "%s lifted the quarantine of %s %s for the fleet: %s",
           lift->actor[0] ? lift->actor : "somebody", c->module.s, c->version, lift->reason);
    gr_manager_changed(m);
}

int gr_manager_follow_quarantine(struct gr_manager *m, const struct gr_etcd_config *c,
                                 struct gr_error *e)
{
    const struct gr_quarantine_ops ops = {.learned = learned, .lifted = lifted, .userdata = m};
    return gr_quarantine_new(m->event, m->transport, c, &m->config->service, &m->config->instance,
                             m->journal, &ops, &m->quarantine, e);
}

int gr_manager_lift(struct gr_manager *m, const struct gr_digest *digest, const char *actor,
                    const char *reason, struct gr_error *e)
{
    struct gr_lift lift = {.at = gr_wall_now()};
    struct gr_error why = {0};
    snprintf(lift.actor, sizeof lift.actor, "%s", actor ? actor : "");
    snprintf(lift.reason, sizeof lift.reason, "%s", reason ? reason : "");
    int k = m->config->n_endpoints ? gr_journal_lift(m->journal, digest, &lift, e)
                                   : gr_journal_pardon(m->journal, digest, actor, reason, e);
    if (k < 0)
        return k;
    if (gr_journal_forget_tries(m->journal, digest, 1, &why) < 0)
        gr_log(GR_LOG_WARNING, "%s", why.message);
    gr_manager_reload_convictions(m);
    gr_quarantine_touch(m->quarantine);
    gr_manager_changed(m);
    return 0;
}
