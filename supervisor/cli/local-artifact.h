// The file that a document names, when it can be read here: what it declares is known then without
// asking anybody. And the other way round.
#pragma once
#include "base/json.h"
#include "state/desired.h"
#include "verifier/verify.h"

// Looks at the document's file:// sources for the bytes of its digest, and runs none of them.
// False: there are none here, or they declare nothing that can be read; *ret is untouched. Blocks.
bool gr_local_artifact(const struct gr_desired *d, struct gr_inspection *ret);

// The document that wants this file and no more: its contract's version, its digest, its size.
// Needs a contract. NULL: out of memory.
cJSON *gr_local_document(const struct gr_inspection *i, const char *const *sources, size_t n);
