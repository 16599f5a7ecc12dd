// Timers, the handler, and the memory in which it notes. The handler stays installed for good: a
// signal that was on its way when the last timer went would end the process otherwise.
#include "worker/sampler.h"
#include "base/macros.h"
#include "dispatch/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id // glibc names it since 2.38
#define sigev_notify_thread_id _sigev_un._tid
#endif
#ifndef __x86_64__
#error "the sampler reads the registers of an x86-64 context; teach take_sample() yours"
#endif

#define FRAME_BYTES_MAX (1u << 20) // from one frame to the next; more is no stack
#define PAGE_ZERO 4096u            // no code is there
#define NSEC_PER_SEC 1000000000L

struct gr_sampler {
    struct gr_sample *samples; // in memory that is also a file, for the kernel to copy to
    size_t max, bytes;
    _Atomic size_t next;
    int fd;
    unsigned hz;
    size_t n_timers;
    struct {
        pid_t thread;
        timer_t timer;
    } timers[GR_PROFILE_THREADS_MAX];
};

static _Atomic(struct gr_sampler *) current;
static _Atomic unsigned inside; // handlers

// --- in the handler ------------------------------------------------------------------------------

static uint64_t name(uint64_t address)
{
    const struct gr_text *t = gr_text_find(address);
    if (!t)
        return address & ~GR_SAMPLE_MODULE;
    uint64_t offset = address - atomic_load_explicit(&t->base, memory_order_relaxed);
    uint64_t serial = atomic_load_explicit(&t->serial, memory_order_relaxed);
    return GR_SAMPLE_MODULE | (serial & GR_SAMPLE_SERIAL_MAX) << GR_SAMPLE_OFFSET_BITS |
           (offset & ((UINT64_C(1) << GR_SAMPLE_OFFSET_BITS) - 1));
}

// The system call itself, since a sanitizer looks at what libc's is given.
static bool copy(const struct gr_sampler *s, struct gr_sample *to, uint64_t from)
{
    size_t at = (size_t)((char *)to->probe - (char *)s->samples);
    return syscall(SYS_pwrite64, s->fd, from, sizeof to->probe, at) == sizeof to->probe;
}

static void take_sample(struct gr_sampler *s, const ucontext_t *uc)
{
    size_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
    if (i >= s->max)
        return;
    struct gr_sample *x = &s->samples[i];
    uint64_t below = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
    uint64_t frame = (uint64_t)uc->uc_mcontext.gregs[REG_RBP];
    uint32_t n = 0;
    x->frames[n++] = name((uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
    // a frame lies above the one that it called, and not far
    while (n < GR_PROFILE_FRAMES_MAX && frame >= below && frame - below < FRAME_BYTES_MAX &&
           frame % sizeof(uint64_t) == 0 && copy(s, x, frame)) {
        if (x->probe[1] < PAGE_ZERO)
            break;
        x->frames[n++] = name(x->probe[1] - 1); // it points behind the call
        below = frame + sizeof x->probe;
        frame = x->probe[0];
    }
    atomic_store_explicit(&x->n, n, memory_order_release);
}

static void on_timer(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    int code = errno;
    atomic_fetch_add(&inside, 1);
    struct gr_sampler *s = atomic_load(&current);
    if (s)
        take_sample(s, context);
    atomic_fetch_sub(&inside, 1);
    errno = code;
}

// --- timers --------------------------------------------------------------------------------------

// As pthread_getcpuclockid() makes it, which wants a thread of this program's own
// (clock_getres(2), CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED).
static clockid_t clock_of(pid_t thread)
{
    return (clockid_t)(~(unsigned)thread << 3 | 6);
}

static bool has_timer(const struct gr_sampler *s, pid_t thread)
{
    for (size_t i = 0; i < s->n_timers; i++)
        if (s->timers[i].thread == thread)
            return true;
    return false;
}

// Threads begin in different places of their period, so that they do not all wake at once.
static int add_timer(struct gr_sampler *s, pid_t thread)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGPROF, .sigev_notify_thread_id = thread};
    long period = NSEC_PER_SEC / (long)s->hz;
    struct itimerspec each = {.it_interval.tv_nsec = period % NSEC_PER_SEC,
                              .it_interval.tv_sec = period / NSEC_PER_SEC,
                              .it_value.tv_nsec = period / 8 * (1 + thread % 8)};
    if (each.it_value.tv_nsec >= NSEC_PER_SEC)
        each.it_value.tv_nsec = NSEC_PER_SEC - 1;
    timer_t timer;
    if (timer_create(clock_of(thread), &event, &timer) < 0)
        return -errno;
    if (timer_settime(timer, 0, &each, NULL) < 0) {
        int r = -errno;
        timer_delete(timer);
        return r;
    }
    s->timers[s->n_timers].thread = thread;
    s->timers[s->n_timers++].timer = timer;
    return 0;
}

// A thread that ends between the listing and its timer is none.
static int look(struct gr_sampler *s)
{
    DIR *d = opendir("/proc/self/task");
    if (!d)
        return -errno;
    int r = 0;
    for (struct dirent *de; r == 0 && (de = readdir(d));) {
        pid_t thread = (pid_t)strtol(de->d_name, NULL, 10);
        if (thread > 0 && s->n_timers < GR_COUNT(s->timers) && !has_timer(s, thread))
            r = add_timer(s, thread);
        if (r == -EINVAL || r == -ESRCH)
            r = 0;
    }
    closedir(d);
    return r;
}

// --- life ----------------------------------------------------------------------------------------

static int install(void)
{
    struct sigaction action = {.sa_sigaction = on_timer,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGPROF, &action, NULL) < 0 ? -errno : 0;
}

// All of it is there from the start: a page that cannot be had would be a fault in the handler.
static int make_room(struct gr_sampler *s)
{
    s->bytes = s->max * sizeof *s->samples;
    s->fd = memfd_create("grayling-samples", MFD_CLOEXEC);
    if (s->fd < 0)
        return -errno;
    int r = -posix_fallocate(s->fd, 0, (off_t)s->bytes);
    if (r < 0)
        return r;
    void *at = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    s->samples = at;
    return 0;
}

int gr_sampler_start(unsigned hz, size_t max, struct gr_sampler **ret)
{
    if (atomic_load(&current))
        return -EALREADY;
    struct gr_sampler *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->fd = -1;
    s->hz = hz;
    s->max = max < GR_PROFILE_SAMPLES_MAX ? max : GR_PROFILE_SAMPLES_MAX;
    int r = make_room(s);
    if (r == 0)
        r = install();
    if (r == 0) {
        atomic_store(&current, s);
        r = look(s);
    }
    if (r == 0 && s->n_timers == 0)
        r = -ENOTSUP;
    if (r < 0) {
        gr_sampler_stop(s);
        while (!gr_sampler_is_quiet()) // at most one handler of each thread, which ends by itself
            sched_yield();
        gr_sampler_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void gr_sampler_look(struct gr_sampler *s)
{
    (void)look(s); // whom it does not find this time is found at the next look
}

void gr_sampler_stop(struct gr_sampler *s)
{
    for (size_t i = 0; i < s->n_timers; i++)
        timer_delete(s->timers[i].timer);
    s->n_timers = 0;
    atomic_store(&current, NULL);
}

bool gr_sampler_is_quiet(void)
{
    return atomic_load(&inside) == 0;
}

size_t gr_sampler_samples(const struct gr_sampler *s, const struct gr_sample **ret)
{
    size_t n = atomic_load(&s->next);
    *ret = s->samples;
    return n < s->max ? n : s->max;
}

uint64_t gr_sampler_lost(const struct gr_sampler *s)
{
    size_t n = atomic_load(&s->next);
    return n > s->max ? n - s->max : 0;
}

void gr_sampler_free(struct gr_sampler *s)
{
    if (!s)
        return;
    if (s->samples)
        munmap(s->samples, s->bytes);
    gr_closep(&s->fd);
    free(s);
}
