// Any bytes as another host's conviction: refused with a reason and a sentence, or whole.
#include "base/macros.h"
#include "state/conviction.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gr_digest digest;
    struct gr_conviction c;
    struct gr_lift lift;
    struct gr_error e = {0};
    if (gr_conviction_parse(&digest, (const char *)data, size, &c, &lift, &e) < 0) {
        if (!e.message[0])
            abort();
        return 0;
    }
    if (!c.module.s[0] || c.reason == GR_REASON_NONE || (lift.at.usec && !lift.reason[0]))
        abort();
    return 0;
}
