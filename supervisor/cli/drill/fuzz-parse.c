// Any bytes as a drill: what is taken is within its caps, what is refused says where and why.
#include "cli/drill/drill.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_CLEANUP(gr_drill_freep) struct gr_drill *d = NULL;
    struct gr_error e = {0};
    if (gr_drill_parse("a.drill", (const char *)data, size, &d, &e) < 0) {
        if (d || !strstr(e.message, "a.drill"))
            abort();
        return 0;
    }
    if (!d->shows || !d->n_lines || d->n_lines > GR_DRILL_LINES_MAX ||
        d->n_rows > GR_DRILL_ROWS_MAX || d->n_sets > GR_DRILL_SETS_MAX)
        abort();
    for (size_t i = 0; i < d->n_lines; i++)
        if (d->lines[i].act >= GR_DRILL_ACT_COUNT || !d->lines[i].number)
            abort();
    return 0;
}
