// Opens a file below a directory so that no link, no ".." and no race leads out of it.
#pragma once
#include "base/error.h"

// `path` is relative to root_fd. Fails, with nothing open: -ELOOP (a symbolic link anywhere on the
// way), -EXDEV (an absolute path or ".."), -ENOENT, -ENOTDIR, -EACCES and what openat(2) answers.
// Never blocks on a FIFO.
GR_MUST_CHECK int gr_beneath_open(int root_fd, const char *path, int *ret_fd);
