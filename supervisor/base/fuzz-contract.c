// Any bytes, once as a note segment and once as the contract itself: caps hold, and nothing is read
// behind the end.
#include "base/contract-compat.h"
#include "base/handover.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A version takes its own place without a finding, and takes its own state back.
static void succeed_itself(const struct gr_contract *c)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *compat = NULL;
    enum gr_handover handover = gr_handover_between(c, c, NULL);
    if (handover != (c->has_state ? GR_HANDOVER_STATE : GR_HANDOVER_NONE) ||
        gr_handover_is_one_way(c, c))
        abort();
    if (gr_contract_compare(c, c, &compat) == 0 && compat->n > 0)
        abort();
}

static void parse(const char *json, size_t len)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    struct gr_error e = {0};
    if (gr_contract_parse(json, len, &c, &e) < 0) {
        if (e.reason != GR_REASON_NOT_A_MODULE || !e.message[0])
            abort();
        return;
    }
    size_t methods = 0;
    for (size_t i = 0; i < c->n_provides; i++)
        methods += c->provides[i].n_methods;
    if (methods > GR_METHODS_MAX || strlen(c->json) != len || !c->module.s[0] ||
        !c->version.text[0] || c->n_imports > GR_STATE_IMPORTS_MAX)
        abort();
    succeed_itself(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json;
    const uint8_t *id;
    size_t len;
    if (gr_contract_find_note(data, size, &json, &len) == 0)
        parse(json, len);
    if (gr_contract_find_build_id(data, size, &id, &len) == 0 &&
        (id < data || id + len > data + size))
        abort();
    parse((const char *)data, size);
    return 0;
}
