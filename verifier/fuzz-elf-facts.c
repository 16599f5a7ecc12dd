// Foreign bytes as an ELF file: facts and policy must come to an answer without stepping outside of
// them.
#include "verifier/elf-facts.h"
#include "verifier/elf-policy.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gr_elf_facts f;
    struct gr_elf_host host = gr_elf_host_here();
    struct gr_contract *contract = NULL;
    struct gr_error verdict = {0};
    if (gr_elf_facts_read(data, size, &f) < 0)
        return 0;
    if (f.machine_known) // a host of its machine, so that the rules behind are reached
        host.machine = f.machine;
    bool isolated = gr_elf_policy_admits(&f, &host, true, NULL);
    bool admitted = gr_elf_policy_admits(&f, &host, false, &verdict);
    if (admitted != (verdict.reason == GR_REASON_NONE) || (admitted && !isolated))
        abort();
    size_t sum = f.soname ? strlen(f.soname) : 0;
    for (size_t i = 0; i < f.n_imports; i++)
        sum += strlen(f.imports[i]);
    for (size_t i = 0; i < f.n_exports; i++)
        sum += strlen(f.exports[i]);
    for (size_t i = 0; i < f.n_needed; i++)
        sum += strlen(f.needed[i]);
    if (sum > (f.n_imports + f.n_exports + f.n_needed + 1) * size) // every name lies in the file
        abort();
    if (f.contract && gr_contract_parse(f.contract, f.contract_len, &contract, NULL) == 0)
        gr_contract_free(contract);
    gr_elf_facts_done(&f);
    return 0;
}
