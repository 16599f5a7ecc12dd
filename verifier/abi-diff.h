// Whether one module file can take another's place: contract, state, machine, what a host would
// say, libraries, symbols and ELF facts of both. Pure; runs nothing of either.
#pragma once
#include "base/contract-compat.h"
#include "verifier/verify.h"

enum gr_abi_verdict {
    GR_ABI_SAME,       // nothing that a host or a caller could see differs
    GR_ABI_COMPATIBLE, // what differs is no caller's concern
    GR_ABI_ANNOUNCED,  // old callers are refused, as the versions say
    GR_ABI_BREAKING,   // old callers break, or no host of the old one takes the new one
};
// Owns: *ret by caller (gr_compat_free). Fails: -EINVAL/NotAModule when `from` has no contract,
// since then there is nothing to keep; -ENOMEM.
GR_MUST_CHECK int gr_abi_diff(const struct gr_inspection *from, const struct gr_inspection *to,
                              struct gr_compat **ret, struct gr_error *e);
enum gr_abi_verdict gr_abi_verdict_of(const struct gr_compat *c);
const char *gr_abi_verdict_name(enum gr_abi_verdict v); // "compatible"
