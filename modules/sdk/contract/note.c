// Writes the note as C, not as assembler, so that a module project needs no further language.
#include "base/contract.h"
#include "modules/sdk/contract/compile.h"
#include <string.h>

#define LINE_BYTES 70

// The JSON as adjacent C string literals; only quotes and backslashes need care.
static int emit_literal(const char *json, struct gr_buf *source)
{
    int r = 0;
    for (size_t column = 0; *json && r == 0; json++) {
        if (column == 0)
            r = gr_buf_printf(source, "\n    \"");
        if (r == 0 && (*json == '"' || *json == '\\'))
            r = gr_buf_append(source, "\\", 1);
        if (r == 0)
            r = gr_buf_append(source, json, 1);
        if (++column == LINE_BYTES || !json[1]) {
            if (r == 0)
                r = gr_buf_append(source, "\"", 1);
            column = 0;
        }
    }
    return r;
}

int gr_contract_emit_note(const char *json, struct gr_buf *source)
{
    size_t name_bytes = sizeof GR_NOTE_OWNER, text_bytes = strlen(json);
    // the structure's alignment pads its size, and so the text, to a multiple of four
    int r =
        gr_buf_printf(source,
                      "// The contract as the ELF note .note.grayling; made from module.yaml by "
                      "grayling-contract.\n"
                      "static const struct {\n"
                      "    unsigned name_bytes, text_bytes, type;\n"
                      "    char name[%zu];\n"
                      "    char text[%zu];\n"
                      "} grayling_note\n"
                      "    __attribute__((section(\".note.grayling\"), used, aligned(4))) = {\n"
                      "    %zu, %zu, %d, \"%s\",",
                      (name_bytes + 3) & ~(size_t)3, text_bytes, name_bytes, text_bytes,
                      GR_NOTE_TYPE_CONTRACT, GR_NOTE_OWNER);
    if (r == 0)
        r = emit_literal(json, source);
    if (r == 0)
        r = gr_buf_printf(source, "};\n");
    return r;
}
