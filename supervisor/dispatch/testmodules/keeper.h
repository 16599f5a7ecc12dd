// What a test and the module keeper share by a pointer in its configuration: what the hooks shall
// do, and what they did.
#pragma once
#include <stdatomic.h>
#include <stdint.h>

enum keeper_act {
    KEEPER_SOUND,
    KEEPER_FAIL,
    KEEPER_CRASH,
    KEEPER_HANG,     // says so on `entered`, waits for a byte on `go`
    KEEPER_SCHEMA,   // export: another than the contract's
    KEEPER_FOREIGN,  // export: a descriptor that names no memory object
    KEEPER_TOO_MUCH, // export: more than the memory object has
    KEEPER_WRITE,    // import: into the state of the version in force
};

struct keeper_orders {
    _Atomic int on_export, on_import, on_release; // enum keeper_act, once
    _Atomic unsigned exports, imports, releases;
    int entered, go;
    uint64_t bytes;  // of state; 0: just the count
    uint32_t memory; // in a memory object
    uint32_t shares; // export() hands out the state itself and not a copy
};
