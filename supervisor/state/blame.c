// Owns the sentence that tells an innocent member of a failed batch from the one that failed.
#include "state/blame.h"
#include "base/utf8.h"
#include <stdio.h>

// " 1.0.0"; nothing for a removal and for a document that could not be read.
#define BLANK_VERSION(m) (m)->to ? " " : "", (m)->to ? (m)->to->version.text : ""

static const struct gr_rollout_member *culprit(const struct gr_rollout_row *row)
{
    for (size_t i = 0; i < row->n; i++)
        if (row->members[i].reason != GR_REASON_NONE)
            return &row->members[i];
    return NULL;
}

const char *gr_rollout_row_sentence(const struct gr_rollout_row *row, size_t member,
                                    char buf[GR_MESSAGE_MAX])
{
    const struct gr_rollout_member *m = &row->members[member], *other = culprit(row);
    bool failed = row->phase == GR_PHASE_REJECTED || row->phase == GR_PHASE_ROLLING_BACK ||
                  row->phase == GR_PHASE_ROLLED_BACK;
    if (m->message[0])
        return m->message;
    if (!failed || !other)
        return row->message;
    // the long part comes last: it may be cut, the way out may not
    int n = snprintf(buf, GR_MESSAGE_MAX,
                     "nothing was found wrong with %s%s%s; it did not change because %s%s%s of the "
                     "same transaction failed, and a transaction changes all of its modules or "
                     "none. Mend %s, or write %s alone. What failed (%s): %s",
                     m->module.s, BLANK_VERSION(m), other->module.s, BLANK_VERSION(other),
                     other->module.s, m->module.s, gr_reason_name(other->reason), other->message);
    if (n >= GR_MESSAGE_MAX)
        buf[gr_utf8_floor(buf, GR_MESSAGE_MAX - 1)] = '\0';
    return buf;
}
