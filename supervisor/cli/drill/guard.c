// Two guards, one the parent of the other: each is a subreaper, which inherits whatever is left
// below it, also the worker of a graylingd that was killed, and each outlives the other's end. The
// inner one is told of the outer one's end by a signal. All below the outer one are a process group
// of their own, so that a terminal's signals come to it alone, and it decides.
#include "cli/drill/guard.h"
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static bool kill_children(void)
{
    char path[64];
    bool any = false;
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &pid) == 1) {
        kill(pid, SIGKILL); // not reaped yet, so the number is still its own
        any = true;
    }
    if (f)
        fclose(f);
    return any;
}

// Children of children become ours when their parent ends, and are ended in the next turn.
static void end_what_is_left(void)
{
    while (kill_children())
        waitpid(-1, NULL, 0);
}

// SIGHUP, which the inner guard also gets when the outer one ends, is not passed on.
static int await(pid_t child, const sigset_t *signals, bool patient)
{
    int status = 0;
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD) {
            kill(child, patient && number != SIGHUP ? number : SIGKILL);
            patient = false;
        }
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == child)
                return status;
    }
}

struct guard {
    const struct gr_guarded *guarded;
    const char *dir;
    sigset_t signals, before;
};

static enum gr_exit finish(const struct guard *g, pid_t child)
{
    int status = await(child, &g->signals, g->guarded->patient);
    end_what_is_left();
    nftw(g->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (g->guarded->file)
        unlink(g->guarded->file);
    return WIFEXITED(status) ? (enum gr_exit)WEXITSTATUS(status) : GR_EXIT_INTERRUPTED;
}

// Returns in the parent only; in the child it runs `then` and ends with its status.
static pid_t fork_below(const struct guard *g, int when_parent_ends,
                        enum gr_exit (*then)(const struct guard *g))
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid(), child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, when_parent_ends);
    enum gr_exit status = getppid() == self ? then(g) : GR_EXIT_INTERRUPTED;
    fflush(stdout);
    _exit((int)status);
}

static enum gr_exit run(const struct guard *g)
{
    sigprocmask(SIG_SETMASK, &g->before, NULL);
    return g->guarded->run(g->guarded->userdata, g->dir);
}

static enum gr_exit inner(const struct guard *g)
{
    setpgid(0, 0);
    pid_t child = fork_below(g, SIGKILL, run);
    return child < 0 ? GR_EXIT_INTERNAL : finish(g, child);
}

int gr_guard_run(const struct gr_guarded *guarded, enum gr_exit *ret, struct gr_error *e)
{
    char dir[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    struct guard g = {.guarded = guarded, .dir = dir};
    snprintf(dir, sizeof dir, "%s/grayling-%s-XXXXXX", tmp && *tmp ? tmp : "/tmp", guarded->name);
    if (!mkdtemp(dir))
        return gr_error_set(e, -errno, GR_REASON_NONE, "cannot make %.200s: %s", dir,
                            strerror(errno));
    sigemptyset(&g.signals);
    sigaddset(&g.signals, SIGCHLD);
    sigaddset(&g.signals, SIGINT);
    sigaddset(&g.signals, SIGTERM);
    sigaddset(&g.signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &g.signals, &g.before);
    pid_t child = fork_below(&g, SIGHUP, inner);
    if (child < 0) {
        rmdir(dir);
        sigprocmask(SIG_SETMASK, &g.before, NULL);
        return gr_error_set(e, -EAGAIN, GR_REASON_INTERNAL, "cannot fork; end some processes");
    }
    *ret = finish(&g, child);
    sigprocmask(SIG_SETMASK, &g.before, NULL);
    return 0;
}
