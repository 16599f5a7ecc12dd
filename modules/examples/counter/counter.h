// What the releases of counter share: the frame (counter.c) around one way to keep state and one
// defect.
#pragma once
#include "../common/json-in.h"
#include "../common/respond.h"
#include <grayling/module.h>
#include <stdatomic.h>
#include <stdbool.h>

struct kept { // the state, as calls change it
    _Atomic uint64_t count, largest;
};

struct counter {
    const struct grayling_host *host;
    struct kept *kept; // in `own`, or in a memory object of the host's
    struct kept own;
    int32_t memory;                            // descriptor of that object
    uint64_t chance, permille;                 // of defect-hooks.c, defect-calls.c
    uint64_t odd_export, odd_import, odd_call; // of defect-odd.c
    _Atomic uint64_t calls;
};

// --- state-bytes.c, state-memory.c -------------------------------------------------------------
int32_t counter_keep(struct counter *c); // at first
int32_t counter_export(struct counter *c, struct grayling_state *out);
int32_t counter_import(struct counter *c, const struct grayling_state *in);

// --- format.c: state as bytes ------------------------------------------------------------------
struct snapshot {
    uint64_t count, largest;
};
// false: not what an export_state() of that schema has written.
bool snapshot_read(const struct grayling_state *in, struct snapshot *ret);
// Fills `out`; its release function frees.
int32_t snapshot_write(const struct grayling_host *host, const struct snapshot *s, uint32_t schema,
                       struct grayling_state *out);

// --- defect-none.c, defect-hooks.c, defect-calls.c, defect-odd.c
// -------------------------------------------------------------
bool defect_configure(struct counter *c, const struct grayling_bytes *config,
                      char why[JSON_WHY_MAX]);
// Before export_state() fills `out` (unless this has), or before import_state(): NULL.
int32_t defect_of_hook(struct counter *c, struct grayling_state *out);
int32_t defect_of_call(struct counter *c); // before it counts
