// What the built files are, read from their bytes: the good ones have one export, a contract, a
// build-id and nothing that a host refuses; each broken one has its defect and no other.
#include "base/contract.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum defect { // bits
    NO_NOTE = 1 << 0,
    NO_ENTRY = 1 << 1,
    EXECUTABLE_STACK = 1 << 2,
    WRITABLE_TEXT = 1 << 3,
    TEXT_RELOCATIONS = 1 << 4,
    SEARCH_PATH = 1 << 5,
    NEVER_UNLOADED = 1 << 6,
    STATIC_TLS = 1 << 7,
    INDIRECT_FUNCTION = 1 << 8,
    FOREIGN_LIBRARY = 1 << 9,
    FOREIGN_MACHINE = 1 << 10,
    OTHER_NAME = 1 << 11,
    OTHER_VERSION = 1 << 12,
    OTHER_ABI = 1 << 13,
    NO_BUILD_ID = 1 << 14,
    MORE_EXPORTS = 1 << 15,
};

struct file { // a mapped file of our own making: its headers are believed
    const char *bytes;
    size_t size;
};

static const char *path_of(const char *name, char path[4096])
{
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, 4096, "%s/modules/%s.so", build ? build : ".", name);
    return path;
}

static bool is_built(const char *name)
{
    char path[4096];
    return access(path_of(name, path), R_OK) == 0;
}

static struct file map_file(const char *name)
{
    char path[4096];
    struct stat st;
    int fd = open(path_of(name, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    close(fd);
    return (struct file){.bytes = bytes, .size = (size_t)st.st_size};
}

static unsigned contract_defects(const char *json, size_t len, const char *name)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *c = NULL;
    struct gr_error e = {0};
    unsigned defects = 0;
    if (gr_contract_parse(json, len, &c, &e) < 0)
        fail_msg("%s: %s", name, e.message);
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    size_t module_len = (size_t)(strrchr(base, '-') - base);
    if (strlen(c->module.s) != module_len || strncmp(c->module.s, base, module_len) != 0)
        defects |= OTHER_NAME;
    if (strcmp(c->version.text, base + module_len + 1) != 0)
        defects |= OTHER_VERSION;
    if (c->abi_major != 1 || c->abi_minor != 0)
        defects |= OTHER_ABI;
    return defects;
}

static unsigned segment_defects(const struct file *f, const char *name)
{
    const Elf64_Ehdr *ehdr = (const void *)f->bytes;
    const Elf64_Phdr *phdr = (const void *)(f->bytes + ehdr->e_phoff);
    unsigned defects = NO_NOTE | NO_BUILD_ID;
    for (unsigned i = 0; i < ehdr->e_phnum; i++) {
        const void *bytes = f->bytes + phdr[i].p_offset;
        const char *json;
        const uint8_t *id;
        size_t len;
        if (phdr[i].p_type == PT_LOAD && (phdr[i].p_flags & PF_W) && (phdr[i].p_flags & PF_X))
            defects |= WRITABLE_TEXT;
        if (phdr[i].p_type == PT_GNU_STACK && (phdr[i].p_flags & PF_X))
            defects |= EXECUTABLE_STACK;
        if (phdr[i].p_type != PT_NOTE || phdr[i].p_align != 4)
            continue;
        if (gr_contract_find_note(bytes, phdr[i].p_filesz, &json, &len) == 0)
            defects = (defects & ~(unsigned)NO_NOTE) | contract_defects(json, len, name);
        if (gr_contract_find_build_id(bytes, phdr[i].p_filesz, &id, &len) == 0)
            defects &= ~(unsigned)NO_BUILD_ID;
    }
    return defects;
}

static unsigned dynamic_defects(const struct file *f, const Elf64_Shdr *section,
                                const Elf64_Shdr *strings)
{
    unsigned defects = 0;
    for (const Elf64_Dyn *d = (const void *)(f->bytes + section->sh_offset); d->d_tag; d++) {
        if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
            defects |= TEXT_RELOCATIONS;
        if (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_STATIC_TLS))
            defects |= STATIC_TLS;
        if (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_NODELETE))
            defects |= NEVER_UNLOADED;
        if (d->d_tag == DT_RPATH || d->d_tag == DT_RUNPATH)
            defects |= SEARCH_PATH;
        if (d->d_tag == DT_NEEDED &&
            strcmp(f->bytes + strings->sh_offset + d->d_un.d_val, "libc.so.6") != 0)
            defects |= FOREIGN_LIBRARY;
    }
    return defects;
}

static unsigned symbol_defects(const struct file *f, const Elf64_Shdr *section,
                               const Elf64_Shdr *strings)
{
    const Elf64_Sym *symbols = (const void *)(f->bytes + section->sh_offset);
    unsigned defects = NO_ENTRY;
    for (size_t i = 1; i < section->sh_size / sizeof *symbols; i++) {
        if (symbols[i].st_shndx == SHN_UNDEF || ELF64_ST_BIND(symbols[i].st_info) == STB_LOCAL)
            continue;
        if (strcmp(f->bytes + strings->sh_offset + symbols[i].st_name, "grayling_module_entry") ==
            0)
            defects &= ~(unsigned)NO_ENTRY;
        else
            defects |= MORE_EXPORTS;
    }
    return defects;
}

static unsigned relocation_defects(const struct file *f, const Elf64_Shdr *section)
{
    const Elf64_Rela *r = (const void *)(f->bytes + section->sh_offset);
    for (size_t i = 0; i < section->sh_size / sizeof *r; i++)
        if (ELF64_R_TYPE(r[i].r_info) == R_X86_64_IRELATIVE)
            return INDIRECT_FUNCTION;
    return 0;
}

static unsigned defects_of(const char *name)
{
    struct file f = map_file(name);
    const Elf64_Ehdr *ehdr = (const void *)f.bytes;
    const Elf64_Shdr *shdr = (const void *)(f.bytes + ehdr->e_shoff);
    unsigned defects = segment_defects(&f, name);
    assert_int_equal(ehdr->e_type, ET_DYN);
    if (ehdr->e_machine == EM_AARCH64)
        defects |= FOREIGN_MACHINE;
    for (unsigned i = 0; i < ehdr->e_shnum; i++) {
        const Elf64_Shdr *strings = &shdr[shdr[i].sh_link];
        if (shdr[i].sh_type == SHT_DYNAMIC)
            defects |= dynamic_defects(&f, &shdr[i], strings);
        if (shdr[i].sh_type == SHT_DYNSYM)
            defects |= symbol_defects(&f, &shdr[i], strings);
        if (shdr[i].sh_type == SHT_RELA)
            defects |= relocation_defects(&f, &shdr[i]);
    }
    munmap((void *)(uintptr_t)f.bytes, f.size);
    return defects;
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned defects;
    } files[] = {
        {"echo-1.0.0", 0},
        {"echo-1.0.1", 0},
        {"auth-1.0.0", 0},
        {"pay-1.0.0", 0},
        {"pay-1.1.0", 0},
        {"pay-1.2.0", 0},
        {"pay-1.3.0", 0},
        {"pay-1.4.0", 0},
        {"faulty-1.0.0", 0},
        {"faulty-1.1.0", 0},
        {"faulty-ctor-crash-1.0.0", 0},
        {"faulty-ctor-exit-1.0.0", 0},
        {"faulty-ctor-exit-raw-1.0.0", 0},
        {"faulty-ctor-hang-1.0.0", 0},
        {"faulty-deny-import-1.0.0", 0},
        {"faulty-undefined-symbol-1.0.0", 0},
        {"faulty-abi-block-1.0.0", 0},
        {"faulty-wrong-abi-1.0.0", OTHER_ABI},
        {"faulty-wrong-name-1.0.0", OTHER_NAME},
        {"faulty-wrong-version-1.0.0", OTHER_VERSION},
        {"faulty-no-note-1.0.0", NO_NOTE},
        {"faulty-no-entry-1.0.0", NO_ENTRY},
        {"faulty-needs-lib-1.0.0", FOREIGN_LIBRARY},
        {"faulty-rpath-1.0.0", SEARCH_PATH},
        {"echo-go-1.0.0", NEVER_UNLOADED | STATIC_TLS},
        {"echo-rust-1.0.0", FOREIGN_LIBRARY}, // libgcc_s, to unwind
        {"faulty-nodelete-1.0.0", NEVER_UNLOADED},
        {"faulty-go-1.0.0", NEVER_UNLOADED | STATIC_TLS},
        {"faulty-exec-stack-1.0.0", EXECUTABLE_STACK},
        {"faulty-textrel-1.0.0", TEXT_RELOCATIONS},
        {"faulty-writable-text-1.0.0", WRITABLE_TEXT},
        {"faulty-static-tls-1.0.0", STATIC_TLS},
        {"faulty-ifunc-1.0.0", INDIRECT_FUNCTION},
        {"next/exec-stack/faulty-2.0.0", EXECUTABLE_STACK},
    };
    for (size_t i = 0; i < GR_COUNT(files); i++) {
        if (strstr(files[i].name, "echo-") == files[i].name && !is_built(files[i].name))
            continue; // the toolchain of another language is missing
        unsigned defects = defects_of(files[i].name);
        if (defects != files[i].defects)
            fail_msg("%s: expected defects %#x, found %#x", files[i].name, files[i].defects,
                     defects);
    }
}

static void test_padding(void **state)
{
    (void)state;
    struct file f = map_file("echo-1.0.1");
    assert_in_range(f.size, 1u << 20, (1u << 20) + 65536);
    munmap((void *)(uintptr_t)f.bytes, f.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
