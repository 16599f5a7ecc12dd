// Any bytes as a configuration file: refused with a place and a sentence, or printed and read again
// as the same.
#include "control/config-keys.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gr_config *read_text(const char *text, size_t len, struct gr_error *e)
{
    struct gr_config *c = calloc(1, sizeof *c);
    if (c)
        *c = (struct gr_config){.breaker = GR_BREAKER_POLICY_DEFAULT,
                                .call_grace_usec = 1,
                                .pool_threads = 1}; // no file may set these to nothing
    if (!c || gr_config_take_text(c, "input", text, len, e) == 0)
        return c;
    gr_config_free(c);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gr_error e = {0};
    GR_CLEANUP(gr_config_freep) struct gr_config *c = read_text((const char *)data, size, &e);
    if (!c) {
        if (e.reason != GR_REASON_DOCUMENT_INVALID || strncmp(e.message, "input:", 6) != 0)
            abort();
        return 0;
    }
    GR_AUTO_FREE char *text = gr_config_format(c);
    if (!c->max_bytes) // nobody set it, and no file may set it to nothing
        return 0;
    GR_CLEANUP(gr_config_freep) struct gr_config *back = read_text(text, strlen(text), &e);
    GR_AUTO_FREE char *again = back ? gr_config_format(back) : NULL; // all of it is from "input"
    GR_CLEANUP(gr_config_freep)
    struct gr_config *third = again ? read_text(again, strlen(again), &e) : NULL;
    GR_AUTO_FREE char *last = third ? gr_config_format(third) : NULL;
    if (!last || strcmp(again, last) != 0)
        abort();
    return 0;
}
