// Child processes by posix_spawn (never fork in a process with threads or a large heap), identified
// by pidfd.
#pragma once
#include "base/error.h"
#include <limits.h>
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
// A program as it was when it was opened. It is started from there ever after: a service that goes
// on while its package is replaced under it must not start programs of another release, which speak
// another dialect.
struct gr_program {
    char path[PATH_MAX]; // where it was
    int fd;              // -1: not opened
};
// Fails: as gr_child_find_program(), and errno of open.
GR_MUST_CHECK int gr_program_open(const char *name, struct gr_program *ret);
void gr_program_done(struct gr_program *p);
// gr_child_spawn() of that program, whatever lies at its path by now. Needs /proc.
GR_MUST_CHECK int gr_program_spawn(const struct gr_program *p, char *const argv[],
                                   char *const envp[], const struct gr_child_fd *fds, size_t n_fds,
                                   struct gr_child *ret, struct gr_error *e);
// Gives this process the name of its program: started from a descriptor it has a number for a name.
void gr_program_take_name(void);

// Directory of the running executable, for programs that sit beside it in the build tree. Fails:
// -E2BIG and errno of readlink.
GR_MUST_CHECK int gr_child_self_dir(char *buf, size_t cap);
// First that exists: $GRAYLING_LIBEXEC/NAME, beside the running executable, one directory above it
// (the build tree's tests), the installed libexec directory. Fails: -ENOENT, -E2BIG, -EINVAL.
GR_MUST_CHECK int gr_child_find_program(const char *name, char *buf, size_t cap);
