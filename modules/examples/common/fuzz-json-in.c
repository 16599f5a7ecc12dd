// Any bytes: the scanner reads none beyond them, and says why when it refuses.
#include "json-in.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_field fields[] = {{.name = "n", .type = JSON_INTEGER},
                                  {.name = "t", .type = JSON_TEXT},
                                  {.name = "b", .type = JSON_BOOLEAN}};
    char why[JSON_WHY_MAX];
    if (json_read(data, size, fields, 3, JSON_SKIP_UNKNOWN, why)) {
        if (strlen(fields[1].text) > JSON_TEXT_MAX || llabs(fields[0].integer) > INT64_C(1) << 53)
            abort();
    } else if (why[0] == '\0') {
        abort();
    }
    return 0;
}
