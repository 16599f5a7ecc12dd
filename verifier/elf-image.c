// An ELF file in memory with every access checked.
#include "verifier/elf-image.h"
#include <errno.h>
#include <string.h>

int gr_elf_image_open(struct gr_elf_image *im, const void *bytes, size_t len)
{
    *im = (struct gr_elf_image){.bytes = bytes, .len = len};
    if (elf_version(EV_CURRENT) == EV_NONE)
        return -ENOMEM;
    // libelf takes a plain pointer and writes to it only when asked to update, which nobody does
    // here
    im->elf = elf_memory((char *)(uintptr_t)bytes, len);
    if (!im->elf || elf_kind(im->elf) != ELF_K_ELF || !gelf_getehdr(im->elf, &im->ehdr))
        im->defect = "its ELF header is cut off or malformed";
    else if (im->ehdr.e_version != EV_CURRENT)
        im->defect = "its ELF version is unknown";
    return 0;
}

void gr_elf_image_close(struct gr_elf_image *im)
{
    elf_end(im->elf);
    im->elf = NULL;
}

static bool in_file(const struct gr_elf_image *im, uint64_t offset, uint64_t size)
{
    return offset <= im->len && size <= im->len - offset;
}

static void check_load(struct gr_elf_image *im, const GElf_Phdr *p, uint64_t *end)
{
    if (p->p_filesz > p->p_memsz || p->p_memsz > GR_ARTIFACT_BYTES_CEILING ||
        p->p_vaddr > UINT64_MAX / 2)
        im->defect = "a segment's sizes contradict each other";
    else if (p->p_vaddr < *end)
        im->defect = "its segments overlap or are out of order";
    else if (p->p_align & (p->p_align - 1) ||
             (p->p_align > 1 && (p->p_vaddr - p->p_offset) & (p->p_align - 1)))
        im->defect = "a segment is misaligned";
    *end = p->p_vaddr + p->p_memsz;
}

static void read_segments(struct gr_elf_image *im)
{
    size_t n;
    uint64_t end = 0;
    if (elf_getphdrnum(im->elf, &n) < 0 || n == 0 || n > GR_ELF_SEGMENTS_MAX ||
        im->ehdr.e_phentsize != sizeof(Elf64_Phdr) ||
        !in_file(im, im->ehdr.e_phoff, n * sizeof(Elf64_Phdr))) {
        im->defect = "its program headers are missing, too many or cut off";
        return;
    }
    for (size_t i = 0; i < n && !im->defect; i++) {
        GElf_Phdr *p = &im->phdr[i];
        if (!gelf_getphdr(im->elf, (int)i, p) ||
            (p->p_filesz && !in_file(im, p->p_offset, p->p_filesz)))
            im->defect = "a segment lies beyond the end of the file: the file is cut off";
        else if (p->p_type == PT_LOAD)
            check_load(im, p, &end);
        im->n_phdr = i + 1;
    }
}

const GElf_Phdr *gr_elf_image_segment(const struct gr_elf_image *im, uint64_t address,
                                      uint64_t size)
{
    for (size_t i = 0; i < im->n_phdr; i++) {
        const GElf_Phdr *p = &im->phdr[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr <= p->p_memsz &&
            size <= p->p_memsz - (address - p->p_vaddr))
            return p;
    }
    return NULL;
}

const void *gr_elf_image_at(struct gr_elf_image *im, uint64_t address, uint64_t size)
{
    const GElf_Phdr *p = gr_elf_image_segment(im, address, size);
    uint64_t within = p ? address - p->p_vaddr : 0;
    if (!p || within > p->p_filesz || size > p->p_filesz - within) {
        im->defect = "its dynamic section points outside the file's segments";
        return NULL;
    }
    const uint8_t *at = im->bytes + p->p_offset + within;
    if ((uintptr_t)at % 4) {
        im->defect = "a table of its dynamic section is misaligned";
        return NULL;
    }
    return at;
}

bool gr_elf_image_has(const struct gr_elf_image *im, int64_t tag)
{
    for (size_t i = 0; i < im->n_dyn; i++)
        if (im->dyn[i].d_tag == tag)
            return true;
    return false;
}

uint64_t gr_elf_image_dyn(const struct gr_elf_image *im, int64_t tag, uint64_t absent)
{
    for (size_t i = 0; i < im->n_dyn; i++)
        if (im->dyn[i].d_tag == tag)
            return im->dyn[i].d_un.d_val;
    return absent;
}

static void read_dynamic(struct gr_elf_image *im)
{
    const GElf_Phdr *dynamic = NULL;
    for (size_t i = 0; i < im->n_phdr; i++) {
        if (im->phdr[i].p_type != PT_DYNAMIC)
            continue;
        if (dynamic) {
            im->defect = "it has two dynamic sections";
            return;
        }
        dynamic = &im->phdr[i];
    }
    if (!dynamic || !dynamic->p_filesz)
        return;
    const Elf64_Dyn *dyn = gr_elf_image_at(im, dynamic->p_vaddr, dynamic->p_filesz);
    if (!dyn || (uintptr_t)dyn % _Alignof(Elf64_Dyn)) {
        im->defect = "its dynamic section lies outside its segments";
        return;
    }
    size_t n = 0, max = dynamic->p_filesz / sizeof *dyn;
    while (n < max && dyn[n].d_tag != DT_NULL)
        n++;
    if (n == max) {
        im->defect = "its dynamic section has no end";
        return;
    }
    im->dyn = dyn;
    im->n_dyn = n;
}

// Strings need no alignment, so they are found apart from the tables.
static void read_strings(struct gr_elf_image *im)
{
    uint64_t address = gr_elf_image_dyn(im, DT_STRTAB, 0), size = gr_elf_image_dyn(im, DT_STRSZ, 0);
    const GElf_Phdr *p = gr_elf_image_segment(im, address, size);
    uint64_t within = p ? address - p->p_vaddr : 0;
    if (!p || !size || within > p->p_filesz || size > p->p_filesz - within ||
        im->bytes[p->p_offset + within + size - 1] != '\0') {
        im->defect = "its string table lies outside the file or has no end";
        return;
    }
    im->strings = (const char *)im->bytes + p->p_offset + within;
    im->strings_len = size;
}

void gr_elf_image_read_headers(struct gr_elf_image *im)
{
    read_segments(im);
    if (!im->defect)
        read_dynamic(im);
    if (!im->defect && im->n_dyn)
        read_strings(im);
}

const char *gr_elf_image_string(struct gr_elf_image *im, uint64_t offset)
{
    if (offset >= im->strings_len) {
        im->defect = "a name lies outside its string table";
        return NULL;
    }
    return im->strings + offset;
}

// The GNU hash table does not say how many symbols there are: the last chain's end does.
static size_t count_by_gnu_hash(struct gr_elf_image *im, uint64_t address)
{
    const uint32_t *head = gr_elf_image_at(im, address, 16);
    if (!head)
        return 0;
    uint64_t n_buckets = head[0], first = head[1], bloom = head[2];
    uint64_t buckets_at = address + 16 + bloom * 8, last = 0;
    const uint32_t *buckets = gr_elf_image_at(im, buckets_at, n_buckets * 4);
    if (!buckets)
        return 0;
    for (uint64_t i = 0; i < n_buckets; i++)
        if (buckets[i] > last)
            last = buckets[i];
    if (last == 0)
        return first;
    if (last < first) {
        im->defect = "its symbol hash table contradicts itself";
        return 0;
    }
    for (uint64_t chain = buckets_at + n_buckets * 4; last < GR_ELF_SYMBOLS_MAX; last++) {
        const uint32_t *link = gr_elf_image_at(im, chain + (last - first) * 4, 4);
        if (!link)
            return 0;
        if (*link & 1)
            return last + 1;
    }
    im->defect = "it has more symbols than are allowed";
    return 0;
}

static size_t count_symbols(struct gr_elf_image *im)
{
    uint64_t gnu = gr_elf_image_dyn(im, DT_GNU_HASH, 0), sysv = gr_elf_image_dyn(im, DT_HASH, 0);
    if (gnu)
        return count_by_gnu_hash(im, gnu);
    const uint32_t *head = sysv ? gr_elf_image_at(im, sysv, 8) : NULL;
    if (!head) {
        im->defect = "it has no symbol hash table";
        return 0;
    }
    return head[1];
}

const Elf64_Sym *gr_elf_image_symbols(struct gr_elf_image *im, size_t named, size_t *ret_n)
{
    uint64_t address = gr_elf_image_dyn(im, DT_SYMTAB, 0);
    if (!address)
        return NULL;
    size_t n = count_symbols(im);
    if (im->defect)
        return NULL;
    if (n < named)
        n = named;
    if (n > GR_ELF_SYMBOLS_MAX ||
        gr_elf_image_dyn(im, DT_SYMENT, sizeof(Elf64_Sym)) != sizeof(Elf64_Sym)) {
        im->defect = "its symbol table has an impossible shape";
        return NULL;
    }
    const Elf64_Sym *syms = gr_elf_image_at(im, address, n * sizeof *syms);
    if (syms && (uintptr_t)syms % _Alignof(Elf64_Sym)) {
        im->defect = "its symbol table is misaligned";
        return NULL;
    }
    *ret_n = n;
    return syms;
}
