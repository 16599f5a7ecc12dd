// ELF facts by libelf on private bytes. Every offset, count and string is checked against the file
// before it is followed; the first thing that does not hold together ends the reading and becomes
// the defect.
#include "verifier/elf-facts.h"
#include "base/contract.h"
#include "verifier/elf-image.h"
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_SYMBOL "grayling_module_entry"
#define GO_NOTE_OWNER "Go"
#define GO_INFO "\xff Go buildinf:" // debug/buildinfo of Go: 16-byte aligned, in writable data
#define GO_INFO_ALIGN 16

const char *gr_elf_machine_name(uint16_t machine, char buf[24])
{
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "aarch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390";
    default:
        snprintf(buf, 24, "machine %u", machine);
        return buf;
    }
}

const char *gr_elf_class_name(uint8_t elf_class, uint8_t data)
{
    const char *const names[2][2] = {{"32-bit little-endian", "32-bit big-endian"},
                                     {"64-bit little-endian", "64-bit big-endian"}};
    if ((elf_class != ELFCLASS32 && elf_class != ELFCLASS64) ||
        (data != ELFDATA2LSB && data != ELFDATA2MSB))
        return "of unknown class";
    return names[elf_class - ELFCLASS32][data - ELFDATA2LSB];
}

uint16_t gr_elf_host_machine(void)
{
#if defined(__x86_64__)
    return EM_X86_64;
#elif defined(__aarch64__)
    return EM_AARCH64;
#else
#error "teach the verifier this machine: its number here, its relocations in elf-relocs.c"
#endif
}

static void read_flags(const struct gr_elf_image *im, struct gr_elf_facts *f)
{
    uint64_t flags = gr_elf_image_dyn(im, DT_FLAGS, 0);
    uint64_t flags_1 = gr_elf_image_dyn(im, DT_FLAGS_1, 0);
    f->text_relocations = gr_elf_image_has(im, DT_TEXTREL) || flags & DF_TEXTREL;
    f->static_tls = flags & DF_STATIC_TLS;
    f->nodelete = flags_1 & DF_1_NODELETE;
    f->global = flags_1 & DF_1_GLOBAL;
    f->initfirst = flags_1 & DF_1_INITFIRST;
    f->noopen = flags_1 & DF_1_NOOPEN;
    f->rpath = gr_elf_image_has(im, DT_RPATH);
    f->runpath = gr_elf_image_has(im, DT_RUNPATH);
    f->filter = gr_elf_image_has(im, DT_FILTER) || gr_elf_image_has(im, DT_AUXILIARY);
    f->audit = gr_elf_image_has(im, DT_AUDIT) || gr_elf_image_has(im, DT_DEPAUDIT);
}

static void read_names(struct gr_elf_image *im, struct gr_elf_facts *f)
{
    for (size_t i = 0; i < im->n_dyn && !im->defect; i++) {
        if (im->dyn[i].d_tag == DT_NEEDED) {
            if (f->n_needed == GR_COUNT(f->needed)) {
                im->defect = "it needs more libraries than are allowed";
                return;
            }
            const char *name = gr_elf_image_string(im, im->dyn[i].d_un.d_val);
            if (name)
                f->needed[f->n_needed++] = name;
        } else if (im->dyn[i].d_tag == DT_SONAME) {
            f->soname = gr_elf_image_string(im, im->dyn[i].d_un.d_val);
        }
    }
}

static bool in_executable(const struct gr_elf_image *im, uint64_t address)
{
    const GElf_Phdr *p = gr_elf_image_segment(im, address, 1);
    return p && p->p_flags & PF_X;
}

static bool is_visible(const Elf64_Sym *s)
{
    unsigned visibility = ELF64_ST_VISIBILITY(s->st_other);
    return ELF64_ST_BIND(s->st_info) != STB_LOCAL &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

static int read_symbols(struct gr_elf_image *im, size_t named, struct gr_elf_facts *f)
{
    size_t n;
    const Elf64_Sym *syms = gr_elf_image_symbols(im, named, &n);
    if (!syms)
        return 0;
    f->imports = calloc(n + 1, sizeof *f->imports);
    f->exports = calloc(n + 1, sizeof *f->exports);
    if (!f->imports || !f->exports)
        return -ENOMEM;
    for (size_t i = 1; i < n && !im->defect; i++) {
        const char *name = gr_elf_image_string(im, syms[i].st_name);
        if (!name)
            break;
        f->gnu_unique |= ELF64_ST_BIND(syms[i].st_info) == STB_GNU_UNIQUE;
        f->ifunc |= ELF64_ST_TYPE(syms[i].st_info) == STT_GNU_IFUNC;
        if (syms[i].st_shndx == SHN_UNDEF) {
            if (name[0])
                f->imports[f->n_imports++] = name;
            continue;
        }
        if (name[0] && is_visible(&syms[i]))
            f->exports[f->n_exports++] = name;
        if (strcmp(name, ENTRY_SYMBOL) == 0)
            f->has_entry =
                ELF64_ST_TYPE(syms[i].st_info) == STT_FUNC && in_executable(im, syms[i].st_value);
    }
    return 0;
}

// x.y of GLIBC_x.y as one number; 0 for names of another form.
static unsigned long glibc_number(const char *name)
{
    unsigned major, minor;
    char rest;
    int n = sscanf(name, "GLIBC_%5u.%5u%c", &major, &minor, &rest);
    return n == 2 || (n == 3 && rest == '.') ? major * 100000ul + minor : 0;
}

static void note_version(struct gr_elf_facts *f, const char *name)
{
    if (strcmp(name, "GLIBC_PRIVATE") == 0)
        f->glibc_private = true;
    unsigned long number = glibc_number(name);
    if (number && (!f->glibc || number > glibc_number(f->glibc)))
        f->glibc = name;
}

static void read_versions(struct gr_elf_image *im, struct gr_elf_facts *f)
{
    uint64_t address = gr_elf_image_dyn(im, DT_VERNEED, 0);
    uint64_t n = gr_elf_image_dyn(im, DT_VERNEEDNUM, 0);
    size_t budget = 4096; // chains may be tangled
    while (n-- && address && budget && !im->defect) {
        const Elf64_Verneed *need = gr_elf_image_at(im, address, sizeof *need);
        if (!need)
            return;
        uint64_t aux_address = address + need->vn_aux;
        for (unsigned i = 0; i < need->vn_cnt && budget; i++, budget--) {
            const Elf64_Vernaux *aux = gr_elf_image_at(im, aux_address, sizeof *aux);
            const char *name = aux ? gr_elf_image_string(im, aux->vna_name) : NULL;
            if (!name)
                return;
            note_version(f, name);
            aux_address += aux->vna_next;
        }
        budget -= budget ? 1 : 0;
        if (!need->vn_next)
            break;
        address += need->vn_next;
    }
    if (!budget)
        im->defect = "its version requirements form a tangle";
}

static bool has_go_info(const uint8_t *bytes, size_t len)
{
    const uint8_t *at = bytes, *end = bytes + len;
    while ((at = memmem(at, (size_t)(end - at), GO_INFO, strlen(GO_INFO)))) {
        if ((size_t)(at - bytes) % GO_INFO_ALIGN == 0)
            return true;
        at++;
    }
    return false;
}

static void read_notes(struct gr_elf_image *im, struct gr_elf_facts *f)
{
    for (size_t i = 0; i < im->n_phdr; i++) {
        const GElf_Phdr *p = &im->phdr[i];
        if (p->p_type != PT_NOTE || p->p_align > 4 || !p->p_filesz)
            continue; // 8-byte aligned ones hold GNU properties only
        const uint8_t *notes = im->bytes + p->p_offset;
        int c = f->contract
                    ? -ENOENT
                    : gr_contract_find_note(notes, p->p_filesz, &f->contract, &f->contract_len);
        int b = f->build_id
                    ? -ENOENT
                    : gr_contract_find_build_id(notes, p->p_filesz, &f->build_id, &f->build_id_len);
        f->go_runtime |= gr_contract_has_owner(notes, p->p_filesz, GO_NOTE_OWNER);
        if (c == -EINVAL || b == -EINVAL)
            im->defect = "its notes are malformed or contradict each other";
    }
}

// The section that holds it is not asked: section headers may be missing. Its place in memory is
// aligned, and so is its place in the file, because a page of the one is a page of the other.
static void read_go_info(const struct gr_elf_image *im, struct gr_elf_facts *f)
{
    for (size_t i = 0; i < im->n_phdr && !f->go_runtime; i++) {
        const GElf_Phdr *p = &im->phdr[i];
        size_t skip = (GO_INFO_ALIGN - p->p_offset % GO_INFO_ALIGN) % GO_INFO_ALIGN;
        if (p->p_type == PT_LOAD && p->p_flags & PF_W && p->p_filesz > skip)
            f->go_runtime = has_go_info(im->bytes + p->p_offset + skip, p->p_filesz - skip);
    }
}

static void read_segments(const struct gr_elf_image *im, struct gr_elf_facts *f)
{
    bool stack = false;
    for (size_t i = 0; i < im->n_phdr; i++) {
        const GElf_Phdr *p = &im->phdr[i];
        f->has_interpreter |= p->p_type == PT_INTERP;
        f->has_tls |= p->p_type == PT_TLS;
        if (p->p_type == PT_LOAD && p->p_flags & PF_W && p->p_flags & PF_X)
            f->write_and_exec = true;
        if (p->p_type == PT_GNU_STACK) {
            stack = true;
            f->exec_stack |= (p->p_flags & PF_X) != 0;
        }
    }
    f->exec_stack |= !stack; // the loader takes a missing header for an executable stack
}

static int read_dynamic(struct gr_elf_image *im, struct gr_elf_facts *f)
{
    f->has_dynamic = im->n_dyn > 0;
    if (!f->has_dynamic)
        return 0;
    read_flags(im, f);
    read_names(im, f);
    if (im->defect)
        return 0;
    struct gr_elf_relocs relocs = gr_elf_image_relocs(im);
    f->static_tls |= relocs.tp_offset;
    f->text_relocations |= relocs.into_text;
    f->foreign_relocation = relocs.foreign;
    f->ifunc = relocs.irelative;
    int r = im->defect ? 0 : read_symbols(im, relocs.n_symbols, f);
    if (r == 0 && !im->defect)
        read_versions(im, f);
    return r;
}

int gr_elf_facts_read(const void *bytes, size_t len, struct gr_elf_facts *ret)
{
    struct gr_elf_facts f = {0};
    struct gr_elf_image im;
    const unsigned char *ident = bytes;
    int r = 0;
    if (len < EI_NIDENT || memcmp(ident, ELFMAG, SELFMAG) != 0) {
        *ret = f;
        return 0;
    }
    f.is_elf = true;
    f.elf_class = ident[EI_CLASS];
    f.data = ident[EI_DATA];
    f.osabi = ident[EI_OSABI];
    r = gr_elf_image_open(&im, bytes, len);
    if (r < 0)
        return r;
    f.type = im.ehdr.e_type;
    f.machine = im.ehdr.e_machine;
    f.machine_known = gr_elf_image_knows(f.machine);
    if (!im.defect && f.elf_class == ELFCLASS64 && f.data == ELFDATA2LSB && f.machine_known) {
        gr_elf_image_read_headers(&im);
        read_segments(&im, &f);
        if (!im.defect)
            r = read_dynamic(&im, &f);
        if (r == 0 && !im.defect)
            read_notes(&im, &f);
        if (r == 0 && !im.defect)
            read_go_info(&im, &f);
    }
    f.defect = im.defect;
    gr_elf_image_close(&im);
    if (r < 0) {
        gr_elf_facts_done(&f);
        return r;
    }
    *ret = f;
    return 0;
}

void gr_elf_facts_done(struct gr_elf_facts *f)
{
    free(f->imports);
    free(f->exports);
    *f = (struct gr_elf_facts){0};
}
