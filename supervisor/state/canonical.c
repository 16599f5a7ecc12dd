// One spelling for equal documents: the sorted style of the one printer.
#include "state/canonical.h"
#include "base/json-print.h"

int gr_canonical_append(struct gr_buf *b, const cJSON *j)
{
    return gr_json_print(b, j, GR_JSON_SORTED);
}

char *gr_canonical_format(const cJSON *j, size_t max)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(max);
    return gr_canonical_append(&b, j) < 0 ? NULL : gr_buf_take(&b, NULL);
}
