// module run FILE.so: one module behind a front door, for its author. A throw-away instance does
// what any host does with it; this shows what comes of it, and follows the file with --watch.
#include "base/limits.h"
#include "cli/drill/guard.h"
#include "cli/output.h"
#include "cli/run-instance.h"
#include "cli/run-line.h"
#include "cli/verbs.h"
#include "control/config-value.h"
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#define LISTEN_DEFAULT "127.0.0.1:8081"
#define LINE_BYTES_MAX (64u * 1024)

struct run {
    struct gr_cli *cli;
    const char *file, *listen, *config;
    bool watch;
    struct gr_name module;
    struct gr_run_instance instance;
    int signal_fd, watch_fd;
    struct gr_buf lines;
    bool serves, over;
    enum gr_exit status;
};

// --- what is shown

static void show_method(const struct run *r, const struct gr_contract_interface *p,
                        const struct gr_contract_method *m)
{
    bool is_unix = !strncmp(r->listen, "unix:", 5), any = *r->listen == '*';
    fprintf(r->cli->out, "  curl %s%s%s%s%s http://%s%s/%s/%s\n", is_unix ? "--unix-socket " : "",
            is_unix ? r->listen + 5 : "", is_unix ? " " : "", "-H 'content-type: application/",
            !strcmp(m->codec, "proto") ? "proto' --data-binary @request.bin" : "json' -d '{}'",
            is_unix ? "localhost"
            : any   ? "127.0.0.1"
                    : "",
            is_unix ? "" : r->listen + any, p->name, m->name);
}

static void show_methods(const struct run *r, const struct gr_contract *c)
{
    fprintf(r->cli->out, "%s %s serves at %s%s; Ctrl-C ends it\n", c->module.s, c->version.text,
            strncmp(r->listen, "unix:", 5) ? "http://" : "", r->listen);
    for (size_t i = 0; i < c->n_provides; i++)
        for (size_t k = 0; k < c->provides[i].n_methods; k++)
            show_method(r, &c->provides[i], &c->provides[i].methods[k]);
    fflush(r->cli->out);
}

// The same for a program: a line when it serves, and one for each request.
static cJSON *event(const char *name)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "event", name);
    return o;
}

static void print_event(const struct run *r, cJSON *take)
{
    gr_output_json(r->cli, take);
    fflush(r->cli->out);
    cJSON_Delete(take);
}

static cJSON *serving(const struct run *r, const struct gr_contract *c)
{
    cJSON *o = event("serving"), *methods;
    cJSON_AddStringToObject(o, "module", c->module.s);
    cJSON_AddStringToObject(o, "version", c->version.text);
    cJSON_AddStringToObject(o, "address", r->listen);
    methods = cJSON_AddArrayToObject(o, "methods");
    for (size_t i = 0; i < c->n_provides; i++)
        for (size_t k = 0; k < c->provides[i].n_methods; k++) {
            const struct gr_contract_method *m = &c->provides[i].methods[k];
            cJSON *one = cJSON_CreateObject();
            cJSON_AddStringToObject(one, "interface", c->provides[i].name);
            cJSON_AddStringToObject(one, "method", m->name);
            cJSON_AddStringToObject(one, "codec", m->codec);
            cJSON_AddItemToArray(methods, one);
        }
    return o;
}

static void show_request(const struct run *r, const char *text)
{
    if (r->cli->format == GR_FORMAT_JSONL) {
        cJSON *o = event("request");
        cJSON_AddStringToObject(o, "message", text);
        print_event(r, o);
        return;
    }
    fprintf(r->cli->out, "%s\n", text);
    fflush(r->cli->out);
}

static void end(struct run *r, enum gr_exit status)
{
    r->over = true;
    r->status = status;
    gr_run_stop(&r->instance);
}

static void on_serves(struct run *r, const char *what)
{
    if (r->serves)
        gr_cli_say(r->cli, "%s serves, without a request lost", what);
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    struct gr_error ignored;
    if (!r->serves && gr_inspect_file(r->file, &i, &ignored) >= 0 && i.contract)
        r->cli->format == GR_FORMAT_JSONL ? print_event(r, serving(r, i.contract))
                                          : show_methods(r, i.contract);
    r->serves = true;
}

static void on_line(struct run *r, const char *line, size_t len)
{
    struct gr_run_line l;
    gr_run_line_read(line, len, &l);
    switch (l.kind) {
    case GR_RUN_QUIET:
        return;
    case GR_RUN_REQUEST:
        show_request(r, l.text);
        return;
    case GR_RUN_SERVES:
        on_serves(r, l.text);
        return;
    case GR_RUN_REFUSED:
        gr_cli_say(r->cli, "error: %s", l.text);
        if (!r->serves)
            end(r, GR_EXIT_REFUSED);
        return;
    case GR_RUN_SAYS:
        gr_cli_say(r->cli, "%s", l.text);
        return;
    }
}

// --- what is waited for

// Whole lines, and a part that has grown beyond what a line may be.
static void take_lines(struct run *r)
{
    size_t from = 0;
    for (char *end;
         r->lines.len > from && (end = memchr(r->lines.data + from, '\n', r->lines.len - from));) {
        size_t len = (size_t)(end - r->lines.data) - from;
        on_line(r, r->lines.data + from, len);
        from += len + 1;
    }
    if (from == 0 && r->lines.len > LINE_BYTES_MAX / 2)
        on_line(r, r->lines.data, from = r->lines.len);
    if (from)
        memmove(r->lines.data, r->lines.data + from, r->lines.len - from);
    r->lines.len -= from;
}

static void on_log(struct run *r)
{
    char bytes[4096];
    ssize_t n;
    while ((n = read(r->instance.log_fd, bytes, sizeof bytes)) > 0) {
        if (gr_buf_append(&r->lines, bytes, (size_t)n) < 0)
            r->lines.len = 0;
        take_lines(r);
    }
}

static void on_signal(struct run *r)
{
    struct signalfd_siginfo si;
    if (read(r->signal_fd, &si, sizeof si) != sizeof si || r->over)
        return;
    gr_cli_say(r->cli, "draining; once more ends it at once");
    end(r, si.ssi_signo == SIGINT ? GR_EXIT_INTERRUPTED : GR_EXIT_OK);
}

static int inspect(const char *file, struct gr_inspection *ret, struct gr_error *e)
{
    int r = gr_inspect_file(file, ret, e);
    if (r < 0 || ret->verdict.reason == GR_REASON_NONE)
        return r;
    *e = ret->verdict;
    return e->code < 0 ? e->code : -EINVAL;
}

static int want(struct run *r, struct gr_error *e)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    int k = inspect(r->file, &i, e);
    if (k < 0)
        return k;
    if (*r->module.s && !gr_name_equal(&r->module, &i.contract->module))
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "%.300s is %s now, expected %s; end this run and begin another",
                            r->file, i.contract->module.s, r->module.s);
    r->module = i.contract->module;
    return gr_run_want(&r->instance, r->file, &i, r->config, e);
}

// What is not a module yet is a build that has not ended: what serves goes on.
static void on_watch(struct run *r)
{
    char bytes[8 * (sizeof(struct inotify_event) + NAME_MAX + 1)]
        __attribute__((aligned(__alignof__(struct inotify_event))));
    char path[PATH_MAX];
    struct gr_error e = {0};
    bool ours = false;
    ssize_t n;
    snprintf(path, sizeof path, "%s", r->file);
    const char *name = basename(path);
    while ((n = read(r->watch_fd, bytes, sizeof bytes)) > 0)
        for (char *p = bytes; p < bytes + n;) {
            struct inotify_event *ev = (struct inotify_event *)(void *)p;
            ours |= ev->len && !strcmp(ev->name, name);
            p += sizeof *ev + ev->len;
        }
    int k = ours && !r->over ? want(r, &e) : 0;
    if (k < 0)
        gr_cli_say(r->cli, "error: %s%s%s", gr_reason_name(e.reason),
                   *gr_reason_name(e.reason) ? ": " : "", e.message);
    else if (k > 0)
        gr_cli_say(r->cli, "%s has changed", r->file);
}

static void on_end(struct run *r)
{
    on_log(r);
    if (!r->over) {
        gr_cli_say(r->cli, "error: graylingd ended by itself; what it said is above");
        r->status = GR_EXIT_INTERNAL;
    }
}

static void serve(struct run *r)
{
    struct pollfd p[] = {{.fd = r->instance.log_fd, .events = POLLIN},
                         {.fd = r->signal_fd, .events = POLLIN},
                         {.fd = r->watch_fd, .events = POLLIN},
                         {.fd = r->instance.daemon.pidfd, .events = POLLIN}};
    while (!p[3].revents) {
        if (poll(p, GR_COUNT(p), -1) < 0)
            continue;
        if (p[0].revents)
            on_log(r);
        if (p[1].revents)
            on_signal(r);
        if (p[2].revents)
            on_watch(r);
        if (p[0].revents & POLLHUP)
            p[0].fd = -1;
    }
    on_end(r);
}

// --- the whole

static int watch(struct run *r, struct gr_error *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", r->file);
    const char *dir = dirname(path);
    r->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (r->watch_fd < 0 || inotify_add_watch(r->watch_fd, dir, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "cannot watch %.300s: %s", dir,
                            strerror(errno));
    return 0;
}

static enum gr_exit run(void *userdata, const char *dir)
{
    struct run *r = userdata;
    struct gr_error e = {0};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    r->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    r->lines = GR_BUF(LINE_BYTES_MAX);
    int k = gr_run_prepare(&r->instance, dir, &e);
    if (k >= 0 && r->watch) // before the first look, so that no change is between the two
        k = watch(r, &e);
    if (k >= 0)
        k = want(r, &e);
    if (k >= 0)
        k = gr_run_start(&r->instance, r->listen, &e);
    if (k >= 0)
        serve(r);
    gr_run_done(&r->instance);
    gr_buf_done(&r->lines);
    return k < 0 ? gr_cli_fail(r->cli, &e) : r->status;
}

static int check(const struct run *r, struct gr_error *e)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    GR_AUTO_JSON cJSON *config = NULL;
    if (!gr_config_is_address(r->listen))
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--listen %.128s: expected IPV4:PORT, [IPV6]:PORT, *:PORT or "
                            "unix:/PATH, like %s",
                            r->listen, LISTEN_DEFAULT);
    if (r->config &&
        gr_json_parse(r->config, strlen(r->config), GR_DOCUMENT_BYTES_MAX, &config, e) < 0) {
        gr_error_wrap(e, "--module-config");
        return e->code;
    }
    return inspect(r->file, &i, e);
}

enum gr_exit gr_verb_module_run(struct gr_cli *cli, const struct gr_args *args)
{
    const char *listen = gr_args_value(args, "listen");
    struct run r = {.cli = cli,
                    .file = args->words[1],
                    .listen = listen ? listen : LISTEN_DEFAULT,
                    .config = gr_args_value(args, "module-config"),
                    .watch = gr_args_has(args, "watch"),
                    .signal_fd = -1,
                    .watch_fd = -1};
    struct gr_error e = {0};
    enum gr_exit status = GR_EXIT_INTERNAL;
    if (cli->format == GR_FORMAT_JSON)
        cli->format = GR_FORMAT_JSONL; // a stream of lines
    const struct gr_guarded guarded = {.name = "run", .run = run, .userdata = &r, .patient = true};
    if (check(&r, &e) < 0 || gr_guard_run(&guarded, &status, &e) < 0)
        return gr_cli_fail(cli, &e);
    return status;
}
