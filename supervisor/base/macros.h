// Small language helpers that every file may use: cleanup attributes, ownership transfer, checked
// results.
#pragma once
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define GR_MUST_CHECK __attribute__((warn_unused_result))
#define GR_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define GR_CLEANUP(f) __attribute__((cleanup(f), unused)) // some are held only to be released
// A large buffer on a hot path: the build zeroes every automatic variable but these, so whoever
// fills it must also keep how far it is filled.
#define GR_UNINITIALIZED __attribute__((uninitialized))
#define GR_COUNT(a) (sizeof(a) / sizeof((a)[0]))

// Moves a pointer out of a variable, so that its cleanup attribute frees nothing.
#define gr_steal(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) *gr_steal_p_ = &(p);                                                         \
        __typeof__(p) gr_steal_v_ = *gr_steal_p_;                                                  \
        *gr_steal_p_ = NULL;                                                                       \
        gr_steal_v_;                                                                               \
    })
// The same for a file descriptor.
static inline int gr_steal_fd(int *fd)
{
    int v = *fd;
    *fd = -1;
    return v;
}
static inline void gr_freep(void *p)
{
    free(*(void **)p);
}
static inline void gr_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define GR_AUTO_FREE GR_CLEANUP(gr_freep)
#define GR_AUTO_CLOSE GR_CLEANUP(gr_closep)
