// The module that misbehaves on demand: its configuration and the table of what it can do.
#pragma once
#include "../examples/common/json-in.h"
#include "../examples/common/respond.h"
#include <grayling/module.h>
#include <stdatomic.h>

enum faulty_moment { FAULTY_NEVER, FAULTY_INIT, FAULTY_SELF_TEST, FAULTY_HANDLE };

struct faulty {
    const struct grayling_host *host;
    const struct faulty_mode *mode;
    uint64_t every;           // handle modes: of so many calls one misbehaves
    uint64_t after;           // handle modes: only once it was called so often
    uint64_t share_permyriad; // handle-error: of 10000 misbehaving calls so many fail
    int32_t code;             // handle-error: with this code
    uint64_t usec;            // handle-slow: so much longer; handle-busy: of work
    int64_t set;              // what Poke answers, with the version, as the set that this one is of
    bool tells;               // ... if the configuration names one; else {}
    bool worker_only;         // the mode sleeps in preflight, which then finds nothing
    _Atomic uint64_t calls;   // counted from 1
};

struct faulty_mode {
    const char *name;
    enum faulty_moment moment;
    // Returns the hook's code, if it returns at all. call: NULL outside handle.
    int32_t (*act)(struct faulty *f, struct grayling_call *call);
};

// faulty-attacks.c
int32_t faulty_escape(struct faulty *f, struct grayling_call *call);   // tells what it is refused
int32_t faulty_scribble(struct faulty *f, struct grayling_call *call); // over its ring

// NULL: no mode of that name.
const struct faulty_mode *faulty_find_mode(const char *name);
