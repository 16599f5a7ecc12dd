// Compiles a module.yaml into the canonical JSON contract, and the JSON into the C source of the
// ELF note. Pure: text in, text out.
#pragma once
#include "base/buf.h"
#include "base/error.h"

#define GR_CONTRACT_JSON_MAX (64u * 1024)

struct gr_contract_options {
    const char *file;    // name of the yaml file, for complaints
    const char *module;  // the name it must declare; NULL: any
    const char *version; // in force instead of the declared one, so that one file serves several
                         // versions; NULL: the declared one
};
// Appends the contract to *json: one text for one meaning. Compact, members in a fixed order, needs
// and imports sorted, methods in the order declared (a method's number is its place in that
// order). Fails: -EINVAL/DocumentInvalid with file, line,
// field and remedy; -E2BIG.
GR_MUST_CHECK int gr_contract_compile(const struct gr_contract_options *o, const char *yaml,
                                      size_t len, struct gr_buf *json, struct gr_error *e);
// Appends the C source that defines .note.grayling (layout: base/contract.h) with this JSON.
GR_MUST_CHECK int gr_contract_emit_note(const char *json, struct gr_buf *source);
