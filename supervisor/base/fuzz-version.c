// Any two lines: what parses is its own text, equals itself, and is ordered against the other one
// way only.
#include "base/version.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_FREE char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    char *second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    struct gr_version a, b;
    if (gr_version_parse(text, &a) < 0)
        return 0;
    if (strcmp(a.text, text) != 0 || gr_version_compare(&a, &a) != 0)
        abort();
    if (second && gr_version_parse(second, &b) == 0 &&
        sign(gr_version_compare(&a, &b)) != -sign(gr_version_compare(&b, &a)))
        abort();
    return 0;
}
