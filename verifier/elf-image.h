// An ELF file in memory with every access checked: headers by libelf, then addresses, strings,
// symbols and relocations by the program headers. Private to elf-facts.c. The first thing that is
// wrong is kept in `defect`; everything answers empty after it.
#pragma once
#include "base/limits.h"
#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_elf_image {
    const uint8_t *bytes;
    size_t len;
    Elf *elf;
    const char *defect;
    GElf_Ehdr ehdr;
    size_t n_phdr;
    GElf_Phdr phdr[GR_ELF_SEGMENTS_MAX];
    const Elf64_Dyn *dyn; // up to and without DT_NULL
    size_t n_dyn;
    const char *strings;
    size_t strings_len;
};

// Reads the ELF header. Fails: -ENOMEM. `bytes` is borrowed until close.
int gr_elf_image_open(struct gr_elf_image *im, const void *bytes, size_t len);
void gr_elf_image_close(struct gr_elf_image *im);
// Program headers, then the dynamic section and its string table, for 64-bit little-endian files.
void gr_elf_image_read_headers(struct gr_elf_image *im);

bool gr_elf_image_has(const struct gr_elf_image *im, int64_t tag);
uint64_t gr_elf_image_dyn(const struct gr_elf_image *im, int64_t tag, uint64_t absent);
// The PT_LOAD whose memory holds [address, address + size), or NULL.
const GElf_Phdr *gr_elf_image_segment(const struct gr_elf_image *im, uint64_t address,
                                      uint64_t size);
// Bytes of the file that get mapped there; NULL and a defect when there are none, or not so many,
// or misaligned for 4 bytes.
const void *gr_elf_image_at(struct gr_elf_image *im, uint64_t address, uint64_t size);
// A terminated string of the dynamic string table; NULL and a defect when it lies outside.
const char *gr_elf_image_string(struct gr_elf_image *im, uint64_t offset);

// Whether its relocations are known, and with them all that is read here.
bool gr_elf_image_knows(uint16_t machine);
struct gr_elf_relocs {
    bool irelative, tp_offset, into_text, foreign;
    size_t n_symbols; // one more than the largest symbol number that is named
};
struct gr_elf_relocs gr_elf_image_relocs(struct gr_elf_image *im);
// The dynamic symbols, NULL: none (maybe with a defect). The hash table counts those that are
// exported; a table without any counts none, so that what the relocations name must count too
// (`named`).
const Elf64_Sym *gr_elf_image_symbols(struct gr_elf_image *im, size_t named, size_t *ret_n);
