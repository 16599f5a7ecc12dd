// State between two versions: what one writes the other must read.
#include "base/handover.h"
#include <errno.h>
#include <inttypes.h>

static bool reads(const struct gr_contract *c, uint64_t schema)
{
    bool found = c->state_schema == schema;
    for (size_t i = 0; i < c->n_imports; i++)
        found |= c->imports[i] == schema;
    return c->has_state && found;
}

enum gr_handover gr_handover_between(const struct gr_contract *from, const struct gr_contract *to,
                                     struct gr_error *why)
{
    if (!from || !from->has_state || !to)
        return GR_HANDOVER_NONE;
    if (reads(to, from->state_schema))
        return GR_HANDOVER_STATE;
    if (!to->has_state)
        gr_error_set(why, -EINVAL, GR_REASON_STATE_HANDOVER_FAILED,
                     "%s %s holds state of schema %" PRIu64
                     " and %s declares none, so it would be lost; declare state.imports: "
                     "[%" PRIu64 "] in its module.yaml, or agree to the loss with \"one_way\": "
                     "true in the document",
                     from->module.s, from->version.text, from->state_schema, to->version.text,
                     from->state_schema);
    else
        gr_error_set(why, -EINVAL, GR_REASON_STATE_HANDOVER_FAILED,
                     "%s %s holds state of schema %" PRIu64 " and %s, whose schema is %" PRIu64
                     ", does not import it; add %" PRIu64
                     " to state.imports of its module.yaml, or agree to the loss with "
                     "\"one_way\": true in the document",
                     from->module.s, from->version.text, from->state_schema, to->version.text,
                     to->state_schema, from->state_schema);
    return GR_HANDOVER_IMPOSSIBLE;
}

bool gr_handover_is_one_way(const struct gr_contract *from, const struct gr_contract *to)
{
    return from && to &&
           (gr_handover_between(from, to, NULL) == GR_HANDOVER_IMPOSSIBLE ||
            gr_handover_between(to, from, NULL) == GR_HANDOVER_IMPOSSIBLE);
}
