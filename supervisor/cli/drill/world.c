// The throw-away instance: its directories, its settings, its start and its end.
#include "cli/drill/world.h"
#include "base/fs.h"
#include "base/json.h"
#include "cli/drill/misserver.h"
#include "cli/drill/process.h"
#include "cli/output.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SERVICE "drill"
#define READY_USEC (120 * GR_USEC_PER_SEC)
#define END_USEC (60 * GR_USEC_PER_SEC)
#define LOOK_USEC GR_USEC_PER_SEC // what the state's generation does not cover is looked at again

static int out_of_memory(struct gr_error *e)
{
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

static int add_set(struct gr_world *w, const char *format, ...) GR_PRINTF(2, 3);
static int add_set(struct gr_world *w, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0 || w->n_sets + 2 > GR_COUNT(w->sets))
        return -ENOMEM;
    w->sets[w->n_sets++] = text;
    return 0;
}

static int make_directories(struct gr_world *w, struct gr_error *e)
{
    static const char *const names[] = {"state", "run", "incoming", "modules.d"};
    char path[PATH_MAX + 64];
    for (size_t i = 0; i < GR_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", w->dir, names[i]);
        int r = gr_fs_mkdir_all(path, 0755);
        if (r < 0)
            return gr_error_set(e, r, GR_REASON_NONE, "cannot make %.300s: %s", path, strerror(-r));
    }
    snprintf(w->incoming, sizeof w->incoming, "%s/incoming", w->dir);
    snprintf(w->control, sizeof w->control, "%s/run/control.sock", w->dir);
    snprintf(path, sizeof path, "%s/grayling.conf", w->dir);
    FILE *f = fopen(path, "we"); // no file of the host is read
    if (!f || fclose(f) != 0)
        return gr_error_set(e, -errno, GR_REASON_NONE, "cannot make %.300s", path);
    return 0;
}

static int make_settings(struct gr_world *w, const struct gr_world_asked *asked, struct gr_error *e)
{
    unsigned door = 0, admin = 0;
    int r = gr_process_free_port(&door);
    if (r >= 0)
        r = gr_process_free_port(&admin);
    snprintf(w->door, sizeof w->door, "127.0.0.1:%u", door);
    snprintf(w->admin, sizeof w->admin, "127.0.0.1:%u", admin);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "no port of 127.0.0.1 is free: %s",
                            strerror(-r));
    r = add_set(w, "Service.Name=" SERVICE);
    r = r < 0 ? r : add_set(w, "Service.Instance=drill-1");
    r = r < 0 ? r : add_set(w, "Service.StateDirectory=%s/state", w->dir);
    r = r < 0 ? r : add_set(w, "Service.RuntimeDirectory=%s/run", w->dir);
    // a story that kills is no crash loop, unless it says so itself
    r = r < 0 ? r : add_set(w, "Service.StableAfter=0s");
    r = r < 0 ? r : add_set(w, "Dispatch.Listen=%s", w->door);
    r = r < 0 ? r : add_set(w, "Dispatch.Threads=2");
    r = r < 0 ? r : add_set(w, "Admin.Listen=%s", w->admin);
    r = r < 0 ? r : add_set(w, "Artifacts.FileRoots=%s", w->incoming);
    r = r < 0 ? r : add_set(w, "Artifacts.AllowSchemes=https file http");
    r = r < 0 ? r : add_set(w, "Artifacts.AllowHosts=127.0.0.1");
    r = r < 0 ? r : add_set(w, "Artifacts.MaxBytes=4M");
    if (asked->etcd)
        r = r < 0 ? r : add_set(w, "Source.Etcd=http://127.0.0.1:%u", w->etcd_port);
    else
        r = r < 0 ? r : add_set(w, "Source.Directory=%s/modules.d", w->dir);
    for (size_t i = 0; i < asked->n_sets; i++)
        r = r < 0 ? r : add_set(w, "%s", asked->sets[i]);
    return r < 0 ? out_of_memory(e) : 0;
}

static int open_store(struct gr_world *w, bool etcd, struct gr_error *e)
{
    char path[PATH_MAX + 64], url[64];
    struct gr_name service;
    if (!etcd) {
        snprintf(path, sizeof path, "%s/modules.d", w->dir);
        return gr_drill_store_directory(path, "drill.json", &w->store, e);
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%u", w->etcd_port);
    const char *endpoints[] = {url};
    const struct gr_etcd_config config = {.n_endpoints = 1, .endpoints = endpoints};
    if (gr_name_parse(SERVICE, strlen(SERVICE), &service) < 0)
        return -EINVAL;
    const struct gr_source_keys keys = gr_source_keys_documents(&service);
    return gr_drill_store_etcd(&config, &keys, 0, &w->store, e);
}

int gr_world_new(const struct gr_world_asked *asked, struct gr_world **ret, struct gr_error *e)
{
    struct gr_world *w = calloc(1, sizeof *w);
    if (!w)
        return out_of_memory(e);
    snprintf(w->dir, sizeof w->dir, "%s", asked->dir);
    w->daemon.pidfd = w->etcd.pidfd = -1;
    w->cli = (struct gr_cli){.out = stdout, .err = stderr, .control_path = w->control};
    int r = make_directories(w, e);
    if (r >= 0 && asked->etcd)
        r = gr_world_etcd(w, GR_WORLD_ETCD_STARTED, e);
    if (r >= 0)
        r = gr_misserver_new(w->incoming, &w->misserver, w->server, e);
    if (r >= 0)
        r = make_settings(w, asked, e);
    if (r >= 0)
        r = open_store(w, asked->etcd, e);
    if (r >= 0)
        r = gr_world_start(w, false, e);
    if (r < 0)
        gr_world_free(w);
    else
        *ret = w;
    return r;
}

void gr_world_free(struct gr_world *w)
{
    if (!w)
        return;
    if (w->daemon.pid && gr_world_stop(w, SIGTERM, NULL) < 0)
        gr_process_kill(&w->daemon);
    gr_process_kill(&w->etcd);
    gr_misserver_free(w->misserver);
    gr_drill_store_free(w->store);
    for (size_t i = 0; i < w->n_sets; i++)
        free(w->sets[i]);
    gr_cli_done(&w->cli);
    free(w);
}

// --- start and end of the daemon

static int listen_for_ready(const char *path, int *ret_fd, struct gr_error *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    GR_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof a.sun_path)
        return gr_error_set(e, -ENAMETOOLONG, GR_REASON_NONE,
                            "%.200s is too long for a socket; set TMPDIR to a shorter one", path);
    strcpy(a.sun_path, path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "cannot listen on %.200s: %s", path,
                            strerror(errno));
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

static int await_ready(struct gr_world *w, int notify, struct gr_error *e)
{
    char text[4096], log[PATH_MAX], words[512];
    struct pollfd p[] = {{.fd = notify, .events = POLLIN},
                         {.fd = w->daemon.pidfd, .events = POLLIN}};
    uint64_t until = gr_mono_now().usec + READY_USEC, now;
    while ((now = gr_mono_now().usec) < until) {
        poll(p, 2, (int)((until - now) / GR_USEC_PER_MSEC) + 1);
        ssize_t n = p[0].revents & POLLIN ? recv(notify, text, sizeof text - 1, MSG_DONTWAIT) : 0;
        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, "READY=1"))
            return 0;
        if (n <= 0 && p[1].revents & POLLIN)
            break;
    }
    snprintf(log, sizeof log, "%s/graylingd.log", w->dir);
    return gr_error_set(e, -EIO, GR_REASON_NONE, "graylingd %s; it said last: %s",
                        now < until ? "ended before it was ready" : "did not become ready",
                        gr_process_last_words(log, words));
}

int gr_world_start(struct gr_world *w, bool dying, struct gr_error *e)
{
    char program[PATH_MAX], config[PATH_MAX], log[PATH_MAX], notify[PATH_MAX], to[PATH_MAX + 32],
        fault[160];
    char option[] = "--set";
    char *argv[4 + 2 * GR_COUNT(w->sets)] = {program, (char[]){"--config"}, config};
    size_t n = 3;
    GR_AUTO_CLOSE int notify_fd = -1;
    for (size_t i = 0; i < w->n_sets; i++) {
        argv[n++] = option;
        argv[n++] = w->sets[i];
    }
    snprintf(config, sizeof config, "%s/grayling.conf", w->dir);
    snprintf(log, sizeof log, "%s/graylingd.log", w->dir);
    snprintf(notify, sizeof notify, "%s/notify.sock", w->dir);
    snprintf(to, sizeof to, "NOTIFY_SOCKET=%s", notify);
    snprintf(fault, sizeof fault, "GRAYLING_FAULT=%s", w->armed);
    const char *extra[] = {to, w->armed[0] ? fault : NULL, NULL};
    if (w->daemon.pid)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "graylingd runs already; say \"fault supervisor term\" before");
    int r = gr_process_find_daemon(program, sizeof program, e);
    if (r >= 0)
        r = listen_for_ready(notify, &notify_fd, e);
    if (r >= 0)
        r = gr_process_spawn(argv, extra, log, &w->daemon, e);
    w->armed[0] = '\0';
    if (r < 0)
        return r;
    if (!dying)
        return await_ready(w, notify_fd, e);
    r = gr_process_await(&w->daemon, READY_USEC);
    return r < 0 ? gr_error_set(e, r, GR_REASON_NONE, "graylingd was expected to die, and lives")
                 : 0;
}

int gr_world_stop(struct gr_world *w, int sig, struct gr_error *e)
{
    if (!w->daemon.pid)
        return 0;
    pidfd_send_signal(w->daemon.pidfd, sig, NULL, 0);
    int r = gr_process_await(&w->daemon, END_USEC);
    return r < 0 ? gr_error_set(e, r, GR_REASON_NONE, "graylingd did not end within 60 s") : 0;
}

bool gr_world_is_dead(const struct gr_world *w)
{
    struct pollfd p = {.fd = w->daemon.pidfd, .events = POLLIN};
    return !w->live && (!w->daemon.pid || poll(&p, 1, 0) == 1);
}

// --- questions

int gr_world_ask(struct gr_world *w, const char *method, const char *path, const cJSON *body,
                 cJSON **ret, struct gr_error *e)
{
    char log[PATH_MAX], words[512];
    int r = gr_cli_request(&w->cli, method, path, body, 0, ret, e);
    if (r != -ECONNREFUSED || !gr_world_is_dead(w))
        return r;
    snprintf(log, sizeof log, "%s/graylingd.log", w->dir);
    return gr_error_set(e, r, GR_REASON_NONE, "graylingd is dead; it said last: %s",
                        gr_process_last_words(log, words));
}

int gr_world_await(struct gr_world *w, bool (*holds)(const cJSON *status, const void *userdata),
                   const void *userdata, uint64_t timeout_usec, cJSON **ret_last,
                   struct gr_error *e)
{
    uint64_t until = gr_mono_now().usec + timeout_usec, now;
    char path[128] = "/v1/status";
    for (;;) {
        GR_AUTO_JSON cJSON *status = NULL;
        int r = gr_world_ask(w, "GET", path, NULL, &status, e);
        if (r >= 0)
            r = gr_drill_store_keep(w->store, e);
        bool held = r >= 0 && holds(status, userdata);
        now = gr_mono_now().usec;
        if (r < 0 || held || now >= until) {
            if (r >= 0 && ret_last)
                *ret_last = gr_steal(status);
            return r < 0 ? r : held ? 0 : -ETIME;
        }
        uint64_t left = until - now;
        snprintf(path, sizeof path, "/v1/status?after=%.0f&wait=%" PRIu64 "ms",
                 cJSON_GetNumberValue(gr_output_find(status, "generation")),
                 (uint64_t)((left < LOOK_USEC ? left : LOOK_USEC) / GR_USEC_PER_MSEC + 1));
    }
}

static bool is_empty(const cJSON *status, const void *userdata)
{
    const struct gr_world *w = userdata;
    const cJSON *m;
    cJSON_ArrayForEach(m, gr_output_find(status, "modules"))
    {
        if (!w->live || !strncmp(gr_output_text(m, "module"), "drill-", 6))
            return false;
    }
    return true;
}

int gr_world_clear(struct gr_world *w, struct gr_error *e)
{
    int r = gr_drill_store_clear(w->store, e);
    if (r < 0)
        return r;
    GR_AUTO_JSON cJSON *last = NULL;
    r = gr_world_await(w, is_empty, w, GR_DRILL_PATIENCE_USEC, &last, e);
    if (r != -ETIME)
        return r;
    GR_AUTO_FREE char *left = gr_json_format(gr_output_find(last, "modules"));
    return gr_error_set(e, r, GR_REASON_NONE,
                        "the documents are removed, and the instance keeps the modules: %.800s",
                        left ? left : "");
}
