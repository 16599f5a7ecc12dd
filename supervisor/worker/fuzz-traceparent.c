// Any text: what is taken is written again as a text that is taken and means the same.
#undef NDEBUG // what it asserts is the test, in an optimised build too
#include "worker/traceparent.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), again[GR_TRACEPARENT_TEXT_MAX];
    struct gr_traceparent t, u;
    assert(text);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (gr_traceparent_parse(text, &t) == 0) {
        assert(gr_traceparent_parse(gr_traceparent_format(&t, again), &u) == 0);
        assert(strcmp(t.trace_id, u.trace_id) == 0 && strcmp(t.span_id, u.span_id) == 0);
        assert((t.flags & GR_TRACE_SAMPLED) == u.flags);
        assert(strncmp(text, "ff", 2) != 0 && strlen(text) >= 55);
    }
    free(text);
    return 0;
}
