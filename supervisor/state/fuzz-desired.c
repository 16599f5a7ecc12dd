// Any bytes as a document: refused with a reason and a sentence, or written and read again without
// a change.
#include "state/desired.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gr_name module = {"pay"};
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *d = NULL, *back GR_CLEANUP(gr_desired_freep) = NULL;
    struct gr_error e = {0};
    if (gr_desired_parse(&module, 1, (const char *)data, size, &d, &e) < 0) {
        if (e.reason != GR_REASON_DOCUMENT_INVALID || !e.message[0])
            abort();
        return 0;
    }
    GR_AUTO_FREE char *text = gr_desired_format(d), *again GR_AUTO_FREE = NULL;
    if (!text || gr_desired_restore(&module, 1, text, &back, &e) < 0)
        abort();
    again = gr_desired_format(back);
    if (!again || strcmp(text, again) != 0 || !gr_desired_same_release(d, back))
        abort();
    return 0;
}
