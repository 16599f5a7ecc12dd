// Signal handlers, alternate stacks and the jump. Everything that on_signal() reaches is
// async-signal-safe, given that backtrace() was called once before (it loads libgcc_s at its first
// use).
#include "dispatch/guard.h"
#include "dispatch/internal.h"
#include "dispatch/text.h"
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define STACK_BYTES (64u * 1024) // an AVX-512 frame alone takes 3.6 KB
#ifdef GR_TSAN
#define SAVE_MASK 1 // its wrapper of sigaction blocks all signals in the handler, SA_NODEFER or not
#else
#define SAVE_MASK 0 // two system calls less
#endif
#define NULL_PAGE 4096u  // a jump to NULL or a small offset from it
#define DEATH_SECONDS 2u // for a dying process to write its backtrace

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

enum stage {          // of the handler, for the fault that it may meet itself
    STAGE_OUTSIDE,    // it does not run
    STAGE_JUDGING,    // may this be jumped out of?
    STAGE_RECOVERING, // yes, and the backtrace is being taken
    STAGE_DYING,      // no
};

static _Thread_local struct gr_guard_self self
    __attribute__((tls_model("initial-exec"))) = {.row = -1};
static struct gr_stats_segment *evidence_segment;

// --- threads -----------------------------------------------------------------------------------

int gr_guard_enter(int32_t row, struct gr_guard_self **ret)
{
    if (self.stack)
        return -EALREADY;
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -ENOMEM;
    stack_t previous;
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK_BYTES}, &previous) < 0) {
        int code = -errno;
        munmap(stack, STACK_BYTES);
        return code;
    }
    self = (struct gr_guard_self){.row = row, .stack = stack, .previous = previous};
    *ret = &self;
    return 0;
}

void gr_guard_leave(void)
{
    if (!self.stack)
        return;
    (void)sigaltstack(&self.previous, NULL);
    munmap(self.stack, STACK_BYTES);
    self = (struct gr_guard_self){.row = -1};
}

struct gr_guard_self *gr_guard_of_thread(void)
{
    return self.stack ? &self : NULL;
}

bool gr_guard_run(struct gr_guard_self *me, int32_t (*fn)(void *), void *arg, int32_t *ret)
{
    struct gr_guard_frame frame;
    struct gr_guard_frame *volatile outer = me->armed;
    // The mask need not be saved: SA_NODEFER leaves it unchanged in the handler.
    if (sigsetjmp(frame.jump, SAVE_MASK) != 0) {
        me->armed = outer;
        return false;
    }
    me->armed = &frame;
    atomic_signal_fence(memory_order_seq_cst);
    int32_t r = fn(arg);
    atomic_signal_fence(memory_order_seq_cst);
    me->armed = outer;
    *ret = r;
    return true;
}

// --- in the handler ----------------------------------------------------------------------------

#ifndef __x86_64__
#error                                                                                             \
    "the guard reads the program counter of an x86-64 context; teach program_counter() and return_address() yours"
#endif
static uint64_t program_counter(const ucontext_t *uc)
{
    return (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
}

// After a call through a NULL pointer the caller is named by the word on top of the stack.
static uint64_t return_address(const ucontext_t *uc)
{
    return *(const uint64_t *)uc->uc_mcontext.gregs[REG_RSP];
}

// Frames from the faulting one outwards; the handler's own are dropped.
static size_t unwind(uint64_t pc, uint64_t *frames)
{
    void *raw[GR_EVIDENCE_FRAMES + 8];
    int n = backtrace(raw, GR_COUNT(raw));
    int first = 0;
    while (first < n && (uint64_t)raw[first] != pc)
        first++;
    if (first == n) { // pc is no code (a jump into nowhere): its caller is still in the list
        frames[0] = pc;
        return 1;
    }
    size_t count = 0;
    for (int i = first; i < n && count < GR_EVIDENCE_FRAMES; i++)
        frames[count++] = (uint64_t)raw[i];
    return count;
}

static _Noreturn void jump_back(void)
{
    self.stage = STAGE_OUTSIDE;
    siglongjmp(self.armed->jump, 1);
}

// Notes what happened at `at` and goes back to where the call began.
static _Noreturn void bring_back(const struct gr_caught *what, uint64_t at)
{
    self.caught = *what;
    self.caught.n_frames = 1;
    self.caught.frames[0] = at;
    self.stage = STAGE_RECOVERING;
    uint64_t frames[GR_EVIDENCE_FRAMES];
    size_t n = unwind(at, frames);
    memcpy(self.caught.frames, frames, n * sizeof(frames[0]));
    self.caught.n_frames = n;
    jump_back();
}

void gr_guard_end_call(enum gr_fault_kind kind, uint64_t caller, const char *detail)
{
    if (!self.armed || !gr_text_find(caller - 1))
        return;
    struct gr_caught what = {.kind = kind, .pc = caller};
    strncpy(what.detail, detail, sizeof(what.detail) - 1);
    bring_back(&what, caller);
}

static void write_frames(struct gr_stats_evidence *ev, const uint64_t *frames, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct gr_text *t = gr_text_find(frames[i]);
        ev->body.frame_slot[i] = t ? atomic_load(&t->slot) : -1;
        ev->body.frame_offset[i] = t ? frames[i] - atomic_load(&t->base) : frames[i];
        if (t && ev->body.slot < 0)
            ev->body.slot = atomic_load(&t->slot);
    }
    atomic_store_explicit(&ev->n_frames, (uint32_t)n, memory_order_release);
}

// The first fatal signal since the last clear is the one that is kept. false: there was one.
static bool write_evidence(const struct gr_first *first)
{
    struct gr_stats_evidence *ev = &evidence_segment->evidence;
    uint32_t none = 0;
    if (self.row >= 0)
        atomic_store(&evidence_segment->inside[self.row].faulted, 1);
    if (!atomic_compare_exchange_strong(&ev->seq, &none, 1))
        return false;
    const struct gr_text *t = gr_text_find(first->pc);
    ev->body = (struct gr_evidence){
        .signal = first->signal,
        .code = first->code,
        .address = first->address,
        .pc = first->pc,
        .slot = t ? atomic_load(&t->slot) : -1,
        .thread = self.row,
        .pid = (int32_t)getpid(),
    };
    if (self.row >= 0) {
        const struct gr_stats_inside *in = &evidence_segment->inside[self.row];
        uint32_t depth = atomic_load(&in->depth);
        if (depth > 0 && depth <= GR_CALL_DEPTH_MAX)
            strncpy(ev->body.method,
                    gr_stats_frame_method(evidence_segment, atomic_load(&in->frames[depth - 1])),
                    sizeof(ev->body.method) - 1);
        gr_stats_request_id(evidence_segment, (unsigned)self.row, ev->body.request_id);
    }
    atomic_store_explicit(&ev->seq, 2, memory_order_release);
    return true;
}

// After the rest, since unwinding a broken stack may fault, and under an alarm, since nobody knows
// which locks the faulting code holds: whatever happens, the process ends.
static void write_backtrace(uint64_t pc)
{
    uint64_t frames[GR_EVIDENCE_FRAMES];
    signal(SIGALRM, SIG_DFL);
    alarm(DEATH_SECONDS);
    write_frames(&evidence_segment->evidence, frames, unwind(pc, frames));
}

// The default action: a hardware fault happens again when the handler returns, with its true
// context for the core file.
static void die(int sig, const siginfo_t *info)
{
    signal(sig, SIG_DFL);
    if (info->si_code <= 0)
        syscall(SYS_tgkill, getpid(), gettid(), sig);
}

// The handler itself faulted.
static void on_signal_inside(int sig, const siginfo_t *info)
{
    if (self.stage == STAGE_RECOVERING) // the unwinder met a broken stack: the jump needs no frames
        jump_back();
    if (self.stage == STAGE_JUDGING) { // the stack pointer leads nowhere
        self.stage = STAGE_DYING;
        (void)write_evidence(&self.first);
    }
    die(sig, info);
}

// ThreadSanitizer runs the handler with every signal blocked, and a fault whose signal is blocked
// ends the process at once: the handler could not meet its own.
static void unblock_faults(void)
{
#ifdef GR_TSAN
    uint64_t set = 0; // as the kernel has it; libc's calls go through the sanitizer here
    for (size_t i = 0; i < GR_COUNT(signals); i++)
        set |= UINT64_C(1) << (signals[i] - 1);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, sizeof(set));
#endif
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    unblock_faults();
    if (self.stage != STAGE_OUTSIDE) {
        on_signal_inside(sig, info);
        return;
    }
    const ucontext_t *uc = context;
    uint64_t pc = program_counter(uc);
    self.first = (struct gr_first){sig, info->si_code, (uint64_t)info->si_addr, pc};
    self.stage = STAGE_JUDGING;
    if (self.armed && sig != SIGABRT && info->si_code > 0) {
        uint64_t at = pc < NULL_PAGE ? return_address(uc) : pc;
        if (gr_text_find(at))
            bring_back(&(struct gr_caught){.kind = GR_FAULT_SIGNAL,
                                           .signal = sig,
                                           .address = self.first.address,
                                           .pc = pc},
                       at);
    }
    self.stage = STAGE_DYING;
    if (write_evidence(&self.first))
        write_backtrace(pc);
    die(sig, info);
}

// --- installation ------------------------------------------------------------------------------

int gr_guard_install(struct gr_dispatch *d)
{
    if (evidence_segment)
        return -EALREADY;
    evidence_segment = d->stats->seg;
    void *prime[1];
    (void)backtrace(prime, 1);
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < GR_COUNT(signals); i++)
        if (sigaction(signals[i], &action, NULL) < 0)
            return -errno;
    return 0;
}

void gr_guard_uninstall(const struct gr_dispatch *d)
{
    if (evidence_segment != d->stats->seg)
        return;
    for (size_t i = 0; i < GR_COUNT(signals); i++)
        signal(signals[i], SIG_DFL);
    evidence_segment = NULL;
}

void gr_guard_frame_text(uint64_t address, char buf[96])
{
    const struct gr_text *t = gr_text_find(address);
    if (t)
        snprintf(buf, 96, "%.70s+0x%llx", atomic_load(&t->name),
                 (unsigned long long)(address - atomic_load(&t->base)));
    else
        snprintf(buf, 96, "0x%llx", (unsigned long long)address);
}
