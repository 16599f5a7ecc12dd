// Any two lines, a range and a version: what parses is its own text and stays within its caps, and
// a prerelease is held only where the range names one of the same numbers.
#include "base/range.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool names_prerelease_of(const struct gr_range *r, const struct gr_version *v)
{
    for (size_t i = 0; i < r->n_bounds; i++)
        if (r->bounds[i].pre && r->bounds[i].major == v->major && r->bounds[i].minor == v->minor &&
            r->bounds[i].patch == v->patch)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_FREE char *text = malloc(size + 1);
    struct gr_range r;
    struct gr_version v;
    struct gr_error e = {0};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    char *second = strchr(text, '\n');
    if (second)
        *second++ = '\0';
    if (gr_range_parse(text, &r, &e) < 0) {
        if (!e.message[0])
            abort();
        return 0;
    }
    if (strcmp(r.text, text) != 0 || r.n_bounds > GR_RANGE_BOUNDS_MAX || r.n_alternatives == 0)
        abort();
    for (size_t i = 0; i < r.n_bounds; i++)
        if (r.bounds[i].alternative >= r.n_alternatives || r.bounds[i].pre > strlen(text))
            abort();
    if (second && gr_version_parse(second, &v) == 0 && gr_range_matches(&r, &v) && v.pre &&
        !names_prerelease_of(&r, &v))
        abort();
    return 0;
}
