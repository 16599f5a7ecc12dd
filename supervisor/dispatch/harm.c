// The segment of harm budgets and the arithmetic of one: `left` falls by one for a call that runs
// and for a bad answer, so bad answers and kept places together never exceed the total.
#include "dispatch/harm.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC UINT64_C(0x4d52414853475259)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct gr_harm {
    _Alignas(128) _Atomic int64_t left;
    _Atomic uint64_t given;
    uint64_t total;
    char module[72];
    // The supervisor's.
    _Atomic int64_t rollout;
    _Atomic bool open, used; // used: it was ever open
};

struct segment {
    uint64_t magic, layout, next; // next: where a free one is looked for first
    struct gr_harm list[GR_HARMS_MAX];
};

struct gr_harms {
    struct segment *seg;
};

// --- the segment -------------------------------------------------------------------------------

static int open_memfd(void)
{
    int fd = memfd_create("grayling-harm", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3
        fd = memfd_create("grayling-harm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, sizeof(struct segment)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int map(int fd, struct gr_harms **ret)
{
    GR_AUTO_FREE struct gr_harms *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    void *p = mmap(NULL, sizeof(*s->seg), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    s->seg = p;
    *ret = gr_steal(s);
    return 0;
}

int gr_harms_new(struct gr_harms **ret, int *ret_fd)
{
    GR_AUTO_CLOSE int fd = open_memfd();
    struct gr_harms *s = NULL;
    int r = fd < 0 ? fd : map(fd, &s);
    if (r < 0)
        return r;
    s->seg->layout = sizeof(*s->seg);
    s->seg->magic = MAGIC;
    *ret = s;
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

int gr_harms_map(int fd, struct gr_harms **ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != sizeof(struct segment))
        return -EPROTO;
    struct gr_harms *s = NULL;
    int r = map(fd, &s);
    if (r < 0)
        return r;
    if (s->seg->magic != MAGIC || s->seg->layout != sizeof(*s->seg)) {
        gr_harms_free(s);
        return -EPROTO;
    }
    *ret = s;
    return 0;
}

void gr_harms_free(struct gr_harms *s)
{
    if (!s)
        return;
    munmap(s->seg, sizeof(*s->seg));
    free(s);
}

struct gr_harm *gr_harms_at(struct gr_harms *s, unsigned number)
{
    bool is = number < GR_HARMS_MAX && atomic_load(&s->seg->list[number].used);
    return is ? &s->seg->list[number] : NULL;
}

// --- open and close ----------------------------------------------------------------------------

static void set_left(struct gr_harm *h)
{
    uint64_t given = atomic_load(&h->given);
    atomic_store(&h->left, given < h->total ? (int64_t)(h->total - given) : 0);
}

struct gr_harm *gr_harms_find(struct gr_harms *s, int64_t rollout, const struct gr_name *module)
{
    for (unsigned i = 0; i < GR_HARMS_MAX; i++) {
        struct gr_harm *h = &s->seg->list[i];
        if (atomic_load(&h->open) && atomic_load(&h->rollout) == rollout &&
            strcmp(h->module, module->s) == 0)
            return h;
    }
    return NULL;
}

int gr_harms_open(struct gr_harms *s, int64_t rollout, const struct gr_name *module, uint64_t total,
                  uint64_t given)
{
    struct gr_harm *h = gr_harms_find(s, rollout, module);
    for (unsigned i = 0; i < GR_HARMS_MAX && !h; i++) {
        struct gr_harm *one = &s->seg->list[(s->seg->next + i) % GR_HARMS_MAX];
        if (atomic_load(&one->open))
            continue;
        h = one;
        h->total = total;
        snprintf(h->module, sizeof(h->module), "%s", module->s);
        atomic_store(&h->rollout, rollout);
        atomic_store(&h->given, given);
        set_left(h);
        atomic_store(&h->used, true);
        atomic_store(&h->open, true);
        s->seg->next = (uint64_t)(h - s->seg->list) + 1;
    }
    return h ? (int)(h - s->seg->list) : -ENOSPC;
}

void gr_harms_close(struct gr_harms *s, int64_t rollout)
{
    for (unsigned i = 0; i < GR_HARMS_MAX; i++)
        if (atomic_load(&s->seg->list[i].rollout) == rollout)
            atomic_store(&s->seg->list[i].open, false);
}

void gr_harms_forget_calls(struct gr_harms *s)
{
    for (unsigned i = 0; i < GR_HARMS_MAX; i++) {
        struct gr_harm *h = &s->seg->list[i];
        if (atomic_load(&h->open))
            set_left(h);
    }
}

// --- counting ----------------------------------------------------------------------------------

bool gr_harm_take(struct gr_harm *h)
{
    int64_t left = atomic_load_explicit(&h->left, memory_order_relaxed);
    while (left > 0)
        if (atomic_compare_exchange_weak(&h->left, &left, left - 1))
            return true;
    return false;
}

void gr_harm_give_back(struct gr_harm *h)
{
    atomic_fetch_add(&h->left, 1);
}

bool gr_harm_count(struct gr_harm *h, bool taken)
{
    if (!taken)
        atomic_fetch_sub(&h->left, 1);
    return atomic_fetch_add(&h->given, 1) + 1 == h->total;
}

bool gr_harm_is_spent(const struct gr_harm *h)
{
    return atomic_load_explicit(&h->given, memory_order_acquire) >= h->total;
}

uint64_t gr_harm_given(const struct gr_harm *h)
{
    return atomic_load(&h->given);
}

int64_t gr_harm_rollout(const struct gr_harm *h)
{
    return atomic_load(&h->rollout);
}

const char *gr_harm_module(const struct gr_harm *h)
{
    return h->module;
}
