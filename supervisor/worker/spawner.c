// One thread and one poll(). What it started dies with it, as it dies with the worker.
#include "worker/spawner.h"
#include "base/channel.h"
#include "base/limits.h"
#include "base/log.h"
#include "worker/isolated.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CHANNEL_FD 3                        // in every process that this program starts of itself
#define CHILDREN_MAX (2 * GR_INSTANCES_MAX) // one that comes for each that goes

struct spawned {
    struct gr_child child;
    uint64_t id;
};
struct spawner {
    int channel;
    struct spawned children[CHILDREN_MAX];
    size_t n;
    struct pollfd set[1 + CHILDREN_MAX];
};

// The running program, whatever stands in its place by now.
static int start_self(char *argument, int fd, struct gr_child *ret, struct gr_error *e)
{
    char path[] = "/proc/self/exe";
    char *argv[] = {path, argument, NULL};
    return gr_child_spawn(argv, NULL, &(struct gr_child_fd){fd, CHANNEL_FD}, 1, ret, e);
}

int gr_spawner_start(struct gr_child *ret, int *ret_channel, struct gr_error *e)
{
    int pair[2], r = gr_channel_pair(pair);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "no channel to a spawner: %s", strerror(-r));
    char argument[] = GR_SPAWNER_ARGUMENT;
    r = start_self(argument, pair[1], ret, e);
    close(pair[1]);
    if (r < 0)
        close(pair[0]);
    else
        *ret_channel = pair[0];
    return r;
}

// --- in the spawner
// ------------------------------------------------------------------------------------------------

// What cannot be sent is for a worker that does not listen any more.
static void say(const struct spawner *s, cJSON *message, int fd)
{
    GR_AUTO_JSON cJSON *m = message;
    struct pollfd room = {.fd = s->channel, .events = POLLOUT};
    int r = m ? gr_channel_send(s->channel, m, &fd, fd >= 0) : -ENOMEM;
    if (r == -EAGAIN && poll(&room, 1, -1) > 0)
        r = gr_channel_send(s->channel, m, &fd, fd >= 0);
    if (r < 0 && r != -EPIPE)
        gr_log(GR_LOG_ERROR, "the spawner cannot answer: %s", strerror(-r));
}

static cJSON *message_of(const char *type, uint64_t id)
{
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", type);
    gr_json_add_uint(m, "id", id);
    return m;
}

static void spawn(struct spawner *s, uint64_t id, int fd)
{
    struct gr_error e = {.message = "too many processes"};
    char argument[] = GR_ISOLATED_ARGUMENT;
    struct spawned *p = &s->children[s->n];
    if (s->n == GR_COUNT(s->children) || start_self(argument, fd, &p->child, &e) < 0) {
        cJSON *m = message_of("failed", id);
        cJSON_AddStringToObject(m, "message", e.message);
        say(s, m, -1);
        return;
    }
    p->id = id;
    s->n++;
    cJSON *m = message_of("spawned", id);
    cJSON_AddNumberToObject(m, "pid", p->child.pid);
    say(s, m, p->child.pidfd);
}

static void reap(struct spawner *s, size_t i)
{
    struct spawned *p = &s->children[i];
    siginfo_t si = {0};
    if (TEMP_FAILURE_RETRY(waitid(P_PIDFD, (id_t)p->child.pidfd, &si, WEXITED | WNOHANG)) == 0 &&
        !si.si_pid)
        return; // not yet: asked again at once
    cJSON *m = message_of("ended", p->id);
    cJSON_AddBoolToObject(m, "by_signal", si.si_code != CLD_EXITED);
    cJSON_AddNumberToObject(m, "status", si.si_status);
    say(s, m, -1);
    close(p->child.pidfd);
    *p = s->children[--s->n];
}

// false: the worker is gone.
static bool obey(struct spawner *s)
{
    GR_AUTO_JSON cJSON *m = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n_fds = 0;
    uint64_t id = 0;
    int r = gr_channel_recv(s->channel, &m, fds, &n_fds);
    if (r <= 0)
        return r == -EAGAIN;
    if (n_fds == 1 && gr_json_uint(m, "", "id", GR_JSON_REQUIRED, 1, UINT32_MAX, &id, NULL) == 0)
        spawn(s, id, fds[0]);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    return true;
}

static bool turn(struct spawner *s)
{
    s->set[0] = (struct pollfd){.fd = s->channel, .events = POLLIN};
    for (size_t i = 0; i < s->n; i++)
        s->set[1 + i] = (struct pollfd){.fd = s->children[i].child.pidfd, .events = POLLIN};
    size_t n = s->n;
    if (poll(s->set, 1 + n, -1) < 0)
        return errno == EINTR;
    for (size_t i = n; i-- > 0;) // from the end: whoever takes a reaped one's place was seen
        if (s->set[1 + i].revents)
            reap(s, i);
    return !s->set[0].revents || obey(s);
}

int gr_spawner_run(int channel)
{
    static struct spawner s;
    s.channel = channel;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN); // it ends with the worker, not before
    prctl(PR_SET_NAME, "grayling-spawn");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return EXIT_FAILURE;
    while (turn(&s))
        continue;
    return EXIT_SUCCESS;
}
