// Any text that a process of module code may send where an answer about its state is expected:
// refused, or read as numbers and names that can be written and read again.
#undef NDEBUG // what it asserts is the test, in an optimised build too
#include "base/json.h"
#include "base/macros.h"
#include "worker/hook-message.h"
#include <assert.h>
#include <string.h>

#define ID 7
#define BYTES_MAX (64u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const cJSON *m)
{
    struct gr_state_hook h = {.fd = 3}, again = h;
    if (gr_hook_read_answer(m, ID, &h) < 0) {
        assert(h.fd == 3 && h.end == 0 && h.code == 0 && h.label.size == 0 && !h.what[0]);
        return;
    }
    assert(h.end < GR_HOOK_ENDS && h.fd == 3 && memchr(h.what, 0, sizeof h.what));
    GR_AUTO_JSON cJSON *written = gr_hook_answer(&h, ID);
    assert(written && gr_hook_read_answer(written, ID, &again) == 0);
    assert(again.end == h.end && again.code == h.code && strcmp(again.what, h.what) == 0);
    assert(again.label.schema == h.label.schema && again.label.size == h.label.size &&
           again.label.object == h.label.object);
}

static void check_order(const cJSON *m)
{
    struct gr_state_hook h, again;
    uint64_t id = 0, back = 0;
    if (!gr_hook_read_order(m, &h, &id))
        return;
    GR_AUTO_JSON cJSON *written = gr_hook_order(&h, id);
    assert(written && gr_hook_read_order(written, &again, &back) && back == id);
    assert(again.import == h.import && again.label.size == h.label.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_JSON cJSON *m = NULL;
    if (gr_json_parse((const char *)data, size, BYTES_MAX, &m, NULL) < 0)
        return 0;
    check_answer(m);
    check_order(m);
    return 0;
}
