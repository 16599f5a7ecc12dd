// The main thread's: timers are looked after from its loop, and the text is written at the end, in
// one go. Equal stacks are one line.
#include "worker/profile.h"
#include "base/buf.h"
#include "base/contract.h"
#include "dispatch/loads.h"
#include "worker/sampler.h"
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_USEC 1000  // until handlers that have begun are asked for again
#define THREADS_BESIDE 8 // of the worker's, besides one for each processor

struct gr_profile {
    struct gr_sampler *sampler;
    struct gr_profile_order order;
    struct gr_mono began, until;
    bool stopped;
};

// --- the text ------------------------------------------------------------------------------------

struct text {
    struct gr_buf buf;
    int r; // of the first thing that failed
    uint64_t lost;
};

static const char *or_dash(const char *s)
{
    return *s ? s : "-";
}

// A path with a blank or a line's end in it would be read as something else.
static const char *word(const char *s)
{
    return *s && !strpbrk(s, " \t\r\n") ? s : "-";
}

static void build_id_of(const struct dl_phdr_info *info, char ret[GR_BUILD_ID_TEXT_MAX])
{
    const uint8_t *id;
    size_t len;
    ret[0] = '\0';
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type == PT_NOTE &&
            gr_contract_find_build_id((const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz,
                                      &id, &len) == 0) {
            for (size_t k = 0; k < len && 2 * k + 2 < GR_BUILD_ID_TEXT_MAX; k++)
                snprintf(ret + 2 * k, 3, "%02x", id[k]);
            return;
        }
    }
}

static int add_image(struct dl_phdr_info *info, size_t size, void *userdata)
{
    (void)size;
    struct text *t = userdata;
    char id[GR_BUILD_ID_TEXT_MAX], self[GR_LOAD_PATH_MAX] = "";
    const char *path = info->dlpi_name ? info->dlpi_name : "";
    if (!*path) { // the program
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        self[n > 0 ? n : 0] = '\0';
        path = self;
    }
    build_id_of(info, id);
    for (unsigned i = 0; i < info->dlpi_phnum && t->r == 0; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + ph->p_vaddr;
        if (ph->p_type == PT_LOAD && (ph->p_flags & PF_X))
            t->r = gr_buf_printf(&t->buf, "image %llx %llx %llx %s %s\n", (unsigned long long)start,
                                 (unsigned long long)(start + ph->p_memsz),
                                 (unsigned long long)info->dlpi_addr, or_dash(id), word(path));
    }
    return 0;
}

// Each load that a frame is of, once.
static void add_modules(struct text *t, const struct gr_sample *const *sorted, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < sorted[i]->n; k++)
            if (gr_sample_serial(sorted[i]->frames[k]) > most)
                most = gr_sample_serial(sorted[i]->frames[k]);
    GR_AUTO_FREE unsigned char *met = calloc(most + 1u, 1);
    if (!met) {
        t->r = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < sorted[i]->n; k++)
            met[gr_sample_serial(sorted[i]->frames[k])] = 1;
    struct gr_load_note note;
    for (uint32_t serial = 1; serial <= most && t->r == 0; serial++)
        if (met[serial] && gr_loads_find(serial, &note))
            t->r = gr_buf_printf(&t->buf, "module %u %s %s %s\n", serial, or_dash(note.build_id),
                                 word(note.name), word(note.path));
}

static int by_frames(const void *a_, const void *b_)
{
    const struct gr_sample *a = *(const struct gr_sample *const *)a_,
                           *b = *(const struct gr_sample *const *)b_;
    uint32_t n = a->n, m = b->n;
    if (n != m)
        return n < m ? -1 : 1;
    return memcmp(a->frames, b->frames, n * sizeof a->frames[0]);
}

// One line, whole or not at all. false: there is no place.
static bool add_stack(struct text *t, const struct gr_sample *x, size_t count)
{
    char line[32 + GR_PROFILE_FRAMES_MAX * 32];
    int len = snprintf(line, sizeof line, "stack %zu", count);
    for (uint32_t i = 0; i < x->n && i < GR_PROFILE_FRAMES_MAX; i++) {
        uint32_t serial = gr_sample_serial(x->frames[i]);
        unsigned long long at = gr_sample_offset(x->frames[i]);
        len += serial ? snprintf(line + len, sizeof line - (size_t)len, " %u:%llx", serial, at)
                      : snprintf(line + len, sizeof line - (size_t)len, " %llx", at);
    }
    line[len++] = '\n';
    return gr_buf_append(&t->buf, line, (size_t)len) == 0;
}

static void add_stacks(struct text *t, const struct gr_sample **sorted, size_t n)
{
    qsort(sorted, n, sizeof *sorted, by_frames);
    for (size_t i = 0, count; i < n; i += count) {
        for (count = 1; i + count < n && by_frames(&sorted[i], &sorted[i + count]) == 0;)
            count++;
        if (!add_stack(t, sorted[i], count))
            t->lost += count;
    }
}

static int format(const struct gr_profile *p, struct text *t)
{
    const struct gr_sample *all;
    size_t n = gr_sampler_samples(p->sampler, &all), kept = 0;
    GR_AUTO_FREE const struct gr_sample **sorted = calloc(n + 1, sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&all[i].n) > 0)
            sorted[kept++] = &all[i];
    t->lost = gr_sampler_lost(p->sampler) + n - kept;
    t->r = gr_buf_printf(&t->buf, "grayling-profile 1\n");
    dl_iterate_phdr(add_image, t);
    if (t->r == 0)
        add_modules(t, sorted, kept);
    if (t->r == 0)
        add_stacks(t, sorted, kept);
    // last, with what had no place counted; room for it is beside the cap of the rest
    t->buf.max += 256;
    if (t->r == 0)
        t->r = gr_buf_printf(&t->buf, "run %d %u %llu %zu %llu\nend\n", (int)getpid(), p->order.hz,
                             (unsigned long long)p->order.usec, kept, (unsigned long long)t->lost);
    return t->r;
}

static int write_all(int fd, const struct gr_buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = pwrite(fd, b->data + at, b->len - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

static void answer(const struct gr_profile *p, struct gr_wire *w)
{
    struct text t = {.buf = GR_BUF(GR_PROFILE_BYTES_MAX - 256)};
    struct gr_error e = {0};
    int r = format(p, &t);
    if (r == 0)
        r = write_all(p->order.fd, &t.buf);
    cJSON *m = r < 0 ? NULL : gr_wire_answer("profiled", p->order.id);
    gr_json_add_uint(m, "bytes", t.buf.len);
    gr_buf_done(&t.buf);
    if (r < 0)
        gr_error_set(&e, r, GR_REASON_INTERNAL, "the samples could not be written down: %s",
                     strerror(-r));
    gr_wire_send(w, r < 0 ? gr_wire_failure(p->order.id, &e) : m);
}

// --- life ----------------------------------------------------------------------------------------

static int check(const struct gr_profile_order *o, struct gr_error *e)
{
    if (o->hz < 1 || o->hz > GR_PROFILE_HZ_MAX || o->usec < 1 || o->usec > GR_PROFILE_USEC_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "asked for %u samples a second during %llu us; expected 1 to %u during "
                            "at most %llu us",
                            o->hz, (unsigned long long)o->usec, GR_PROFILE_HZ_MAX,
                            (unsigned long long)GR_PROFILE_USEC_MAX);
    return 0;
}

// As many as all processors can fill, and some to spare.
static size_t room_for(const struct gr_profile_order *o)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t at_once = (uint64_t)(processors > 0 ? processors : 1) + THREADS_BESIDE;
    uint64_t room = (o->usec / GR_USEC_PER_SEC + 1) * o->hz * at_once;
    return room < GR_PROFILE_SAMPLES_MAX ? (size_t)room : GR_PROFILE_SAMPLES_MAX;
}

int gr_profile_begin(const struct gr_profile_order *o, struct gr_profile **ret, struct gr_error *e)
{
    int r = check(o, e);
    if (r < 0)
        return r;
    struct gr_profile *p = calloc(1, sizeof *p);
    if (!p)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "no memory is left for a profile");
    p->order = *o;
    p->order.fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3);
    r = p->order.fd < 0 ? -errno : gr_sampler_start(o->hz, room_for(o), &p->sampler);
    if (r < 0) {
        gr_profile_free(p);
        return gr_error_set(e, r, GR_REASON_INTERNAL, "samples cannot be taken: %s", strerror(-r));
    }
    p->began = gr_mono_now();
    p->until.usec = p->began.usec + o->usec;
    *ret = p;
    return 0;
}

uint64_t gr_profile_turn(struct gr_profile **pp, struct gr_wire *w, struct gr_mono now)
{
    struct gr_profile *p = *pp;
    if (!p)
        return GR_USEC_INFINITY;
    if (now.usec < p->until.usec) {
        uint64_t next = now.usec + GR_PROFILE_LOOK_USEC;
        gr_sampler_look(p->sampler);
        return next < p->until.usec ? next : p->until.usec;
    }
    if (!p->stopped)
        gr_sampler_stop(p->sampler);
    p->stopped = true;
    if (!gr_sampler_is_quiet())
        return now.usec + QUIET_USEC;
    answer(p, w);
    gr_profile_free(p);
    *pp = NULL;
    return GR_USEC_INFINITY;
}

void gr_profile_free(struct gr_profile *p)
{
    if (!p)
        return;
    if (p->sampler && !p->stopped)
        gr_sampler_stop(p->sampler);
    while (!gr_sampler_is_quiet()) // a handler ends by itself
        sched_yield();
    gr_sampler_free(p->sampler);
    gr_closep(&p->order.fd);
    free(p);
}
