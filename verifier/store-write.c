// One write into the store by a child, and the proof of what came out of it.
#include "verifier/store-write.h"
#include "base/child.h"
#include "base/fault.h"
#include "base/limits.h"
#include "verifier/attempt.h"
#include "verifier/store-internal.h"
#include "verifier/store-wire.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

struct gr_store_write {
    struct gr_store_write_options o;
    char program[PATH_MAX];
    struct gr_child child;
    bool running, again; // `again`: another file had the name and was set aside
    sd_event_source *ended;
    int fd; // the file, while it is hashed
    struct gr_bytes *hashed;
    struct gr_file_attempt *reading;
};

static void stop_child(struct gr_store_write *w)
{
    siginfo_t si;
    if (w->running) {
        (void)!pidfd_send_signal(w->child.pidfd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)w->child.pidfd, &si, WEXITED) < 0 && errno == EINTR)
            ;
    }
    w->running = false;
    w->ended = sd_event_source_disable_unref(w->ended);
    gr_closep(&w->child.pidfd);
    w->child.pidfd = -1;
}

static void stop_hashing(struct gr_store_write *w)
{
    gr_file_attempt_cancel(gr_steal(w->reading));
    gr_bytes_free(gr_steal(w->hashed));
}

void gr_store_write_free(struct gr_store_write *w)
{
    if (!w)
        return;
    stop_child(w);
    stop_hashing(w);
    gr_closep(&w->fd);
    free(w);
}

static void fail(struct gr_store_write *w, int code)
{
    struct gr_error e = {0};
    (void)!gr_store_explain(w->o.store, &w->o.key, code, &e);
    w->o.done(w->o.userdata, -1, &e); // frees w
}

static int spawn(struct gr_store_write *w, struct gr_error *e);

// Somebody else's file, or a damaged one, has our name.
static void set_aside(struct gr_store_write *w)
{
    struct gr_error e = {0};
    stop_hashing(w);
    gr_closep(&w->fd);
    w->fd = -1;
    int r = w->again ? -EIO : gr_store_set_aside(w->o.store, &w->o.key);
    w->again = true;
    if (r == 0)
        r = spawn(w, &e);
    if (r < 0)
        fail(w, r);
}

static void on_hashed(void *userdata, const struct gr_error *why)
{
    struct gr_store_write *w = userdata;
    if (!why && gr_bytes_seal(w->hashed) == 0 &&
        gr_digest_equal(gr_bytes_digest(w->hashed), w->o.key.digest)) {
        w->o.done(w->o.userdata, gr_steal_fd(&w->fd), NULL); // frees w
        return;
    }
    set_aside(w);
}

// Not larger than what was written: more bytes are another file.
static int hash(struct gr_store_write *w)
{
    const struct gr_attempt_options o = {.event = w->o.event,
                                         .max_bytes = gr_bytes_size(w->o.bytes),
                                         .done = on_hashed,
                                         .userdata = w};
    struct gr_attempt_options with = o;
    int r = GR_FAULT("store.hash");
    if (r == 0)
        r = gr_store_get(w->o.store, &w->o.key, &w->fd);
    if (r < 0)
        return r;
    int fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
    r = fd < 0 ? -errno : gr_bytes_new(o.max_bytes, &w->hashed);
    with.into = w->hashed;
    if (r == 0)
        return gr_file_attempt_start_fd(&with, fd, "(store)", &w->reading, NULL);
    gr_closep(&fd);
    return r;
}

static int on_ended(sd_event_source *s, int pidfd, uint32_t revents, void *userdata)
{
    struct gr_store_write *w = userdata;
    siginfo_t si = {0};
    (void)s, (void)revents;
    if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
        return 0;
    w->running = false;
    stop_child(w);
    int r = si.si_code == CLD_EXITED ? -si.si_status : -EIO;
    if (r == 0 || r == -EEXIST)
        r = hash(w);
    if (r == -ELOOP || r == -EFBIG || r == -EACCES)
        set_aside(w);
    else if (r < 0)
        fail(w, r);
    return 0;
}

static int spawn(struct gr_store_write *w, struct gr_error *e)
{
    char name[GR_STORE_NAME_MAX], bytes[24];
    int r = gr_store_name(&w->o.key, name);
    if (r < 0)
        return r;
    snprintf(bytes, sizeof bytes, "%" PRIu64, gr_bytes_size(w->o.bytes));
    const struct gr_child_fd fds[] = {{gr_bytes_fd(w->o.bytes), GR_STORE_FD_BYTES},
                                      {w->o.store->dir_fd, GR_STORE_FD_DIRECTORY}};
    char *const argv[] = {w->program, name, bytes, NULL};
    r = gr_child_spawn(argv, NULL, fds, GR_COUNT(fds), &w->child, e);
    if (r < 0)
        return r;
    w->running = true;
    r = sd_event_add_io(w->o.event, &w->ended, w->child.pidfd, EPOLLIN, on_ended, w);
    return r < 0 ? r : 0;
}

int gr_store_write_start(const struct gr_store_write_options *o, struct gr_store_write **ret,
                         struct gr_error *e)
{
    int r = gr_store_check_room(o->store, &o->key, gr_bytes_size(o->bytes), e);
    if (r < 0)
        return r;
    struct gr_store_write *w = calloc(1, sizeof *w);
    if (!w)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for the store");
    *w = (struct gr_store_write){.o = *o, .child.pidfd = -1, .fd = -1};
    r = gr_child_find_program("grayling-store", w->program, sizeof w->program);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL,
                     "the program grayling-store is neither beside this one nor installed: %s; "
                     "install it or set GRAYLING_LIBEXEC",
                     strerror(-r));
    struct gr_error why = {0};
    if (r == 0 && (r = GR_FAULT("store.write")) == 0)
        r = spawn(w, &why);
    if (r < 0) {
        if (why.reason != GR_REASON_NONE)
            *e = why;
        else if (e->reason == GR_REASON_NONE)
            r = gr_store_explain(o->store, &o->key, r, e);
        gr_store_write_free(w);
        return r;
    }
    *ret = w;
    return 0;
}
