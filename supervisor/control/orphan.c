// Owns the meeting with a worker of a supervisor that died.
#include "control/orphan.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ANSWER_MSEC 1000
#define DRAIN_USEC (10 * GR_USEC_PER_SEC)

static int meet(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, strlen(path));
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

int gr_orphan_adopt(const struct gr_config *c, struct gr_orphan *orphan, struct gr_listeners *ret)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/worker.sock", c->state_dir);
    int fd GR_AUTO_CLOSE = meet(path);
    if (fd < 0)
        return -ENOENT;
    cJSON *m GR_AUTO_JSON = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (ask(fd) < 0 || poll(&p, 1, ANSWER_MSEC) != 1 || gr_channel_recv(fd, &m, fds, &n) != 1)
        return -ENOENT;
    struct gr_listeners l = {0};
    uint64_t pid = 0;
    (void)!gr_json_uint(m, "", "pid", GR_JSON_OPTIONAL, 0, INT32_MAX, &pid, NULL);
    for (size_t i = 0; i < n; i++) {
        char *address GR_AUTO_FREE = NULL;
        if (l.n < GR_LISTEN_MAX && gr_listener_describe(fds[i], &address) == 0 &&
            is_wanted(c, address)) {
            l.fd[l.n] = fds[i];
            l.address[l.n++] = gr_steal(address);
        } else {
            close(fds[i]);
        }
    }
    gr_log(GR_LOG_NOTICE,
           "worker %d of the supervisor before serves on; %zu listening sockets were taken over "
           "from it",
           (int)pid, l.n);
    *ret = l;
    *orphan = (struct gr_orphan){.channel = gr_steal_fd(&fd), .pid = (int)pid};
    return 0;
}

void gr_orphan_release(struct gr_orphan *orphan)
{
    if (orphan->channel < 0)
        return;
    cJSON *m GR_AUTO_JSON = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "type", "drain");
    cJSON_AddNumberToObject(m, "id", 2);
    gr_json_add_uint(m, "limit_usec", DRAIN_USEC);
    int k = gr_channel_send(orphan->channel, m, NULL, 0);
    if (k < 0)
        gr_log(GR_LOG_WARNING, "the orphaned worker %d could not be told to drain: %s", orphan->pid,
               strerror(-k));
    close(orphan->channel);
    orphan->channel = -1;
}
