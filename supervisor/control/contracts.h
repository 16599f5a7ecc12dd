// The contracts of what is in force and of what was verified lately, by the digest of the bytes
// that declare them: questions about the whole set are asked with every change of it, and reading a
// contract means hashing its file.
#pragma once
#include "base/contract.h"
#include "base/digest.h"

struct gr_contracts {
    size_t n, next; // filled; the one that is replaced next
    struct gr_contract_kept {
        struct gr_digest digest;
        struct gr_contract *contract;
    } * kept; // GR_CONTRACTS_MAX
};
// Borrowed until GR_CONTRACTS_MAX others were kept. NULL: not kept.
const struct gr_contract *gr_contracts_find(const struct gr_contracts *c,
                                            const struct gr_digest *digest);
// A copy of it; one that is kept already stays. NULL: out of memory.
const struct gr_contract *gr_contracts_keep(struct gr_contracts *c, const struct gr_digest *digest,
                                            const struct gr_contract *contract);
void gr_contracts_done(struct gr_contracts *c);
