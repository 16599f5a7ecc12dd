// One try at a file: opened below a configured root without following any link, read in pieces from
// the event loop.
#include "base/fault.h"
#include "base/limits.h"
#include "verifier/attempt.h"
#include "verifier/beneath.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct gr_file_attempt {
    struct gr_attempt_options o;
    int fd;
    char *label;
    sd_event_source *turn;
};

static int open_error(const struct gr_source *s, int code, struct gr_error *e)
{
    if (code == -ELOOP || code == -EXDEV)
        return gr_error_set(e, code, GR_REASON_SOURCE_REFUSED,
                            "source %s goes through a symbolic link or out of %s; put the file "
                            "itself there",
                            s->label, s->root);
    if (code == -ENOENT || code == -ENOTDIR)
        return gr_error_set(e, code, GR_REASON_FETCH_FAILED,
                            "source %s does not exist (%s); put the file there or correct the "
                            "document",
                            s->label, strerror(-code));
    return gr_error_set(e, code, GR_REASON_FETCH_FAILED, "source %s cannot be opened: %s", s->label,
                        strerror(-code));
}

static int open_source(const struct gr_source *s, int *ret, struct gr_error *e)
{
    int r = GR_FAULT("fetch.open");
    if (r < 0)
        return open_error(s, r, e);
    GR_AUTO_CLOSE int root = open(s->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return gr_error_set(e, -errno, GR_REASON_FETCH_FAILED,
                            "directory %s of FileRoots= cannot be opened: %s; create it or correct "
                            "the configuration",
                            s->root, strerror(errno));
    r = gr_beneath_open(root, s->path, ret);
    return r < 0 ? open_error(s, r, e) : 0;
}

int gr_attempt_append_error(const struct gr_attempt_options *o, int code, const char *label,
                            struct gr_error *e)
{
    if (code == -EFBIG)
        return gr_error_set(e, code, GR_REASON_TOO_LARGE,
                            "source %s gives more than %" PRIu64 " bytes, which is %s; correct the "
                            "%s",
                            label, o->size ? o->size : o->max_bytes,
                            o->size ? "the size that the document declares"
                                    : "MaxBytes= in [Artifacts]",
                            o->size ? "document" : "artifact or raise the limit");
    if (code == -ENOSPC || code == -ENOMEM)
        return gr_error_set_retryable(e, code, GR_REASON_DISK_FULL,
                                      "no room in memory for the bytes of source %s: %s", label,
                                      strerror(-code));
    return gr_error_set(e, code, GR_REASON_INTERNAL, "the bytes of source %s cannot be kept: %s",
                        label, strerror(-code));
}

static int check_size(const struct gr_file_attempt *a, uint64_t bytes, struct gr_error *e)
{
    uint64_t limit = a->o.size ? a->o.size : a->o.max_bytes;
    if (bytes > limit)
        return gr_attempt_append_error(&a->o, -EFBIG, a->label, e);
    if (a->o.size && bytes < a->o.size)
        return gr_error_set(e, -ENODATA, GR_REASON_FETCH_FAILED,
                            "source %s has %" PRIu64 " bytes and the document declares %" PRIu64
                            "; publish the whole file or correct the document",
                            a->label, bytes, a->o.size);
    return 0;
}

static int on_turn(sd_event_source *s, void *userdata)
{
    struct gr_file_attempt *a = userdata;
    struct gr_error e = {0};
    (void)s;
    int r = gr_bytes_append_fd(a->o.into, a->fd, GR_FETCH_CHUNK_BYTES);
    if (r > 0)
        return sd_event_source_set_enabled(a->turn, SD_EVENT_ONESHOT);
    if (r < 0)
        r = gr_attempt_append_error(&a->o, r, a->label, &e);
    else
        r = check_size(a, gr_bytes_size(a->o.into), &e);
    a->o.done(a->o.userdata, r < 0 ? &e : NULL); // may free a
    return 0;
}

int gr_file_attempt_start_fd(const struct gr_attempt_options *o, int fd_, const char *label,
                             struct gr_file_attempt **ret, struct gr_error *e)
{
    GR_AUTO_CLOSE int fd = fd_;
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s is no regular file; name one", label);
    struct gr_file_attempt *a = calloc(1, sizeof *a);
    if (!a)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a fetch");
    a->o = *o;
    a->fd = gr_steal_fd(&fd);
    a->label = strdup(label);
    int r = a->label ? sd_event_add_defer(o->event, &a->turn, on_turn, a) : -ENOMEM;
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "source %s cannot be read: %s", label, strerror(-r));
    else
        r = check_size(a, (uint64_t)st.st_size, e);
    if (r < 0) {
        gr_file_attempt_cancel(a);
        return r;
    }
    *ret = a;
    return 0;
}

int gr_file_attempt_start(const struct gr_attempt_options *o, struct gr_file_attempt **ret,
                          struct gr_error *e)
{
    int fd = -1;
    int r = open_source(o->source, &fd, e);
    return r < 0 ? r : gr_file_attempt_start_fd(o, fd, o->source->label, ret, e);
}

void gr_file_attempt_cancel(struct gr_file_attempt *a)
{
    if (!a)
        return;
    sd_event_source_disable_unref(a->turn);
    gr_closep(&a->fd);
    free(a->label);
    free(a);
}
