// Any bytes as a stored verdict: refused with a sentence, or written again without a change,
// explained and replayed without harm.
#include "rollout/analysis-record.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gr_verdict_record r, again;
    struct gr_buf text GR_AUTO_BUF = GR_BUF(4 * GR_VERDICT_RECORD_BYTES_MAX),
                       more GR_AUTO_BUF = GR_BUF(4 * GR_VERDICT_RECORD_BYTES_MAX),
                       words GR_AUTO_BUF = GR_BUF(64 * 1024);
    struct gr_error e = {0};
    if (gr_verdict_record_parse((const char *)data, size, &r, &e) < 0) {
        if (!e.message[0])
            abort();
        return 0;
    }
    if (gr_verdict_record_format(&r, &text) < 0)
        abort();
    if (text.len <= GR_VERDICT_RECORD_BYTES_MAX &&
        (gr_verdict_record_parse(text.data, text.len, &again, &e) < 0 ||
         gr_verdict_record_format(&again, &more) < 0 || strcmp(text.data, more.data) != 0))
        abort();
    if (gr_verdict_explain(&r, true, &words) < 0)
        abort();
    (void)!gr_verdict_replay(&r, &e);
    return 0;
}
