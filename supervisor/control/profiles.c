// Orders a profile, waits for it, reads its file once somebody asks.
#include "control/profiles.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_EXTRA_USEC (30 * GR_USEC_PER_SEC) // for the worker to write it down

void gr_profiles_init(struct gr_profiles *p, void (*changed)(void *userdata), void *userdata)
{
    *p = (struct gr_profiles){.fd = -1, .changed = changed, .userdata = userdata};
}

void gr_profiles_done(struct gr_profiles *p)
{
    gr_closep(&p->fd);
}

static void on_answer(void *userdata, const cJSON *reply, const struct gr_error *e)
{
    struct gr_profiles *p = userdata;
    p->running = false;
    if (!reply) {
        gr_closep(&p->fd);
        p->failed = *e;
        gr_error_wrap(&p->failed, "the profile has not come to its end");
    }
    p->changed(p->userdata);
}

static int check(const struct gr_profiles *p, unsigned hz, uint64_t usec, struct gr_error *e)
{
    if (p->running)
        return gr_error_set(e, -EALREADY, GR_REASON_NONE,
                            "profile %" PRIu64 " is being taken; expected none, since one is at "
                            "once: ask again when it has ended",
                            p->last);
    if (hz < 1 || hz > GR_PROFILE_HZ_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "%u samples a second were asked for; expected 1 to %u", hz,
                            GR_PROFILE_HZ_MAX);
    if (usec < 1 || usec > GR_PROFILE_USEC_MAX)
        return gr_error_set(
            e, -EINVAL, GR_REASON_NONE, "a profile of %g s was asked for; expected at most %g s",
            (double)usec / GR_USEC_PER_SEC, (double)GR_PROFILE_USEC_MAX / GR_USEC_PER_SEC);
    return 0;
}

int gr_profiles_begin(struct gr_profiles *p, struct gr_worker *w, unsigned hz, uint64_t usec,
                      uint64_t *ret_id, struct gr_error *e)
{
    int r = check(p, hz, usec, e);
    if (r < 0)
        return r;
    int fd GR_AUTO_CLOSE = memfd_create("grayling-profile", MFD_CLOEXEC);
    if (fd < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "a profile has no place: %s",
                            strerror(errno));
    cJSON *order = cJSON_CreateObject();
    cJSON_AddStringToObject(order, "type", "profile");
    gr_json_add_uint(order, "hz", hz);
    gr_json_add_uint(order, "usec", usec);
    r = gr_worker_request(w, order, fd, usec + ANSWER_EXTRA_USEC, on_answer, p);
    if (r < 0)
        return gr_error_set_retryable(e, r == -ECONNRESET ? -EAGAIN : r, GR_REASON_NONE,
                                      "the worker could not be asked for a profile: %s",
                                      strerror(-r));
    gr_closep(&p->fd);
    p->fd = gr_steal_fd(&fd);
    p->failed = (struct gr_error){0};
    p->running = true;
    *ret_id = ++p->last;
    return 0;
}

// As far as the cap, whatever the worker made of the file.
static int read_file(int fd, char **ret, size_t *ret_len)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t size =
        (uint64_t)st.st_size < GR_PROFILE_BYTES_MAX ? (size_t)st.st_size : GR_PROFILE_BYTES_MAX;
    char *text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    size_t len = 0;
    for (ssize_t n = 1; len < size && n > 0; len += n > 0 ? (size_t)n : 0)
        n = TEMP_FAILURE_RETRY(pread(fd, text + len, size - len, (off_t)len));
    text[len] = '\0';
    *ret = text;
    *ret_len = len;
    return 0;
}

int gr_profiles_take(const struct gr_profiles *p, uint64_t id, char **ret, size_t *ret_len,
                     struct gr_error *e)
{
    if (id == 0 || id != p->last)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "there is no profile %" PRIu64 "; expected the newest (%" PRIu64
                            "), since no older one is kept",
                            id, p->last);
    if (p->running)
        return gr_error_set(e, -EINPROGRESS, GR_REASON_NONE,
                            "profile %" PRIu64 " has not ended yet", id);
    if (p->failed.code) {
        *e = p->failed;
        return e->code;
    }
    int r = read_file(p->fd, ret, ret_len);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "the profile cannot be read: %s",
                                strerror(-r))
                 : 0;
}
