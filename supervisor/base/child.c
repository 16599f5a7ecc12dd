// Starts children with exactly the descriptors that they are meant to have, and finds the programs
// to start.
#include "base/child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MAPPED_MAX 32

// What posix_spawn needs, and the duplicates that live until it has run.
struct recipe {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int duplicates[MAPPED_MAX];
    size_t n_duplicates;
};

static void recipe_done(struct recipe *r)
{
    posix_spawn_file_actions_destroy(&r->actions);
    posix_spawnattr_destroy(&r->attributes);
    for (size_t i = 0; i < r->n_duplicates; i++)
        close(r->duplicates[i]);
}

static bool is_target(const struct gr_child_fd *fds, size_t n, int fd)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i].to == fd)
            return true;
    return false;
}

// Every source is first duplicated above all targets: from == to, swaps and chains then need no
// thought.
static int map_descriptors(struct recipe *r, const struct gr_child_fd *fds, size_t n)
{
    int top = STDERR_FILENO, error = 0;
    for (size_t i = 0; i < n; i++)
        top = fds[i].to > top ? fds[i].to : top;
    if (!is_target(fds, n, STDIN_FILENO))
        error =
            posix_spawn_file_actions_addopen(&r->actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (size_t i = 0; i < n && !error; i++) {
        int high = fcntl(fds[i].from, F_DUPFD_CLOEXEC, top + 1);
        if (high < 0)
            return -errno;
        r->duplicates[r->n_duplicates++] = high;
        error = posix_spawn_file_actions_adddup2(&r->actions, high, fds[i].to);
    }
    for (int fd = STDERR_FILENO + 1; fd < top && !error; fd++)
        if (!is_target(fds, n, fd))
            error = posix_spawn_file_actions_addclose(&r->actions, fd);
    if (!error) // also what somebody left open without O_CLOEXEC
        error = posix_spawn_file_actions_addclosefrom_np(&r->actions, top + 1);
    return -error;
}

static int reset_signals(struct recipe *r)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(&r->attributes, &none);
    if (!error)
        error = posix_spawnattr_setsigdefault(&r->attributes, &all);
    if (!error)
        error = posix_spawnattr_setflags(&r->attributes,
                                         POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -error;
}

static int spawn(const char *file, char *const argv[], char *const envp[],
                 const struct gr_child_fd *fds, size_t n_fds, struct gr_child *ret)
{
    GR_CLEANUP(recipe_done) struct recipe recipe = {.n_duplicates = 0};
    posix_spawn_file_actions_init(&recipe.actions);
    posix_spawnattr_init(&recipe.attributes);
    if (n_fds > MAPPED_MAX)
        return -E2BIG;
    int r = map_descriptors(&recipe, fds, n_fds);
    if (r == 0)
        r = reset_signals(&recipe);
    struct gr_child child = {.pidfd = -1};
    if (r == 0)
        r = -posix_spawn(&child.pid, file, &recipe.actions, &recipe.attributes, argv,
                         envp ? envp : environ);
    if (r < 0)
        return r;
    child.pidfd = pidfd_open(child.pid, 0); // nobody has reaped it: the pid is still this child's
    if (child.pidfd < 0) {
        r = -errno;
        kill(child.pid, SIGKILL);
        while (waitpid(child.pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return r;
    }
    *ret = child;
    return 0;
}

static int spawn_or_say(const char *file, char *const argv[], char *const envp[],
                        const struct gr_child_fd *fds, size_t n_fds, struct gr_child *ret,
                        struct gr_error *e)
{
    int r = spawn(file, argv, envp, fds, n_fds, ret);
    if (r < 0)
        return gr_error_set(
            e, r, GR_REASON_INTERNAL,
            "cannot start \"%s\": %s; check that it is installed and executable, and "
            "the limits on processes and open files",
            argv[0], strerror(-r));
    return 0;
}

int gr_child_spawn(char *const argv[], char *const envp[], const struct gr_child_fd *fds,
                   size_t n_fds, struct gr_child *ret, struct gr_error *e)
{
    return spawn_or_say(argv[0], argv, envp, fds, n_fds, ret, e);
}

int gr_child_self_dir(char *buf, size_t cap)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path);
    if (n < 0)
        return -errno;
    const char *slash = memrchr(path, '/', (size_t)n);
    if (!slash)
        return -ENOENT; // "(unreachable)": outside our root
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    if ((size_t)n == sizeof path || len >= cap)
        return -E2BIG;
    memcpy(buf, path, len);
    buf[len] = '\0';
    return 0;
}

static int try_program(const char *dir, const char *between, const char *name, char *buf,
                       size_t cap)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s%s/%s", dir, between, name);
    if ((size_t)n >= sizeof path)
        return -E2BIG;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return -ENOENT;
    if ((size_t)n >= cap)
        return -E2BIG;
    memcpy(buf, path, (size_t)n + 1);
    return 0;
}

int gr_child_find_program(const char *name, char *buf, size_t cap)
{
    if (!*name || strchr(name, '/'))
        return -EINVAL;
    const char *libexec = secure_getenv("GRAYLING_LIBEXEC");
    int r = libexec ? try_program(libexec, "", name, buf, cap) : -ENOENT;
    char self[PATH_MAX];
    if (r == -ENOENT && gr_child_self_dir(self, sizeof self) == 0) {
        r = try_program(self, "", name, buf, cap);
        if (r == -ENOENT) // tests live one directory below the programs
            r = try_program(self, "/..", name, buf, cap);
    }
    return r == -ENOENT ? try_program(GR_LIBEXEC_DIR, "", name, buf, cap) : r;
}

int gr_program_open(const char *name, struct gr_program *ret)
{
    struct gr_program p = {.fd = -1};
    int r = gr_child_find_program(name, p.path, sizeof p.path);
    if (r < 0)
        return r;
    p.fd = open(p.path, O_PATH | O_CLOEXEC);
    if (p.fd < 0)
        return -errno;
    *ret = p;
    return 0;
}

void gr_program_done(struct gr_program *p)
{
    gr_closep(&p->fd);
    p->fd = -1;
}

int gr_program_spawn(const struct gr_program *p, char *const argv[], char *const envp[],
                     const struct gr_child_fd *fds, size_t n_fds, struct gr_child *ret,
                     struct gr_error *e)
{
    char file[64]; // ours, not the child's "self": there the descriptor is closed by then
    snprintf(file, sizeof file, "/proc/%d/fd/%d", getpid(), p->fd);
    return spawn_or_say(file, argv, envp, fds, n_fds, ret, e);
}

void gr_program_take_name(void)
{
    prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
}
