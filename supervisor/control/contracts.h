// What the releases at hand declare about themselves, by digest: kept as they are verified or
// loaded, so that a decision that needs two contracts reads no file.
#pragma once
#include "base/contract.h"
#include "base/digest.h"

struct gr_contracts;
GR_MUST_CHECK int gr_contracts_new(struct gr_contracts **ret); // -ENOMEM
void gr_contracts_free(struct gr_contracts *s);                // NULL is fine
// Keeps a copy; one of the same digest is kept already: nothing. Full: the one that was asked for
// longest ago goes. Fails: -ENOMEM, -EINVAL (a contract without its text).
GR_MUST_CHECK int gr_contracts_put(struct gr_contracts *s, const struct gr_digest *digest,
                                   const struct gr_contract *c);
// Borrowed until the next gr_contracts_put(). NULL: not known.
const struct gr_contract *gr_contracts_find(struct gr_contracts *s, const struct gr_digest *digest);
