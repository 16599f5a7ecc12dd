// Owns the cache of contracts. A contract never changes: it is part of the bytes that the digest
// names.
#include "control/contracts.h"
#include "base/limits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct gr_digest digest;
    struct gr_contract *contract;
    uint64_t asked; // when, in calls
};
struct gr_contracts {
    size_t n;
    uint64_t clock;
    struct kept kept[GR_CONTRACTS_KEPT];
};

int gr_contracts_new(struct gr_contracts **ret)
{
    *ret = calloc(1, sizeof **ret);
    return *ret ? 0 : -ENOMEM;
}

void gr_contracts_free(struct gr_contracts *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        gr_contract_free(s->kept[i].contract);
    free(s);
}

static struct kept *find(struct gr_contracts *s, const struct gr_digest *digest)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (gr_digest_equal(&s->kept[i].digest, digest))
            return &s->kept[i];
    return NULL;
}

static struct kept *oldest(struct gr_contracts *s)
{
    struct kept *k = &s->kept[0];
    for (size_t i = 1; i < s->n; i++)
        if (s->kept[i].asked < k->asked)
            k = &s->kept[i];
    return k;
}

int gr_contracts_put(struct gr_contracts *s, const struct gr_digest *digest,
                     const struct gr_contract *c)
{
    struct gr_contract *copy = NULL;
    if (find(s, digest))
        return 0;
    if (!c->json)
        return -EINVAL;
    int k = gr_contract_parse(c->json, strlen(c->json), &copy, NULL);
    if (k < 0)
        return k;
    struct kept *place = s->n < GR_COUNT(s->kept) ? &s->kept[s->n++] : oldest(s);
    gr_contract_free(place->contract);
    *place = (struct kept){.digest = *digest, .contract = copy, .asked = ++s->clock};
    return 0;
}

const struct gr_contract *gr_contracts_find(struct gr_contracts *s, const struct gr_digest *digest)
{
    struct kept *k = find(s, digest);
    if (!k)
        return NULL;
    k->asked = ++s->clock;
    return k->contract;
}
