// Symbol tables into one sorted list. Of two names of one function the global one stays.
#include "cli/profile/symbols.h"
#include "base/limits.h"
#include "base/macros.h"
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1ull << 32)

struct function {
    uint64_t start, end;
    const char *name; // in the file
    bool global;
};
struct gr_symbols {
    void *bytes;
    size_t len;
    Elf *elf;
    struct function *functions;
    size_t n, room;
};

// --- the file ------------------------------------------------------------------------------------

static int map(const char *path, struct gr_symbols *s)
{
    struct stat st;
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0)
        return -ENOEXEC;
    if ((uint64_t)st.st_size > FILE_BYTES_MAX)
        return -EFBIG;
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    s->bytes = at;
    s->len = (size_t)st.st_size;
    return 0;
}

static int open_elf(const char *path, struct gr_symbols *s)
{
    int r = map(path, s);
    if (r < 0)
        return r;
    if (elf_version(EV_CURRENT) == EV_NONE)
        return -ENOEXEC;
    s->elf = elf_memory(s->bytes, s->len);
    return s->elf && elf_kind(s->elf) == ELF_K_ELF ? 0 : -ENOEXEC;
}

static bool is_build_id(const Elf_Data *d, const char *want)
{
    GElf_Nhdr note;
    size_t name, desc;
    for (size_t at = 0, next;
         (next = gelf_getnote((Elf_Data *)(uintptr_t)d, at, &note, &name, &desc)) > 0; at = next) {
        const unsigned char *id = (const unsigned char *)d->d_buf + desc;
        if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof "GNU" ||
            memcmp((const char *)d->d_buf + name, "GNU", sizeof "GNU"))
            continue;
        bool same = strlen(want) == 2 * (size_t)note.n_descsz;
        for (size_t i = 0; same && i < note.n_descsz; i++) {
            char hex[3];
            snprintf(hex, sizeof hex, "%02x", id[i]);
            same = !memcmp(hex, want + 2 * i, 2);
        }
        return same;
    }
    return false;
}

static bool has_build_id(const struct gr_symbols *s, const char *want)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(s->elf, section)))
        if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE) {
            const Elf_Data *d = elf_getdata(section, NULL);
            if (d && d->d_buf && is_build_id(d, want))
                return true;
        }
    return false;
}

// --- functions -----------------------------------------------------------------------------------

static int add(struct gr_symbols *s, const GElf_Sym *symbol, const char *name)
{
    if (s->n >= GR_ELF_SYMBOLS_MAX)
        return -EFBIG;
    if (s->n == s->room) {
        size_t more = s->room ? 2 * s->room : 256;
        struct function *grown = reallocarray(s->functions, more, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        s->functions = grown;
        s->room = more;
    }
    uint64_t end = symbol->st_value + symbol->st_size;
    s->functions[s->n++] = (struct function){.start = symbol->st_value,
                                             .end = end < symbol->st_value ? symbol->st_value : end,
                                             .name = name,
                                             .global = GELF_ST_BIND(symbol->st_info) != STB_LOCAL};
    return 0;
}

static int add_table(struct gr_symbols *s, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *d = elf_getdata(section, NULL);
    if (!d || header->sh_entsize == 0)
        return 0;
    size_t n = d->d_size / header->sh_entsize;
    int r = 0;
    for (size_t i = 0; i < n && i < GR_ELF_SYMBOLS_MAX && r == 0; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(d, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
            continue;
        int type = GELF_ST_TYPE(symbol.st_info);
        const char *name = elf_strptr(s->elf, header->sh_link, symbol.st_name);
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && name && *name)
            r = add(s, &symbol, name);
    }
    return r;
}

static int by_start(const void *a_, const void *b_)
{
    const struct function *a = a_, *b = b_;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->global != b->global ? (a->global ? -1 : 1) : strcmp(a->name, b->name);
}

// A function without a size (of hand-written code) goes to the next one.
static void arrange(struct gr_symbols *s)
{
    size_t kept = 0;
    if (s->n)
        qsort(s->functions, s->n, sizeof *s->functions, by_start);
    for (size_t i = 0; i < s->n; i++)
        if (kept == 0 || s->functions[kept - 1].start != s->functions[i].start)
            s->functions[kept++] = s->functions[i];
    s->n = kept;
    for (size_t i = 0; i + 1 < s->n; i++)
        if (s->functions[i].end == s->functions[i].start)
            s->functions[i].end = s->functions[i + 1].start;
}

// .symtab has everything that .dynsym has, and static functions too.
static int read_functions(struct gr_symbols *s, unsigned type)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    int r = 0;
    while (r == 0 && (section = elf_nextscn(s->elf, section)))
        if (gelf_getshdr(section, &header) && header.sh_type == type)
            r = add_table(s, section, &header);
    return r;
}

// --- life ----------------------------------------------------------------------------------------

static int load(const char *path, const char *build_id, const unsigned *types, size_t n,
                struct gr_symbols **ret)
{
    struct gr_symbols *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int r = open_elf(path, s);
    if (r == 0 && *build_id && !has_build_id(s, build_id))
        r = -ESTALE;
    for (size_t i = 0; i < n && r == 0 && s->n == 0; i++)
        r = read_functions(s, types[i]);
    if (r == 0 && s->n == 0)
        r = -ENODATA;
    if (r < 0) {
        gr_symbols_free(s);
        return r;
    }
    arrange(s);
    *ret = s;
    return 0;
}

int gr_symbols_load(const char *path, const char *build_id, struct gr_symbols **ret)
{
    static const unsigned whole[] = {SHT_SYMTAB}, any[] = {SHT_SYMTAB, SHT_DYNSYM};
    GR_AUTO_FREE char *apart = NULL;
    int r = load(path, build_id, whole, GR_COUNT(whole), ret);
    if (r != -ENODATA)
        return r;
    if (strlen(build_id) > 2 && strspn(build_id, "0123456789abcdef") == strlen(build_id) &&
        asprintf(&apart, "/usr/lib/debug/.build-id/%.2s/%s.debug", build_id, build_id + 2) < 0)
        return -ENOMEM;
    if (apart && load(apart, build_id, whole, GR_COUNT(whole), ret) == 0)
        return 0;
    return load(path, build_id, any, GR_COUNT(any), ret);
}

void gr_symbols_free(struct gr_symbols *s)
{
    if (!s)
        return;
    elf_end(s->elf);
    if (s->bytes)
        munmap(s->bytes, s->len);
    free(s->functions);
    free(s);
}

const char *gr_symbols_find(const struct gr_symbols *s, uint64_t address)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < s->functions[low - 1].end ? s->functions[low - 1].name : NULL;
}
