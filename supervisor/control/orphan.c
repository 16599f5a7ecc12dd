// Owns the meeting with the workers of a supervisor that died.
#include "control/orphan.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ANSWER_USEC (10 * GR_USEC_PER_SEC) // all of them together
#define BACKLOG 4
#define DRAIN_USEC (10 * GR_USEC_PER_SEC)

static int make_address(const char *path, struct sockaddr_un *ret)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, strlen(path));
    *ret = un;
    return 0;
}

static int listen_at(const char *path)
{
    struct sockaddr_un un;
    struct stat st;
    int k = make_address(path, &un);
    if (k < 0)
        return k;
    int fd GR_AUTO_CLOSE = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); // of a dead one that had this name: each worker has its own
    if (bind(fd, (const struct sockaddr *)&un, sizeof un) < 0)
        return -errno;
    if (chmod(path, 0600) < 0 || listen(fd, BACKLOG) < 0) {
        k = -errno;
        unlink(path);
        return k;
    }
    return gr_steal_fd(&fd);
}

int gr_orphan_listen(const char *path)
{
    int fd = GR_FAULT("orphan.listen");
    if (fd == 0)
        fd = listen_at(path);
    if (fd < 0)
        gr_log(GR_LOG_WARNING,
               "a later supervisor will not find the worker that is started now: cannot listen on "
               "%s: %s",
               path, strerror(-fd));
    return fd < 0 ? -1 : fd;
}

static int meet(const char *path)
{
    struct sockaddr_un un;
    int k = GR_FAULT("orphan.meet");
    if (k == 0)
        k = make_address(path, &un);
    if (k < 0)
        return k;
    int fd GR_AUTO_CLOSE = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&un, sizeof un) < 0)
        return errno == ECONNREFUSED ? -ENOENT : -errno;
    return gr_steal_fd(&fd);
}

static int ask(int fd)
{
    cJSON *m GR_AUTO_JSON = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "describe");
    cJSON_AddNumberToObject(m, "id", 1);
    return gr_channel_send(fd, m, NULL, 0);
}

static bool is_wanted(const struct gr_config *c, const char *address)
{
    for (size_t i = 0; i < c->n_listen; i++)
        if (strcmp(c->listen[i], address) == 0)
            return true;
    return false;
}

// What the orphan holds of what is wanted and not yet taken over; the rest is closed here.
static void take_listeners(const struct gr_config *c, int *fds, size_t n, struct gr_listeners *l)
{
    for (size_t i = 0; i < n; i++) {
        char *address GR_AUTO_FREE = NULL;
        bool wanted = l->n < GR_LISTEN_MAX && gr_listener_describe(fds[i], &address) == 0 &&
                      is_wanted(c, address);
        for (size_t k = 0; wanted && k < l->n; k++)
            wanted = strcmp(l->address[k], address) != 0;
        if (!wanted) {
            close(fds[i]);
            continue;
        }
        l->fd[l->n] = fds[i];
        l->address[l->n++] = gr_steal(address);
    }
}

// Budgets go on where they are, for one that drains counts on. All of them have the same ones,
// since each supervisor takes them over.
static void take_harms(int *fds, size_t *n, struct gr_orphans *o)
{
    struct gr_harms *harms = NULL;
    if (*n == 0 || gr_harms_map(fds[*n - 1], &harms) < 0)
        return;
    int fd = fds[--*n];
    if (o->harms) {
        gr_harms_free(harms);
        close(fd);
        return;
    }
    o->harms = harms;
    o->harms_fd = fd;
}

// One that has hardly begun to run, or on a busy host, answers late; one that ended hangs up.
static bool answers(int fd, struct gr_mono until)
{
    uint64_t now = gr_mono_now().usec;
    int msec = now < until.usec ? (int)((until.usec - now) / GR_USEC_PER_MSEC) + 1 : 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return TEMP_FAILURE_RETRY(poll(&p, 1, msec)) == 1;
}

// Fails: -ENOENT (nobody is there, or nobody answers).
static int adopt(const struct gr_config *c, const char *path, struct gr_mono until,
                 struct gr_orphans *orphans, struct gr_listeners *listeners)
{
    struct gr_orphan *ret = &orphans->list[orphans->n];
    int fd GR_AUTO_CLOSE = meet(path);
    if (fd < 0) {
        if (fd == -ENOENT)
            unlink(path); // its worker is dead
        return -ENOENT;
    }
    cJSON *m GR_AUTO_JSON = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    int k = ask(fd);
    if (k == 0 && !answers(fd, until)) {
        gr_log(GR_LOG_WARNING,
               "a worker of the supervisor before does not answer at %s; it is left alone", path);
        return -ENOENT;
    }
    if (k < 0 || gr_channel_recv(fd, &m, fds, &n) != 1) {
        unlink(path); // it ended
        return -ENOENT;
    }
    uint64_t pid = 0;
    (void)!gr_json_uint(m, "", "pid", GR_JSON_OPTIONAL, 0, INT32_MAX, &pid, NULL);
    take_harms(fds, &n, orphans);
    size_t before = listeners->n;
    take_listeners(c, fds, n, listeners);
    gr_log(GR_LOG_NOTICE,
           "worker %d of the supervisor before is still there; %zu listening sockets were taken "
           "over from it",
           (int)pid, listeners->n - before);
    GR_INSTANT("orphan.adopted");
    *ret = (struct gr_orphan){.channel = gr_steal_fd(&fd), .pid = (int)pid};
    snprintf(ret->path, sizeof ret->path, "%s", path);
    return 0;
}

void gr_orphans_adopt(const struct gr_config *c, struct gr_orphans *ret,
                      struct gr_listeners *ret_listeners)
{
    DIR *dir = opendir(c->state_dir);
    if (!dir)
        return;
    struct gr_mono until = {gr_mono_now().usec + ANSWER_USEC};
    for (struct dirent *d; ret->n < GR_ORPHANS_MAX && (d = readdir(dir));) {
        char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
        size_t len = strlen(d->d_name);
        if (strncmp(d->d_name, "worker", 6) != 0 || len < 5 ||
            strcmp(d->d_name + len - 5, ".sock") != 0)
            continue;
        int k = snprintf(path, sizeof path, "%s/%s", c->state_dir, d->d_name);
        if (k > 0 && (size_t)k < sizeof path && adopt(c, path, until, ret, ret_listeners) == 0)
            ret->n++;
    }
    closedir(dir);
}

static void release(struct gr_orphan *orphan)
{
    cJSON *m GR_AUTO_JSON = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "drain");
    cJSON_AddNumberToObject(m, "id", 2);
    gr_json_add_uint(m, "limit_usec", DRAIN_USEC);
    int k = GR_FAULT("orphan.release");
    if (k == 0)
        k = gr_channel_send(orphan->channel, m, NULL, 0);
    if (k < 0)
        gr_log(GR_LOG_WARNING, "the orphaned worker %d could not be told to drain: %s", orphan->pid,
               strerror(-k));
    close(orphan->channel);
    unlink(orphan->path); // it ends by itself now
}

void gr_orphans_leave(struct gr_orphans *orphans)
{
    while (orphans->n)
        close(orphans->list[--orphans->n].channel);
}

void gr_orphans_release(struct gr_orphans *orphans)
{
    while (orphans->n)
        release(&orphans->list[--orphans->n]);
}
