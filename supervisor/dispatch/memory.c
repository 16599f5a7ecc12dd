// Memory objects in which modules keep state, so that it changes hands without a copy. One mapping
// each, which is the host's: it outlives the version that asked for it, and is the only view
// through which the object can be written, which the seals see to. Versions hold objects; the last
// one to let go frees.
#include "dispatch/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

struct gr_memory {
    int fd;
    dev_t device;
    ino_t inode;
    void *data;
    uint64_t size;
    unsigned holders; // under the dispatch lock
};

struct gr_hold {
    struct gr_memory *memory;
    struct gr_hold *next;
};

// --- objects -----------------------------------------------------------------------------------

static void free_memory(struct gr_memory *m)
{
    if (!m)
        return;
    if (m->data)
        munmap(m->data, m->size);
    gr_closep(&m->fd);
    free(m);
}

static void free_memoryp(struct gr_memory **m)
{
    free_memory(*m);
}

static int open_memfd(void)
{
    int fd = memfd_create("grayling-state", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3
        fd = memfd_create("grayling-state", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

// A trial run may make no files of memory, which no limit on its address space would count, and its
// state goes nowhere: the descriptor names nothing.
static struct gr_memory *make_trial_memory(uint64_t size)
{
    GR_CLEANUP(free_memoryp) struct gr_memory *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->fd = eventfd(0, EFD_CLOEXEC);
    void *data = m->fd < 0 ? MAP_FAILED
                           : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return NULL;
    m->data = data;
    m->size = size;
    return gr_steal(m);
}

static struct gr_memory *make_memory(uint64_t size)
{
    GR_CLEANUP(free_memoryp) struct gr_memory *m = calloc(1, sizeof(*m));
    struct stat st;
    if (!m)
        return NULL;
    m->fd = open_memfd();
    if (m->fd < 0 || ftruncate(m->fd, (off_t)size) < 0 || fstat(m->fd, &st) < 0)
        return NULL;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
    if (data == MAP_FAILED)
        return NULL;
    m->data = data;
    m->size = size;
    m->device = st.st_dev;
    m->inode = st.st_ino;
    // after the mapping: from here on there is no second one that can write
    return fcntl(m->fd, F_ADD_SEALS, SEALS) < 0 ? NULL : gr_steal(m);
}

// --- who holds what ----------------------------------------------------------------------------

static struct gr_hold *hold_of_locked(const struct gr_instance *i, const struct gr_memory *m)
{
    struct gr_hold *h = i->memory;
    while (h && h->memory != m)
        h = h->next;
    return h;
}

// Fails: -ENOMEM, also over GR_STATE_OBJECTS_MAX.
static int hold_locked(struct gr_instance *i, struct gr_memory *m)
{
    size_t n = 0;
    if (hold_of_locked(i, m))
        return 0;
    for (const struct gr_hold *h = i->memory; h; h = h->next)
        n++;
    struct gr_hold *h = n < GR_STATE_OBJECTS_MAX ? malloc(sizeof(*h)) : NULL;
    if (!h)
        return -ENOMEM;
    *h = (struct gr_hold){.memory = m, .next = i->memory};
    i->memory = h;
    m->holders++;
    return 0;
}

// Returns the object when nobody holds it any more, for free_memory() without the lock.
static struct gr_memory *let_go_locked(struct gr_hold **at)
{
    struct gr_hold *h = *at;
    struct gr_memory *m = h->memory;
    *at = h->next;
    free(h);
    return --m->holders == 0 ? m : NULL;
}

int gr_memory_new(struct gr_instance *i, uint64_t size, struct gr_memory **ret)
{
    struct gr_dispatch *d = i->dispatch;
    if (size == 0 || size > GR_STATE_BYTES_MAX)
        return -EINVAL;
    GR_CLEANUP(free_memoryp)
    struct gr_memory *m = i->trial ? make_trial_memory(size) : make_memory(size);
    if (!m)
        return -ENOMEM;
    pthread_mutex_lock(&d->lock);
    int r = hold_locked(i, m);
    pthread_mutex_unlock(&d->lock);
    if (r == 0)
        *ret = gr_steal(m);
    return r;
}

void gr_memory_let_go(struct gr_instance *i, const void *data)
{
    struct gr_dispatch *d = i->dispatch;
    struct gr_memory *last = NULL;
    pthread_mutex_lock(&d->lock);
    struct gr_hold **at = &i->memory;
    while (*at && (*at)->memory->data != data)
        at = &(*at)->next;
    if (*at)
        last = let_go_locked(at);
    pthread_mutex_unlock(&d->lock);
    free_memory(last);
}

void gr_memory_let_all_go(struct gr_instance *i)
{
    while (i->memory)
        gr_memory_let_go(i, i->memory->memory->data);
}

void gr_memory_describe(const struct gr_memory *m, struct grayling_bytes *ret, int *ret_fd)
{
    *ret = (struct grayling_bytes){m->data, m->size};
    *ret_fd = m->fd;
}

// --- on the way --------------------------------------------------------------------------------

// A module could have closed the number, and another file have got it.
static bool is_intact(const struct gr_memory *m)
{
    struct stat st;
    int seals = fcntl(m->fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS && fstat(m->fd, &st) == 0 &&
           st.st_dev == m->device && st.st_ino == m->inode;
}

// NULL: `why` says why not.
static struct gr_memory *find_locked(const struct gr_instance *from, int fd, uint64_t used,
                                     char why[GR_HOOK_WHERE_MAX])
{
    const struct gr_hold *h = from->memory;
    while (h && h->memory->fd != fd)
        h = h->next;
    if (!h)
        snprintf(why, GR_HOOK_WHERE_MAX,
                 "names descriptor %d, which is no memory object of memory_new()", fd);
    else if (!is_intact(h->memory))
        snprintf(why, GR_HOOK_WHERE_MAX,
                 "names descriptor %d, which is no longer the sealed memory object that it was",
                 fd);
    else if (used > h->memory->size)
        snprintf(why, GR_HOOK_WHERE_MAX, "says %llu bytes of a memory object that has %llu",
                 (unsigned long long)used, (unsigned long long)h->memory->size);
    else
        return h->memory;
    return NULL;
}

int gr_memory_take(struct gr_instance *from, struct gr_instance *to, int fd, uint64_t used,
                   struct gr_memory **ret, char why[GR_HOOK_WHERE_MAX])
{
    struct gr_dispatch *d = from->dispatch;
    pthread_mutex_lock(&d->lock);
    struct gr_memory *m = find_locked(from, fd, used, why);
    int r = m ? hold_locked(to, m) : -EINVAL;
    pthread_mutex_unlock(&d->lock);
    if (m && r < 0)
        snprintf(why, GR_HOOK_WHERE_MAX,
                 "gave a memory object too many: the next version holds %d already",
                 GR_STATE_OBJECTS_MAX);
    if (r == 0)
        *ret = m;
    return r;
}

int gr_memory_borrow(struct gr_instance *from, int fd, uint64_t used, struct gr_memory **ret,
                     char why[GR_HOOK_WHERE_MAX])
{
    struct gr_dispatch *d = from->dispatch;
    pthread_mutex_lock(&d->lock);
    struct gr_memory *m = find_locked(from, fd, used, why);
    if (m)
        m->holders++;
    pthread_mutex_unlock(&d->lock);
    *ret = m;
    return m ? 0 : -EINVAL;
}

void gr_memory_return(struct gr_instance *from, struct gr_memory *m)
{
    struct gr_dispatch *d = from->dispatch;
    pthread_mutex_lock(&d->lock);
    bool last = --m->holders == 0;
    pthread_mutex_unlock(&d->lock);
    if (last)
        free_memory(m);
}

int gr_memory_protect(const struct gr_memory *m, bool writable)
{
    int how = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    return mprotect(m->data, m->size, how) < 0 ? -errno : 0;
}
