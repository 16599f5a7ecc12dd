// Any two texts (cut at the first NUL) and some paths: comparing never crashes, is the same both
// ways round, and what the strict reader takes and writes in two forms is the same in both.
#include "base/json-same.h"
#include "base/limits.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char paths[] = "[\"$.id\",\"$.items[*].at\",\"$[2]\",\"$[*][\\\"a b\\\"]\"]";
    struct gr_json_ignore *ignore = NULL;
    GR_AUTO_JSON cJSON *list = cJSON_Parse(paths), *tree = NULL;
    const char *a = (const char *)data;
    const char *cut = size ? memchr(a, 0, size) : NULL;
    size_t a_len = cut ? (size_t)(cut - a) : size, b_len = cut ? size - a_len - 1 : 0;
    const char *b = cut ? cut + 1 : "";
    if (gr_json_ignore_parse(list, "", &ignore, NULL) < 0)
        abort();
    int there = gr_json_same(a, a_len, b, b_len, ignore);
    if (there != gr_json_same(b, b_len, a, a_len, ignore))
        abort();
    if (gr_json_parse(a, a_len, GR_DOCUMENT_BYTES_MAX, &tree, NULL) == 0) {
        GR_AUTO_FREE char *pretty = gr_json_format_pretty(tree), *compact = gr_json_format(tree);
        if (!pretty || !compact ||
            gr_json_same(pretty, strlen(pretty), compact, strlen(compact), ignore) != 1)
            abort();
    }
    gr_json_ignore_free(ignore);
    return 0;
}
