// Whether a file with such facts may become a module of this host. Pure: facts and a description of
// the host in, a verdict out.
#pragma once
#include "base/contract.h"
#include "base/digest.h"
#include "verifier/elf-facts.h"

struct gr_elf_host {
    uint16_t machine;
    const char *glibc; // "2.36"
};
// The host that this runs on.
struct gr_elf_host gr_elf_host_here(void);

// True: admissible. False: *verdict (which may be NULL) says the first thing that stands against
// it. `isolated`: it gets a process of its own, in which a Go runtime may do what it does, and
// threads what they call for themselves.
bool gr_elf_policy_admits(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                          bool isolated, struct gr_error *verdict);
// The same with the contract, which says whether it is to be isolated: both are admissible, or *e
// says what is not. Owns: *ret by caller (gr_contract_free). Fails: -ENOEXEC or as
// gr_contract_parse().
GR_MUST_CHECK int gr_elf_policy_read(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                                     struct gr_contract **ret, struct gr_error *e);
// The same for what the contract note says; `module` and `version` are those of the document, NULL:
// any.
bool gr_contract_policy_admits(const struct gr_contract *c, const struct gr_name *module,
                               const struct gr_version *version, struct gr_error *verdict);
