// The guard is the parent: it outlives its child, and as the subreaper it inherits whatever the
// child leaves behind, also the worker of a graylingd that was killed. When the guard itself is
// killed, the child goes with it.
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

static int await(pid_t child, const sigset_t *signals)
{
    int status = 0;
    for (;;) {
        int number = sigwaitinfo(signals, NULL);
        if (number > 0 && number != SIGCHLD)
            kill(child, SIGKILL);
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == child)
                return status;
    }
}

int gr_drill_guard(enum gr_exit (*run)(void *userdata, const char *dir), void *userdata,
                   const char *file, enum gr_exit *ret, struct gr_error *e)
{
    char dir[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    sigset_t signals, before;
    snprintf(dir, sizeof dir, "%s/grayling-drill-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return gr_error_set(e, -errno, GR_REASON_NONE, "cannot make %.200s: %s", dir,
                            strerror(errno));
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid(), child = fork();
    if (child < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "cannot fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        enum gr_exit status = getppid() == self ? run(userdata, dir) : GR_EXIT_INTERRUPTED;
        fflush(stdout);
        _exit((int)status);
    }
    int status = await(child, &signals);
    end_what_is_left();
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (file)
        unlink(file);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *ret = WIFEXITED(status) ? (enum gr_exit)WEXITSTATUS(status) : GR_EXIT_INTERRUPTED;
    return 0;
}
