// What an ELF file says about itself, read from its bytes without running one of them: program
// headers and the dynamic section only, because the loader uses nothing else and section headers
// may lie. Facts, no opinion; elf-policy.h has the opinion.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_elf_facts {
    bool is_elf;        // the identification is an ELF one; everything else is unset when not
    const char *defect; // what does not hold together ("a segment lies beyond the end of the
                        // file"); NULL: nothing
    uint8_t elf_class, data, osabi;
    uint16_t type, machine;
    bool machine_known;
    // the rest is read for 64-bit little-endian files of known machines (x86-64, aarch64),
    // whichever the host is, and as far as no defect was found
    bool has_interpreter, has_dynamic, exec_stack, write_and_exec, text_relocations;
    bool has_tls, static_tls, gnu_unique, ifunc;
    bool rpath, runpath, filter, audit, nodelete, global, initfirst, noopen;
    bool go_runtime; // the Go toolchain built it: a note of its own, or its build information
    bool foreign_relocation; // a type that a module's data does not need (copy relocations, ...)
    bool has_entry;          // grayling_module_entry: a defined function in an executable segment
    size_t n_needed;
    const char *needed[GR_ELF_NEEDED_MAX]; // all strings are borrowed from the bytes
    const char *soname;                    // NULL: none
    size_t n_imports;
    const char **imports; // undefined symbols' names
    size_t n_exports;
    const char **exports; // names of defined ones that others may bind to
    const char *glibc;    // newest GLIBC_x.y version that is needed ("GLIBC_2.34"); NULL: none
    bool glibc_private;   // needs GLIBC_PRIVATE
    const char *contract; // JSON of the contract note, not terminated; NULL: none
    size_t contract_len;
    const uint8_t *build_id; // NULL: none
    size_t build_id_len;
};

// Owns: gr_elf_facts_done by caller; `bytes` must outlive the facts and be 8-byte aligned. Fails:
// -ENOMEM. A broken file is no failure: see `defect`.
GR_MUST_CHECK int gr_elf_facts_read(const void *bytes, size_t len, struct gr_elf_facts *ret);
void gr_elf_facts_done(struct gr_elf_facts *f);

// Names for sentences: "x86-64", "aarch64", "machine 40"; "64-bit little-endian".
const char *gr_elf_machine_name(uint16_t machine, char buf[24]);
const char *gr_elf_class_name(uint8_t elf_class, uint8_t data);
// Of the host that this was compiled for.
uint16_t gr_elf_host_machine(void);
