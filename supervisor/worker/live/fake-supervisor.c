// Blocking sends and receives with a deadline that only a broken worker meets.
#include "worker/live/fake-supervisor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
// after stdarg.h and setjmp.h
#include <cmocka.h>

#define STUCK_MSEC 60000

cJSON *fake_message(const char *type)
{
    cJSON *m = cJSON_CreateObject();
    assert_non_null(cJSON_AddStringToObject(m, "type", type));
    return m;
}

bool fake_is(const cJSON *answer, const char *type)
{
    const cJSON *t = gr_json_get(answer, "type");
    return cJSON_IsString(t) && strcmp(t->valuestring, type) == 0;
}

// --- starting
// ------------------------------------------------------------------------------------------------

static void open_listeners(struct fake *f)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    f->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->tcp, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(f->tcp, 4096), 0);
    assert_int_equal(getsockname(f->tcp, (struct sockaddr *)&in, &len), 0);
    f->port = ntohs(in.sin_port);

    static unsigned count;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(f->unix_path, sizeof f->unix_path, "/tmp/grayling-worker-test-%d-%u", getpid(),
             count++);
    snprintf(f->adopt_path, sizeof f->adopt_path, "%.90s-adopt", f->unix_path);
    memcpy(un.sun_path, f->unix_path, strlen(f->unix_path));
    f->unix_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->unix_, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(f->unix_, 64), 0);
}

static int open_adoption(struct fake *f)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, f->adopt_path, strlen(f->adopt_path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void say_hello(struct fake *f, unsigned threads, uint64_t orphan_usec)
{
    cJSON *m = fake_message("hello");
    char store[512];
    snprintf(store, sizeof store, "%s/modules", getenv("GRAYLING_BUILD"));
    cJSON_AddStringToObject(m, "service", "order");
    cJSON_AddStringToObject(m, "instance", "test");
    cJSON_AddNumberToObject(m, "threads", threads);
    cJSON_AddStringToObject(m, "store", store);
    cJSON_AddBoolToObject(m, "adoptable", true);
    cJSON_AddNumberToObject(m, "orphan_usec", (double)orphan_usec);
    cJSON *listeners = cJSON_AddArrayToObject(m, "listeners");
    cJSON_AddItemToArray(listeners, cJSON_CreateObject());
    cJSON_AddItemToArray(listeners, cJSON_CreateObject());
    int fds[] = {f->stats_fd, f->harms_fd, f->tcp, f->unix_, open_adoption(f)};
    assert_int_equal(gr_channel_send(f->channel, m, fds, GR_COUNT(fds)), 0);
    close(fds[4]);
    cJSON_Delete(m);
    m = fake_await_unasked(f);
    assert_true(fake_is(m, "hello-ok"));
    cJSON_Delete(m);
}

struct fake *fake_start(unsigned threads, uint64_t orphan_usec)
{
    struct fake *f = calloc(1, sizeof *f);
    char program[4096];
    int pair[2];
    struct gr_error e = {0};
    assert_non_null(f);
    f->unasked = cJSON_CreateArray();
    f->next_id = f->next_table = 1;
    open_listeners(f);
    assert_int_equal(gr_stats_new(&f->stats, &f->stats_fd), 0);
    assert_int_equal(gr_harms_new(&f->harms, &f->harms_fd), 0);
    assert_int_equal(gr_child_find_program("grayling-worker", program, sizeof program), 0);
    assert_int_equal(gr_channel_pair(pair), 0);
    f->channel = pair[0];
    char *argv[] = {program, NULL};
    struct gr_child_fd map = {.from = pair[1], .to = 3};
    assert_int_equal(gr_child_spawn(argv, NULL, &map, 1, &f->child, &e), 0);
    close(pair[1]);
    say_hello(f, threads, orphan_usec);
    return f;
}

int fake_finish(struct fake *f)
{
    int status;
    assert_int_equal(waitpid(f->child.pid, &status, 0), f->child.pid);
    unlink(f->unix_path);
    unlink(f->adopt_path);
    close(f->child.pidfd);
    gr_closep(&f->channel);
    close(f->tcp);
    close(f->unix_);
    gr_stats_free(f->stats);
    close(f->stats_fd);
    gr_harms_free(f->harms);
    close(f->harms_fd);
    cJSON_Delete(f->unasked);
    free(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// --- talking
// ------------------------------------------------------------------------------------------------

uint64_t fake_send(struct fake *f, cJSON *order, int fd)
{
    uint64_t id = f->next_id++;
    cJSON_AddNumberToObject(order, "id", (double)id);
    assert_int_equal(gr_channel_send(f->channel, order, &fd, fd >= 0), 0);
    cJSON_Delete(order);
    return id;
}

static cJSON *receive(struct fake *f)
{
    cJSON *m = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n;
    struct pollfd p = {.fd = f->channel, .events = POLLIN};
    assert_int_equal(poll(&p, 1, STUCK_MSEC), 1);
    assert_int_equal(gr_channel_recv(f->channel, &m, fds, &n), 1);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    f->n_fds_seen = n;
    return m;
}

cJSON *fake_await(struct fake *f, uint64_t id)
{
    for (;;) {
        cJSON *m = receive(f);
        const cJSON *got = gr_json_get(m, "id");
        if (got && (uint64_t)got->valuedouble == id)
            return m;
        cJSON_AddItemToArray(f->unasked, m);
    }
}

cJSON *fake_await_unasked(struct fake *f)
{
    if (cJSON_GetArraySize(f->unasked) > 0)
        return cJSON_DetachItemFromArray(f->unasked, 0);
    cJSON *m = receive(f);
    assert_null(gr_json_get(m, "id"));
    return m;
}

cJSON *fake_order(struct fake *f, cJSON *order, int fd)
{
    return fake_await(f, fake_send(f, order, fd));
}

// --- orders
// ------------------------------------------------------------------------------------------------

cJSON *fake_try_load_told(struct fake *f, int slot, const char *module, const char *version,
                          const char *config, const char *peers)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/modules/%s-%s.so", getenv("GRAYLING_BUILD"), module, version);
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    gr_stats_bind(f->stats, (unsigned)slot, module, version);
    cJSON *m = fake_message("load");
    cJSON_AddNumberToObject(m, "instance", slot);
    cJSON_AddStringToObject(m, "module", module);
    cJSON_AddStringToObject(m, "version", version);
    cJSON_AddStringToObject(m, "digest", "sha256:00");
    cJSON_AddStringToObject(m, "path", path);
    cJSON_AddItemToObject(m, "config", config ? cJSON_Parse(config) : cJSON_CreateNull());
    if (peers)
        cJSON_AddItemToObject(m, "peers", cJSON_Parse(peers));
    return fake_order(f, m, fd);
}

cJSON *fake_try_load(struct fake *f, int slot, const char *module, const char *version,
                     const char *config)
{
    return fake_try_load_told(f, slot, module, version, config, NULL);
}

void fake_load(struct fake *f, int slot, const char *module, const char *version,
               const char *config)
{
    cJSON *answer = fake_try_load(f, slot, module, version, config);
    if (!fake_is(answer, "loaded"))
        fail_msg("load %s %s: %s", module, version, cJSON_Print(answer));
    cJSON_Delete(answer);
}

cJSON *fake_swap(struct fake *f, const char *module, int stable, int rescue)
{
    cJSON *m = fake_message("swap");
    cJSON_AddNumberToObject(m, "table", (double)f->next_table++);
    cJSON_AddNumberToObject(m, "budget_usec", 10e6);
    cJSON *set = cJSON_AddArrayToObject(m, "set"), *remove = cJSON_AddArrayToObject(m, "remove");
    if (stable < 0) {
        cJSON_AddItemToArray(remove, cJSON_CreateString(module));
    } else {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "module", module);
        cJSON_AddNumberToObject(o, "stable", stable);
        cJSON_AddNumberToObject(o, "rescue", rescue);
        cJSON_AddItemToArray(set, o);
    }
    return fake_order(f, m, -1);
}

void fake_serve(struct fake *f)
{
    cJSON *answer = fake_order(f, fake_message("serve"), -1);
    assert_true(fake_is(answer, "serving"));
    cJSON_Delete(answer);
}

uint64_t fake_begin_drain(struct fake *f, uint64_t limit_usec)
{
    cJSON *m = fake_message("drain");
    cJSON_AddNumberToObject(m, "limit_usec", (double)limit_usec);
    return fake_send(f, m, -1);
}
