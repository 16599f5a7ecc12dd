// Relocations of an ELF image: which kinds there are, and whether they stay inside writable memory
// and the symbol table.
#include "base/macros.h"
#include "verifier/elf-image.h"

enum kind { PLAIN, TP_OFFSET, IRELATIVE, FOREIGN };

struct reloc {
    uint32_t type;
    enum kind kind;
};

static const struct reloc X86_64[] = {
    {R_X86_64_NONE, PLAIN},          {R_X86_64_64, PLAIN},       {R_X86_64_GLOB_DAT, PLAIN},
    {R_X86_64_JUMP_SLOT, PLAIN},     {R_X86_64_RELATIVE, PLAIN}, {R_X86_64_DTPMOD64, PLAIN},
    {R_X86_64_DTPOFF64, PLAIN},      {R_X86_64_TLSDESC, PLAIN},  {R_X86_64_TPOFF64, TP_OFFSET},
    {R_X86_64_IRELATIVE, IRELATIVE},
};
static const struct reloc AARCH64[] = {
    {R_AARCH64_NONE, PLAIN},          {R_AARCH64_ABS64, PLAIN},    {R_AARCH64_GLOB_DAT, PLAIN},
    {R_AARCH64_JUMP_SLOT, PLAIN},     {R_AARCH64_RELATIVE, PLAIN}, {R_AARCH64_TLS_DTPMOD, PLAIN},
    {R_AARCH64_TLS_DTPREL, PLAIN},    {R_AARCH64_TLSDESC, PLAIN},  {R_AARCH64_TLS_TPREL, TP_OFFSET},
    {R_AARCH64_IRELATIVE, IRELATIVE},
};
static const struct machine {
    uint16_t number;
    const struct reloc *relocs;
    size_t n;
} MACHINES[] = {
    {EM_X86_64, X86_64, GR_COUNT(X86_64)},
    {EM_AARCH64, AARCH64, GR_COUNT(AARCH64)},
};

static const struct machine *find_machine(uint16_t number)
{
    for (size_t i = 0; i < GR_COUNT(MACHINES); i++)
        if (MACHINES[i].number == number)
            return &MACHINES[i];
    return NULL;
}

bool gr_elf_image_knows(uint16_t machine)
{
    return find_machine(machine) != NULL;
}

static enum kind kind_of(const struct machine *m, uint32_t type)
{
    for (size_t i = 0; m && i < m->n; i++)
        if (m->relocs[i].type == type)
            return m->relocs[i].kind;
    return FOREIGN;
}

static void read_table(struct gr_elf_image *im, int64_t table, int64_t bytes,
                       struct gr_elf_relocs *ret)
{
    uint64_t address = gr_elf_image_dyn(im, table, 0), size = gr_elf_image_dyn(im, bytes, 0);
    if (!address || !size)
        return;
    const Elf64_Rela *rela = gr_elf_image_at(im, address, size);
    if (!rela)
        return;
    if ((uintptr_t)rela % _Alignof(Elf64_Rela) || size % sizeof *rela) {
        im->defect = "its relocation table has an impossible shape";
        return;
    }
    const struct machine *machine = find_machine(im->ehdr.e_machine);
    for (size_t i = 0; i < size / sizeof *rela; i++) {
        enum kind kind = kind_of(machine, (uint32_t)ELF64_R_TYPE(rela[i].r_info));
        ret->irelative |= kind == IRELATIVE;
        ret->tp_offset |= kind == TP_OFFSET;
        ret->foreign |= kind == FOREIGN;
        if (ELF64_R_SYM(rela[i].r_info) >= ret->n_symbols)
            ret->n_symbols = ELF64_R_SYM(rela[i].r_info) + 1;
        const GElf_Phdr *target = gr_elf_image_segment(im, rela[i].r_offset, 8);
        if (!target) {
            im->defect = "a relocation points outside its segments";
            return;
        }
        ret->into_text |= !(target->p_flags & PF_W);
    }
}

struct gr_elf_relocs gr_elf_image_relocs(struct gr_elf_image *im)
{
    struct gr_elf_relocs ret = {0};
    read_table(im, DT_RELA, DT_RELASZ, &ret);
    if (!im->defect)
        read_table(im, DT_JMPREL, DT_PLTRELSZ, &ret);
    ret.foreign |= gr_elf_image_has(im, DT_REL); // 64-bit machines use RELA
    return ret;
}
