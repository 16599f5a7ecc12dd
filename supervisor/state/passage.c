// Owns the judgement of a hand-over before it happens. Must never touch a worker: whether the hooks
// do what the contracts promise is found out under the freeze.
#include "state/passage.h"
#include "base/buf.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

// "schema 2, imports 1": what a version writes and what it reads besides.
static void say_state(const struct gr_contract *c, char *buf, size_t cap)
{
    int len = !c->has_state ? snprintf(buf, cap, "no state")
                            : snprintf(buf, cap, "schema %" PRIu64 ", imports %s", c->state_schema,
                                       c->n_imports ? "" : "none");
    for (size_t i = 0; c->has_state && i < c->n_imports && len > 0 && (size_t)len < cap; i++)
        len += snprintf(buf + len, cap - (size_t)len, "%s%" PRIu64, i ? ", " : "", c->imports[i]);
}

void gr_passage_find(const struct gr_contract *from, const struct gr_contract *to,
                     struct gr_passage *ret)
{
    char old[100], new[100];
    *ret = (struct gr_passage){.handover = gr_handover_between(from, to, NULL)};
    if (!from || !to)
        return;
    ret->one_way = gr_handover_between(to, from, NULL) == GR_HANDOVER_IMPOSSIBLE;
    say_state(from, old, sizeof old);
    say_state(to, new, sizeof new);
    if (ret->handover == GR_HANDOVER_IMPOSSIBLE)
        snprintf(ret->why, sizeof ret->why,
                 "%s %.64s (%s) cannot take over the state of %.64s (%s), which is lost with it",
                 to->module.s, to->version.text, new, from->version.text, old);
    else if (ret->one_way)
        snprintf(ret->why, sizeof ret->why,
                 "%s %.64s (%s) cannot hand its state back to %.64s (%s): what is accepted after "
                 "the swap is lost on the way back",
                 to->module.s, to->version.text, new, from->version.text, old);
}

size_t gr_strategy_first_shown(const struct gr_strategy *s)
{
    if (s->n_steps && s->match_json)
        return s->n_steps;
    for (size_t i = 0; i < s->n_steps; i++) {
        const struct gr_step *p = &s->steps[i];
        bool swap = i + 1 == s->n_steps && p->permyriad == 10000;
        if (p->kind == GR_STEP_WEIGHT && p->permyriad && !swap)
            return i;
    }
    return SIZE_MAX;
}

// Two versions at once would each hold a part of what was accepted.
static int refuse_share(const struct gr_contract *from, const struct gr_desired *document,
                        const struct gr_strategy *ladder, struct gr_error *e)
{
    char path[48], shown[48];
    size_t at = gr_strategy_first_shown(ladder);
    if (at == SIZE_MAX)
        return 0;
    if (at == ladder->n_steps) {
        snprintf(path, sizeof path, "strategy.match");
        snprintf(shown, sizeof shown, "match rules");
    } else {
        snprintf(path, sizeof path, "strategy.steps[%zu].weight", at);
        snprintf(shown, sizeof shown, "a weight of %g %%", ladder->steps[at].permyriad / 100.0);
    }
    return gr_error_set(
        e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
        "%s: %s %.64s holds state (schema %" PRIu64
        "), and with %s it and %.64s would each hold a part of it; expected steps that leave all "
        "requests to one version. Write shadow and pause steps and one weight of 100 at the end, "
        "no "
        "match rules, and let the bake judge",
        path, from->module.s, from->version.text, from->state_schema, shown,
        document->version.text);
}

void gr_passage_warn(const struct gr_contract *to, const struct gr_desired *document,
                     struct gr_warnings *w)
{
    char state[100];
    if (!to->has_state)
        return;
    say_state(to, state, sizeof state);
    if (w->n < GR_WARNINGS_MAX)
        snprintf(w->text[w->n++], GR_MESSAGE_MAX,
                 "holds state (%s); in place of a version that does not read schema %" PRIu64
                 " there is no way back for it, and the swap waits for promote --one-way (grayctl "
                 "plan knows what is in force)",
                 state, to->state_schema);
    if (gr_strategy_first_shown(&document->strategy) != SIZE_MAX && w->n < GR_WARNINGS_MAX)
        snprintf(
            w->text[w->n++], GR_MESSAGE_MAX,
            "strategy.steps: show the new version to some of the requests, which is refused in "
            "place of a version with state, since each would hold a part of it; write shadow "
            "and pause steps and one weight of 100 at the end, no match rules");
}

int gr_passage_check(const struct gr_contract *from, const struct gr_contract *to,
                     const struct gr_desired *document, const struct gr_strategy *ladder,
                     struct gr_error *e)
{
    struct gr_passage p;
    gr_passage_find(from, to, &p);
    if (p.handover == GR_HANDOVER_IMPOSSIBLE && !document->one_way)
        return gr_error_set(
            e, -EINVAL, GR_REASON_STATE_HANDOVER_FAILED,
            "%s; expected %.64s to import schema %" PRIu64
            ". Add it to state.imports of its module.yaml, or, if the state may go, write "
            "\"one_way\": true into the document",
            p.why, document->version.text, from->state_schema);
    return from && from->has_state && ladder ? refuse_share(from, document, ladder, e) : 0;
}
