// Any bytes: the strict reader neither crashes nor accepts what it would not write and read again
// as the same value.
#include "base/json.h"
#include "base/limits.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_JSON cJSON *tree = NULL, *again = NULL;
    struct gr_error e = {0};
    if (gr_json_parse((const char *)data, size, GR_DOCUMENT_BYTES_MAX, &tree, &e) < 0) {
        if (!e.message[0])
            abort(); // a refusal is a sentence
        return 0;
    }
    GR_AUTO_FREE char *text = gr_json_format(tree);
    if (!text || gr_json_parse(text, strlen(text), SIZE_MAX, &again, &e) < 0 ||
        !cJSON_Compare(tree, again, true))
        abort();
    return 0;
}
