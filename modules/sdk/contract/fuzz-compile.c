// Any text: either a sentence, or a contract that the host's own reader accepts.
#include "base/contract.h"
#include "modules/sdk/contract/compile.h"
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    GR_AUTO_BUF struct gr_buf source = GR_BUF(8 * GR_CONTRACT_JSON_MAX);
    GR_CLEANUP(gr_contract_freep) struct gr_contract *contract = NULL;
    struct gr_contract_options o = {.file = "module.yaml"};
    struct gr_error e = {0};
    if (gr_contract_compile(&o, (const char *)data, size, &json, &e) < 0) {
        if (e.message[0] == '\0')
            abort();
        return 0;
    }
    if (gr_contract_parse(json.data, json.len, &contract, &e) < 0 ||
        gr_contract_emit_note(json.data, &source) < 0) {
        fprintf(stderr, "%s\n%s\n", json.data, e.message);
        abort();
    }
    return 0;
}
