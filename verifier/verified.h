// How a struct gr_verified comes into being. Private to this directory: outside of it nobody can
// make one.
#pragma once
#include "verifier/bytes.h"
#include "verifier/store.h"
#include "verifier/verify.h"

// What was read from sealed bytes and found admissible.
struct gr_examined {
    struct gr_contract *contract;
    char build_id[129]; // hex
};
void gr_examined_done(struct gr_examined *x);
// ELF facts and contract against the host and the document (`k`'s name and version; k NULL: any).
// Nothing of the bytes runs. Fails: NotAModule, AbiIncompatible, ContractIncompatible, LoadFailed,
// DependencyMissing.
GR_MUST_CHECK int gr_examine(const struct gr_bytes *b, const struct gr_store_key *k,
                             struct gr_examined *ret, struct gr_error *e);

struct gr_verified {
    struct gr_name module;
    struct gr_version version;
    struct gr_digest digest;
    char *path;
    int fd;
    bool sealed;
    struct gr_examined examined;
    uint64_t station_usec[GR_VERIFY_STATIONS];
};
// Owns: *ret by caller. Takes fd and *x. Fails: -ENOMEM.
GR_MUST_CHECK int gr_verified_new(const struct gr_store *s, const struct gr_store_key *k, int fd,
                                  bool sealed, struct gr_examined *x, struct gr_verified **ret);
