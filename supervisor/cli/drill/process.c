// Everything is awaited by pidfd; nobody is ended by name.
#include "cli/drill/process.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

int gr_process_free_port(unsigned *ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    GR_AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return -errno;
    *ret = ntohs(a.sin_port);
    return 0;
}

int gr_process_find(const char *name, char *buf, size_t cap)
{
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/bin:/bin";
    for (const char *from = path; *from;) {
        size_t n = strcspn(from, ":");
        int len = snprintf(buf, cap, "%.*s/%s", (int)n, from, name);
        if (n && len > 0 && (size_t)len < cap && access(buf, X_OK) == 0)
            return 0;
        from += n + (from[n] == ':');
    }
    return -ENOENT;
}

int gr_process_find_daemon(char *buf, size_t cap, struct gr_error *e)
{
    char self[PATH_MAX];
    if (gr_child_find_program("graylingd", buf, cap) >= 0)
        return 0;
    if (gr_child_self_dir(self, sizeof self) >= 0 &&
        snprintf(buf, cap, "%s/../sbin/graylingd", self) < (int)cap && access(buf, X_OK) == 0)
        return 0;
    return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                        "graylingd is neither beside grayctl nor in ../sbin; one is started for "
                        "this, so install it");
}

static char **environment(const char *const *extra)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    for (size_t i = 0; extra && extra[i]; i++)
        n++;
    char **all = calloc(n + 1, sizeof *all);
    for (char **v = environ; all && *v; v++)
        if (strncmp(*v, "GRAYLING_FAULT", 14) && strncmp(*v, "NOTIFY_SOCKET=", 14))
            all[kept++] = *v;
    for (size_t i = 0; all && extra && extra[i]; i++)
        all[kept++] = (char *)(uintptr_t)extra[i]; // execve() changes none of it
    return all;
}

int gr_process_spawn(char *const argv[], const char *const *extra, const char *log,
                     struct gr_child *ret, struct gr_error *e)
{
    GR_AUTO_CLOSE int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    GR_AUTO_FREE char **env = environment(extra);
    if (fd < 0 || !env)
        return gr_error_set(e, fd < 0 ? -errno : -ENOMEM, GR_REASON_INTERNAL,
                            "cannot write %.200s: %s", log, strerror(errno));
    const struct gr_child_fd fds[] = {{fd, STDOUT_FILENO}, {fd, STDERR_FILENO}};
    return gr_child_spawn(argv, env, fds, GR_COUNT(fds), ret, e);
}

static void reap(struct gr_child *c)
{
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    close(c->pidfd);
    *c = (struct gr_child){.pidfd = -1};
}

int gr_process_await(struct gr_child *c, uint64_t timeout_usec)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    if (!c->pid)
        return 0;
    uint64_t until = gr_mono_now().usec + timeout_usec, now;
    while ((now = gr_mono_now().usec) < until) {
        if (poll(&p, 1, (int)((until - now) / GR_USEC_PER_MSEC) + 1) == 1) {
            reap(c);
            return 0;
        }
    }
    return -ETIME;
}

void gr_process_kill(struct gr_child *c)
{
    if (!c->pid)
        return;
    pidfd_send_signal(c->pidfd, SIGKILL, NULL, 0);
    reap(c);
}

const char *gr_process_last_words(const char *log, char buf[512])
{
    buf[0] = '\0';
    GR_AUTO_CLOSE int fd = open(log, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = size > 500 ? size - 500 : 0;
    ssize_t n = size > 0 ? pread(fd, buf, 500, from) : 0;
    buf[n > 0 ? n : 0] = '\0';
    for (char *p = buf; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    return buf;
}
