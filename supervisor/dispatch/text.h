// Which addresses are the text of a loaded module: asked by the fault handler, so look-up is
// async-signal-safe.
#pragma once
#include "base/limits.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_text {                 // a place in the fixed array
    _Atomic uint64_t start, end; // executable range; start 0: free
    _Atomic uint64_t base;       // of the object
    _Atomic int32_t slot;
    _Atomic uint32_t serial;    // of the load: loads.h
    _Atomic(const char *) name; // file name without directory; the instance's
};
// Fails: NULL when all places are taken. Called under a lock of the caller's.
struct gr_text *gr_text_add(uint64_t start, uint64_t end, uint64_t base, unsigned slot,
                            uint32_t serial, const char *name);
void gr_text_remove(struct gr_text *t); // NULL is nothing
// NULL: no module's text.
const struct gr_text *gr_text_find(uint64_t address);
