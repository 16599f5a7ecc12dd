// Files: no path is followed through a link, nothing is half-written. Nobody else in the tree
// renames.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>
#include <sys/types.h>

// mkdir -p for an absolute or relative path; what is made lasts. Fails: negative errno.
GR_MUST_CHECK int gr_fs_mkdir_all(const char *path, mode_t mode);
// Opens a directory for *at calls and fsync. Follows links: this path is the administrator's own,
// and systemd's StateDirectory is a link.
GR_MUST_CHECK int gr_fs_open_dir(const char *path, int *ret_fd);
// Temporary in the same directory, write, fsync, rename, fsync(dir). `name` holds no '/'. Old
// content survives any failure but one: when only the last fsync fails, the new content is in place
// and the error says that it may not survive a power cut. A killed process leaves a ".tmp-*"
// behind.
GR_MUST_CHECK int gr_fs_write_atomic(int dir_fd, const char *name, const void *bytes, size_t len,
                                     mode_t mode);
// The same, copying from another descriptor (a memfd); with O_EXCL semantics: an existing name is
// -EEXIST. On any failure nothing of it is in place; a name that was there has been synced.
GR_MUST_CHECK int gr_fs_publish_fd(int dir_fd, const char *name, int from_fd, uint64_t len,
                                   mode_t mode);
// Whole regular file into b (cap: b->max), whose former content is dropped. Fails: -ENOENT, -ELOOP
// (a link), -E2BIG, -EISDIR, -EINVAL (a device, FIFO or a name with '/').
GR_MUST_CHECK int gr_fs_read(int dir_fd, const char *name, struct gr_buf *b);
// The names in a directory last from then on, whoever made them. Fails: negative errno.
GR_MUST_CHECK int gr_fs_sync_dir(int dir_fd);
// Also syncs the directory.
GR_MUST_CHECK int gr_fs_unlink(int dir_fd, const char *name);
