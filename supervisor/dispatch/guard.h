// The fault guard: runs module code so that a fault in the module's own text ends that call and
// nothing else.
//
// It jumps only when this thread is guarded at that moment and the program counter is in a module's
// text. Anything else (libc, the allocator, the loader, the host, another thread) would be jumped
// out of with locks held, which was measured to deadlock the process (docs/DISPATCH.md): evidence
// is written and the process dies of the signal.
#pragma once
#include "dispatch/stats.h"
#include <setjmp.h>
#include <signal.h>

struct gr_dispatch;

#define GR_FAULT_DETAIL_MAX 160
struct gr_caught { // the last fault that this thread was brought back from
    enum gr_fault_kind kind;
    int signal; // 0: of another kind
    uint64_t address, pc;
    char detail[GR_FAULT_DETAIL_MAX];
    size_t n_frames;
    uint64_t frames[GR_EVIDENCE_FRAMES]; // innermost first
};

struct gr_guard_frame {
    sigjmp_buf jump;
};

struct gr_guard_self {            // one per thread, reachable from the signal handler
    struct gr_guard_frame *armed; // NULL: host code runs; a fault is the host's
    struct gr_caught caught;
    int32_t row;        // statistics row; -1: not a dispatch thread
    volatile int stage; // how far the handler has got; guard.c
    struct gr_first {   // what it was called for, should it fault itself
        int signal, code;
        uint64_t address, pc;
    } first;
    void *stack;      // alternate signal stack; NULL: this thread has none of ours
    stack_t previous; // the one to give back
};

// Gives the calling thread its alternate signal stack. Balanced by leave. Fails: -ENOMEM;
// -EALREADY.
GR_MUST_CHECK int gr_guard_enter(int32_t row, struct gr_guard_self **ret);
void gr_guard_leave(void);
// The calling thread's; NULL when it never entered.
struct gr_guard_self *gr_guard_of_thread(void);
// Runs fn(arg), which may be module code. false: it faulted, self->caught tells; *ret is untouched
// then.
bool gr_guard_run(struct gr_guard_self *self, int32_t (*fn)(void *), void *arg, int32_t *ret);
// Ends the guarded call that this thread is in and does not return, if module code at `caller` (a
// return address) asked for it; otherwise returns, and nothing was done. `detail` is copied.
void gr_guard_end_call(enum gr_fault_kind kind, uint64_t caller, const char *detail);
// "pay-1.2.0-0123456789abcdef.so+0x12f", or the bare address when it is in no module.
void gr_guard_frame_text(uint64_t address, char buf[96]);
// Puts the default actions back when `d` had installed the handlers.
void gr_guard_uninstall(const struct gr_dispatch *d);
