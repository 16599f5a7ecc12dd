// The functions of one ELF file, by address. The file is untrusted: libelf reads it from memory,
// and what it says is checked before it is used.
#pragma once
#include "base/error.h"
#include <stdint.h>

struct gr_symbols;
// Of the file, or where it was stripped of the one that holds its symbols
// (/usr/lib/debug/.build-id). `build_id` in hex, "" when it is unknown: another one is another
// file. Fails: errno of opening; -ESTALE (build_id); -ENOEXEC (no ELF); -ENODATA (no function is
// named); -EFBIG.
GR_MUST_CHECK int gr_symbols_load(const char *path, const char *build_id, struct gr_symbols **ret);
void gr_symbols_free(struct gr_symbols *s); // NULL is fine
// `address` is of the file, without where it was mapped. Borrowed; NULL: no function is there.
const char *gr_symbols_find(const struct gr_symbols *s, uint64_t address);
