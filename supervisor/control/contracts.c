// Owns the memory of contracts. Must never read a file: who opened one for another reason tells.
#include "control/contracts.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

const struct gr_contract *gr_contracts_find(const struct gr_contracts *c,
                                            const struct gr_digest *digest)
{
    for (size_t i = 0; i < c->n; i++)
        if (gr_digest_equal(&c->kept[i].digest, digest))
            return c->kept[i].contract;
    return NULL;
}

const struct gr_contract *gr_contracts_keep(struct gr_contracts *c, const struct gr_digest *digest,
                                            const struct gr_contract *contract)
{
    const struct gr_contract *known = gr_contracts_find(c, digest);
    struct gr_contract *copy = NULL;
    if (known)
        return known;
    if (!c->kept)
        c->kept = calloc(GR_CONTRACTS_MAX, sizeof *c->kept);
    if (!c->kept ||
        gr_contract_parse(contract->json, strlen(contract->json), &copy, NULL) < 0) // parsed before
        return NULL;
    struct gr_contract_kept *at = &c->kept[c->next];
    gr_contract_free(at->contract);
    *at = (struct gr_contract_kept){*digest, copy};
    c->n += c->n < GR_CONTRACTS_MAX;
    c->next = (c->next + 1) % GR_CONTRACTS_MAX;
    return copy;
}

void gr_contracts_done(struct gr_contracts *c)
{
    for (size_t i = 0; i < c->n; i++)
        gr_contract_free(c->kept[i].contract);
    free(c->kept);
    *c = (struct gr_contracts){0};
}
