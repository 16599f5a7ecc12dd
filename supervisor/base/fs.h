// Files: no path is followed through a link, nothing is half-written. Nobody else in the tree renames.
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>
#include <sys/types.h>

// mkdir -p for an absolute or relative path. Fails: negative errno.
GR_MUST_CHECK int gr_fs_mkdir_all(const char *path, mode_t mode);
// Opens a directory O_PATH|O_DIRECTORY|O_CLOEXEC... usable with *at calls and fsync (O_RDONLY).
GR_MUST_CHECK int gr_fs_open_dir(const char *path, int *ret_fd);
// Temporary in the same directory, write, fsync, rename, fsync(dir). `name` holds no '/'. Old content survives any failure.
GR_MUST_CHECK int gr_fs_write_atomic(int dir_fd, const char *name, const void *bytes, size_t len, mode_t mode);
// The same, copying from another descriptor (a memfd); with O_EXCL semantics: an existing name is -EEXIST.
GR_MUST_CHECK int gr_fs_publish_fd(int dir_fd, const char *name, int from_fd, uint64_t len, mode_t mode);
// Whole file into b (cap: b->max). O_NOFOLLOW. Fails: -ENOENT, -ELOOP, -E2BIG, ...
GR_MUST_CHECK int gr_fs_read(int dir_fd, const char *name, struct gr_buf *b);
GR_MUST_CHECK int gr_fs_unlink(int dir_fd, const char *name); // and fsync of the directory
