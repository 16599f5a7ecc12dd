// Any bytes as an operator's order: refused with a reason and a sentence, or written and read again
// without a change.
#include "base/macros.h"
#include "state/order.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gr_order o, back;
    struct gr_error e = {0};
    if (gr_order_parse((const char *)data, size, &o, &e) < 0) {
        if (e.reason != GR_REASON_DOCUMENT_INVALID || !e.message[0])
            abort();
        return 0;
    }
    GR_AUTO_FREE char *text = gr_order_format(&o, NULL);
    if (!text || gr_order_parse(text, strlen(text), &back, &e) < 0 || o.rollout != back.rollout ||
        o.step != back.step || o.verb != back.verb)
        abort();
    return 0;
}
