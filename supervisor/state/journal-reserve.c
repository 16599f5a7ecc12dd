// Keeps room for the journal itself: a file that only takes up space, and is given up when the
// disk is full. Rolling back has to be journaled then, too.
#include "base/fs.h"
#include "state/journal-internal.h"
#include <fcntl.h>
#include <sys/statvfs.h>

#define NAME "reserve"
#define RESERVE_BYTES (1 << 20)

void gr_journal_make_reserve(struct gr_journal *j, uint64_t margin_bytes)
{
    struct statvfs fs;
    if (j->has_reserve || fstatvfs(j->dir_fd, &fs) < 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize < RESERVE_BYTES + margin_bytes)
        return;
    GR_AUTO_CLOSE int fd =
        openat(j->dir_fd, NAME, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    j->has_reserve = fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    if (fd >= 0 && !j->has_reserve)
        unlinkat(j->dir_fd, NAME, 0);
}

void gr_journal_use_reserve(struct gr_journal *j)
{
    j->has_reserve = false;
    (void)!gr_fs_unlink(j->dir_fd, NAME);
}
