// Preflight seen from the supervisor: one child, a pipe for its verdict, a pipe for what the
// candidate prints, a deadline.
#include "verifier/preflight.h"
#include "base/child.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/limits.h"
#include "verifier/preflight-wire.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

struct gr_preflight {
    uint64_t timeout_usec;
    struct gr_child child;
    int verdict_fd, output_fd;
    struct gr_buf verdict, output;
    sd_event_source *verdict_io, *output_io, *child_io, *deadline;
    bool timed_out, reaped;
    void (*done)(void *userdata, const struct gr_error *e);
    void *userdata;
};

static int write_request(const struct gr_preflight_options *o, int *ret_fd)
{
    GR_AUTO_JSON cJSON *j = cJSON_CreateObject();
    if (!j || !cJSON_AddStringToObject(j, "module", o->module) ||
        !cJSON_AddStringToObject(j, "version", o->version) ||
        !cJSON_AddStringToObject(j, "path", o->path) ||
        !cJSON_AddStringToObject(j, "build_id", o->build_id) ||
        (o->config && !cJSON_AddStringToObject(j, "config", o->config)))
        return -ENOMEM;
    GR_AUTO_FREE char *text = gr_json_format(j);
    if (!text)
        return -ENOMEM;
    size_t len = strlen(text);
    if (len > GR_PREFLIGHT_REQUEST_MAX)
        return -E2BIG;
    GR_AUTO_CLOSE int fd = memfd_create("grayling-preflight-request", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = pwrite(fd, text, len, 0);
    if (n < 0 || (size_t)n != len)
        return n < 0 ? -errno : -EIO;
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

// Keeps the newest bytes; the last words of a dying process tell the most.
static int keep_output(struct gr_preflight *p, const char *bytes, size_t len)
{
    size_t drop = p->output.len + len > GR_PREFLIGHT_STDERR_MAX
                      ? p->output.len + len - GR_PREFLIGHT_STDERR_MAX
                      : 0;
    gr_buf_consume(&p->output, drop < p->output.len ? drop : p->output.len);
    size_t skip = len > GR_PREFLIGHT_STDERR_MAX ? len - GR_PREFLIGHT_STDERR_MAX : 0;
    return gr_buf_append(&p->output, bytes + skip, len - skip);
}

// 1: some bytes; 0: the writers are gone; -EAGAIN: nothing now.
static int read_some(struct gr_preflight *p, int fd)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n == 0)
        return 0;
    // an overlong verdict is no verdict, which the parser will say
    int r = fd == p->verdict_fd ? gr_buf_append(&p->verdict, chunk, (size_t)n)
                                : keep_output(p, chunk, (size_t)n);
    return r == -ENOMEM ? r : 1;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)revents;
    int r = read_some(userdata, fd);
    if (r <= 0 && r != -EAGAIN)
        return sd_event_source_set_enabled(s, SD_EVENT_OFF);
    return 0;
}

// What the candidate printed, as one printable line.
static void describe_output(struct gr_preflight *p, char *text, size_t cap)
{
    text[0] = '\0';
    while (p->output.len && (unsigned char)p->output.data[p->output.len - 1] <= ' ')
        p->output.len--;
    if (!p->output.len || cap < 32)
        return;
    size_t n = (size_t)snprintf(text, cap, "; it wrote: ");
    size_t room = cap - n - 1;
    size_t from = p->output.len > room ? p->output.len - room : 0;
    for (; from < p->output.len; from++) {
        unsigned char c = (unsigned char)p->output.data[from];
        text[n++] = c >= ' ' && c < 0x7f ? (char)c : c == '\n' ? ' ' : '?';
    }
    text[n] = '\0';
}

static int read_verdict(struct gr_preflight *p, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *j = NULL;
    const char *reason_name = NULL, *message = NULL;
    enum gr_reason reason;
    bool ok = false;
    int r = gr_json_parse(p->verdict.data ? p->verdict.data : "", p->verdict.len,
                          GR_PREFLIGHT_VERDICT_MAX, &j, NULL);
    if (r < 0)
        return r;
    r = gr_json_bool(j, "", "ok", GR_JSON_OPTIONAL, &ok, NULL);
    if (r == 0 && ok)
        return 0;
    if (r == 0)
        r = gr_json_string(j, "", "reason", GR_JSON_REQUIRED, &reason_name, NULL);
    if (r == 0)
        r = gr_json_string(j, "", "message", GR_JSON_REQUIRED, &message, NULL);
    if (r < 0 || gr_reason_parse(reason_name, &reason) < 0)
        return -EBADMSG;
    char wrote[256];
    describe_output(p, wrote, sizeof wrote);
    gr_error_set(e, -ENOEXEC, reason, "in preflight: %s%s", message, wrote);
    return 0;
}

static void judge(struct gr_preflight *p, const siginfo_t *si, struct gr_error *e)
{
    char wrote[400];
    bool killed = si->si_code == CLD_KILLED || si->si_code == CLD_DUMPED;
    if (p->timed_out || (killed && si->si_status == SIGXCPU)) {
        char limit[32];
        describe_output(p, wrote, sizeof wrote);
        gr_error_set(e, -ETIMEDOUT, GR_REASON_PREFLIGHT_TIMEOUT,
                     "it did not finish loading, init and self_test within %s in preflight and "
                     "was killed; make them return in time%s",
                     gr_duration_format(p->timeout_usec / 1000 * 1000, limit), wrote);
        return;
    }
    if (!killed && si->si_status == 0 && read_verdict(p, e) == 0)
        return;
    describe_output(p, wrote, sizeof wrote);
    if (killed) {
        const char *name = sigabbrev_np(si->si_status);
        gr_error_set(e, -ENOEXEC, GR_REASON_PREFLIGHT_CRASHED,
                     "SIG%s (%s%s) ended it in preflight, while it was loaded, initialised, "
                     "tested or released; correct that and publish a new version%s",
                     name ? name : "?", strsignal(si->si_status),
                     si->si_status == SIGSYS ? ": it started or traced another process" : "",
                     wrote);
        return;
    }
    gr_error_set(e, -ENOEXEC, GR_REASON_PREFLIGHT_CRASHED,
                 "it ended its process with exit status %d in preflight instead of coming to a "
                 "verdict; a module must return from every hook and never call exit()%s",
                 si->si_status, wrote);
}

static int on_child(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    struct gr_preflight *p = userdata;
    struct gr_error e = {0};
    siginfo_t si = {0};
    (void)revents;
    if (waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
        return 0;
    p->reaped = true;
    GR_INSTANT("preflight.verdict");
    sd_event_source_set_enabled(s, SD_EVENT_OFF);
    sd_event_source_set_enabled(p->deadline, SD_EVENT_OFF);
    while (read_some(p, p->verdict_fd) > 0)
        ;
    while (read_some(p, p->output_fd) > 0)
        ;
    judge(p, &si, &e);
    p->done(p->userdata, e.reason == GR_REASON_NONE ? NULL : &e); // may free p
    return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
    struct gr_preflight *p = userdata;
    (void)s, (void)usec;
    p->timed_out = true; // the child's end brings the verdict
    return pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH ? -errno : 0;
}

static int spawn(struct gr_preflight *p, const struct gr_preflight_options *o, struct gr_error *e)
{
    GR_AUTO_CLOSE int request = -1;
    int verdict[2], output[2];
    int r = write_request(o, &request);
    if (r == 0)
        r = GR_FAULT("preflight.spawn");
    if (r == 0 && pipe2(verdict, O_CLOEXEC | O_NONBLOCK) < 0)
        r = -errno;
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_INTERNAL, "preflight cannot be prepared: %s",
                                      strerror(-r));
    p->verdict_fd = verdict[0];
    GR_AUTO_CLOSE int verdict_end = verdict[1];
    if (pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
        return gr_error_set_retryable(e, -errno, GR_REASON_INTERNAL,
                                      "preflight cannot be prepared: %s", strerror(errno));
    p->output_fd = output[0];
    GR_AUTO_CLOSE int output_end = output[1];
    const struct gr_child_fd fds[] = {
        {output_end, STDOUT_FILENO},
        {output_end, STDERR_FILENO},
        {o->fd, GR_PREFLIGHT_FD_MODULE},
        {request, GR_PREFLIGHT_FD_REQUEST},
        {verdict_end, GR_PREFLIGHT_FD_VERDICT},
    };
    char *const argv[] = {(char *)(uintptr_t)o->program, NULL}, *const envp[] = {NULL};
    return gr_child_spawn(argv, envp, fds, GR_COUNT(fds), &p->child, e);
}

static int watch(sd_event *event, struct gr_preflight *p)
{
    int r = sd_event_add_io(event, &p->verdict_io, p->verdict_fd, EPOLLIN, on_io, p);
    if (r >= 0)
        r = sd_event_add_io(event, &p->output_io, p->output_fd, EPOLLIN, on_io, p);
    if (r >= 0)
        r = sd_event_add_io(event, &p->child_io, p->child.pidfd, EPOLLIN, on_child, p);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &p->deadline, CLOCK_MONOTONIC, p->timeout_usec, 1000,
                                       on_deadline, p);
    return r < 0 ? r : 0;
}

int gr_preflight_start(sd_event *event, const struct gr_preflight_options *o,
                       struct gr_preflight **ret, struct gr_error *e)
{
    struct gr_preflight *p = calloc(1, sizeof *p);
    if (!p)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a preflight");
    *p = (struct gr_preflight){.timeout_usec = o->timeout_usec,
                               .child.pidfd = -1,
                               .verdict_fd = -1,
                               .output_fd = -1,
                               .verdict = GR_BUF(GR_PREFLIGHT_VERDICT_MAX),
                               .output = GR_BUF(GR_PREFLIGHT_STDERR_MAX),
                               .done = o->done,
                               .userdata = o->userdata};
    int r = spawn(p, o, e);
    if (r == 0 && (r = watch(event, p)) < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "preflight cannot be watched: %s", strerror(-r));
    if (r < 0) {
        gr_preflight_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void gr_preflight_free(struct gr_preflight *p)
{
    if (!p)
        return;
    if (p->child.pidfd >= 0 && !p->reaped) {
        siginfo_t si;
        (void)!pidfd_send_signal(p->child.pidfd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)p->child.pidfd, &si, WEXITED) < 0 && errno == EINTR)
            ;
    }
    sd_event_source_disable_unref(p->verdict_io);
    sd_event_source_disable_unref(p->output_io);
    sd_event_source_disable_unref(p->child_io);
    sd_event_source_disable_unref(p->deadline);
    gr_closep(&p->child.pidfd);
    gr_closep(&p->verdict_fd);
    gr_closep(&p->output_fd);
    gr_buf_done(&p->verdict);
    gr_buf_done(&p->output);
    free(p);
}
