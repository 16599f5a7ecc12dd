// Child processes by posix_spawn (never fork in a process with threads or a large heap), identified
// by pidfd.
#pragma once
#include "base/error.h"
#include <sys/types.h>

// `from` in the parent appears as `to` in the child; any overlap of the two sides is fine.
struct gr_child_fd {
    int from, to;
};
struct gr_child {
    pid_t pid;
    int pidfd;
};
// argv[0] is the program's path. Descriptors not in `fds` (besides 0,1,2) do not reach the child;
// stdin is /dev/null unless mapped. Signal mask and dispositions are the default ones in the child.
// envp NULL: inherit.
GR_MUST_CHECK int gr_child_spawn(char *const argv[], char *const envp[],
                                 const struct gr_child_fd *fds, size_t n_fds, struct gr_child *ret,
                                 struct gr_error *e);
// Directory of the running executable, for programs that sit beside it in the build tree. Fails:
// -E2BIG and errno of readlink.
GR_MUST_CHECK int gr_child_self_dir(char *buf, size_t cap);
// First that exists: $GRAYLING_LIBEXEC/NAME, beside the running executable, one directory above it
// (the build tree's tests), the installed libexec directory. Fails: -ENOENT, -E2BIG, -EINVAL.
GR_MUST_CHECK int gr_child_find_program(const char *name, char *buf, size_t cap);
