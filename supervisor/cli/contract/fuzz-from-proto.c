// Any bytes as a description: what comes of it is refused with a sentence, or is a text of whole
// lines that holds nothing a reader of YAML could take for a line's end.
#include "base/utf8.h"
#include "cli/contract/from-proto.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_AUTO_BUF struct gr_buf yaml = GR_BUF(GR_PROTO_YAML_MAX);
    struct gr_proto_outcome outcome;
    struct gr_error e = {0};
    const struct gr_name module = {"pay"};
    if (gr_contract_from_proto("pay.proto", &module, data, size, &yaml, &outcome, &e) < 0) {
        if (!e.message[0])
            abort();
        return 0;
    }
    if (outcome.n_interfaces == 0 || outcome.n_methods < outcome.n_interfaces ||
        yaml.data[yaml.len - 1] != '\n')
        abort();
    for (size_t i = 0; i < yaml.len;) {
        size_t n = gr_utf8_sequence(yaml.data + i, yaml.len - i);
        bool control = n == 1 && (unsigned char)yaml.data[i] < ' ' && !strchr("\n\t", yaml.data[i]);
        if (n == 0 || control || (n == 3 && !memcmp(yaml.data + i, "\xe2\x80\xa8", 3)) ||
            (n == 2 && !memcmp(yaml.data + i, "\xc2\x85", 2)))
            abort();
        i += n;
    }
    return 0;
}
