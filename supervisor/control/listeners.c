// Owns the opening of listening sockets.
#include "control/listeners.h"
#include "base/fault.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define BACKLOG 4096
#define STORED_NAME "front-door" // of what systemd's descriptor store keeps for us over a restart

int gr_listener_describe(int fd, char **ret)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return -errno;
    if (ss.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&ss;
        return asprintf(ret, "unix:%s", un->sun_path) < 0 ? -ENOMEM : 0;
    }
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)&ss, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -EINVAL;
    return asprintf(ret, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port) < 0 ? -ENOMEM
                                                                                         : 0;
}

static int refuse(const char *address, int code, struct gr_error *e)
{
    return gr_error_set(e, code, GR_REASON_INTERNAL,
                        "cannot listen on %s: %s; expected a free local address (host:port, "
                        "[v6]:port or unix:/path). Change Listen, or "
                        "end what holds it (ss -ltnp)",
                        address, strerror(-code));
}

static bool nobody_answers(const struct sockaddr_un *un)
{
    int fd GR_AUTO_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 &&
           errno == ECONNREFUSED;
}

static int open_unix(const char *path, int *ret)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof un.sun_path)
        return -ENAMETOOLONG;
    memcpy(un.sun_path, path, strlen(path));
    int fd GR_AUTO_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && nobody_answers(&un))
        unlink(path);
    if (bind(fd, (const struct sockaddr *)&un, sizeof un) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    if (chmod(path, 0660) < 0)
        return -errno;
    *ret = gr_steal_fd(&fd);
    return 0;
}

static int open_tcp(const char *address, int *ret)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1])
        return -EINVAL;
    char host[256];
    size_t n = (size_t)(colon - address);
    const char *begin = address;
    if (begin[0] == '[' && n > 2 && begin[n - 1] == ']') {
        begin++;
        n -= 2;
    }
    if (n >= sizeof host)
        return -EINVAL;
    memcpy(host, begin, n);
    host[n] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
                    *ai = NULL;
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof host, "127.0.0.1");
    if (getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, colon + 1, &hints, &ai) != 0)
        return -EINVAL;
    int one = 1, k = 0;
    int fd GR_AUTO_CLOSE = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        k = -errno;
    freeaddrinfo(ai);
    if (k == 0)
        *ret = gr_steal_fd(&fd);
    return k;
}

int gr_listener_open_one(const char *address, int *ret_fd, char **ret_real_address,
                         struct gr_error *e)
{
    int fd GR_AUTO_CLOSE = -1;
    int k = GR_FAULT("listen.open");
    if (k == 0)
        k = strncmp(address, "unix:", 5) == 0 ? open_unix(address + 5, &fd)
                                              : open_tcp(address, &fd);
    if (k == 0)
        k = gr_listener_describe(fd, ret_real_address);
    if (k < 0)
        return refuse(address, k, e);
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

static int add(struct gr_listeners *l, int fd)
{
    GR_AUTO_CLOSE int held = fd;
    if (l->n == GR_LISTEN_MAX || sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        return 0;
    int k = gr_listener_describe(fd, &l->address[l->n]);
    if (k == 0)
        l->fd[l->n++] = gr_steal_fd(&held);
    return k;
}

// What a socket unit passes goes to `l`, what we once stored to `stored`.
static int take_from_systemd(struct gr_listeners *l, struct gr_listeners *stored)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names), k = 0;
    for (int i = 0; i < n; i++) {
        int r = add(strcmp(names[i], STORED_NAME) == 0 ? stored : l, SD_LISTEN_FDS_START + i);
        k = r < 0 ? r : k;
        free(names[i]);
    }
    free(names);
    return k;
}

// A unix socket is reached by its file, and systemd clears the runtime directory between two runs.
static bool is_reachable(const char *address)
{
    struct stat st;
    return strncmp(address, "unix:", 5) != 0 ||
           (lstat(address + 5, &st) == 0 && S_ISSOCK(st.st_mode));
}

static bool is_adopted(struct gr_listeners *adopted, const char *address, struct gr_listeners *l)
{
    for (size_t i = 0; i < adopted->n; i++)
        if (strcmp(adopted->address[i], address) == 0 && is_reachable(address)) {
            l->fd[l->n] = adopted->fd[i];
            l->address[l->n++] = adopted->address[i];
            adopted->n--;
            adopted->fd[i] = adopted->fd[adopted->n];
            adopted->address[i] = adopted->address[adopted->n];
            return true;
        }
    return false;
}

// Exactly these are stored from now on. systemd that keeps no descriptors, or nobody, ignores it.
static void store(const struct gr_listeners *l, size_t first)
{
    (void)sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" STORED_NAME);
    for (size_t i = first; i < l->n; i++)
        if (strncmp(l->address[i], "unix:", 5) != 0)
            (void)sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=" STORED_NAME, &l->fd[i], 1);
}

int gr_listeners_open(const struct gr_config *c, struct gr_listeners *adopted,
                      struct gr_listeners *ret, struct gr_error *e)
{
    struct gr_listeners l = {0};
    struct gr_listeners stored GR_CLEANUP(gr_listeners_done) = {0};
    int k = take_from_systemd(&l, &stored);
    size_t passed = l.n, wanted = passed ? 0 : c->n_listen; // those of a socket unit win
    for (size_t i = 0; k == 0 && i < wanted; i++) {
        if (is_adopted(&stored, c->listen[i], &l) || is_adopted(adopted, c->listen[i], &l))
            continue;
        k = gr_listener_open_one(c->listen[i], &l.fd[l.n], &l.address[l.n], e);
        l.n += k == 0;
    }
    if (k < 0) {
        gr_listeners_done(&l);
        return k;
    }
    store(&l, passed);
    *ret = l;
    return 0;
}

void gr_listeners_done(struct gr_listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        close(l->fd[i]);
        free(l->address[i]);
    }
    *l = (struct gr_listeners){0};
}
