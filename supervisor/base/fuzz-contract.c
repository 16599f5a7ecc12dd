// Any bytes, once as a note segment and once as the contract itself: caps hold, and nothing is read
// behind the end.
#include "base/contract.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        !c->version.text[0])
        abort();
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
