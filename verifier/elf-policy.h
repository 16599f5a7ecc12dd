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
// it.
bool gr_elf_policy_admits(const struct gr_elf_facts *f, const struct gr_elf_host *host,
                          struct gr_error *verdict);
// The same for what the contract note says; `module` and `version` are those of the document, NULL:
// any.
bool gr_contract_policy_admits(const struct gr_contract *c, const struct gr_name *module,
                               const struct gr_version *version, struct gr_error *verdict);
