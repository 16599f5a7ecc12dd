// Owns the names of phases.
#include "state/journal.h"

const char *gr_phase_name(enum gr_phase p)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_PHASES(X)
#undef X
    };
    return (unsigned)p < GR_COUNT(names) ? names[p] : "?";
}

bool gr_phase_is_terminal(enum gr_phase p)
{
    return p == GR_PHASE_HEALTHY || p == GR_PHASE_ROLLED_BACK || p == GR_PHASE_REJECTED ||
           p == GR_PHASE_SUPERSEDED;
}
