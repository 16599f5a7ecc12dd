// One line after the other; a word that is missing or malformed ends it.
#include "cli/profile/recording.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (GR_PROFILE_FRAMES_MAX + 2)

struct words {
    char *word[WORDS_MAX];
    size_t n;
};

static bool split(char *line, struct words *ret)
{
    char *rest = line;
    ret->n = 0;
    for (char *w; (w = strsep(&rest, " "));) {
        if (!*w || ret->n == WORDS_MAX)
            return false;
        ret->word[ret->n++] = w;
    }
    return ret->n > 0;
}

static bool number(const char *text, int base, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, base);
    if (errno || end == text || *end || *text == '-' || *text == '+' || *text == ' ' || n > max)
        return false;
    *ret = n;
    return true;
}

static const char *word_or_none(const char *w)
{
    return strcmp(w, "-") ? w : "";
}

static int room(void **list, size_t n, size_t max, size_t size)
{
    if (n >= max)
        return -E2BIG;
    if (n & (n - 1)) // grows at each power of two
        return 0;
    void *grown = reallocarray(*list, n ? 2 * n : 1, size);
    if (!grown)
        return -ENOMEM;
    *list = grown;
    return 0;
}

static int add_image(struct gr_recording *r, const struct gr_recorded_image *image)
{
    void *list = r->images;
    int k = room(&list, r->n_images, GR_PROFILE_OBJECTS_MAX, sizeof *r->images);
    r->images = list;
    if (k == 0)
        r->images[r->n_images++] = *image;
    return k;
}

static int read_image(struct gr_recording *r, const struct words *w)
{
    struct gr_recorded_image i = {0};
    if (w->n != 6 || !number(w->word[1], 16, UINT64_MAX, &i.start) ||
        !number(w->word[2], 16, UINT64_MAX, &i.end) || i.end < i.start ||
        !number(w->word[3], 16, i.start, &i.base))
        return -EBADMSG;
    i.build_id = word_or_none(w->word[4]);
    i.path = word_or_none(w->word[5]);
    const char *slash = strrchr(i.path, '/');
    i.name = slash ? slash + 1 : i.path;
    return add_image(r, &i);
}

static int read_module(struct gr_recording *r, const struct words *w)
{
    uint64_t serial;
    if (w->n != 5 || !number(w->word[1], 10, UINT32_MAX, &serial) || serial == 0)
        return -EBADMSG;
    return add_image(r, &(struct gr_recorded_image){.serial = (uint32_t)serial,
                                                    .build_id = word_or_none(w->word[2]),
                                                    .name = word_or_none(w->word[3]),
                                                    .path = word_or_none(w->word[4])});
}

static int read_frame(struct gr_recording *r, char *word)
{
    struct gr_recorded_frame f = {0};
    uint64_t serial = 0;
    char *colon = strchr(word, ':');
    if (colon) {
        *colon = '\0';
        if (!number(word, 10, UINT32_MAX, &serial) || serial == 0)
            return -EBADMSG;
    }
    if (!number(colon ? colon + 1 : word, 16, UINT64_MAX, &f.address))
        return -EBADMSG;
    f.serial = (uint32_t)serial;
    void *list = r->frames;
    const size_t max = (size_t)GR_PROFILE_STACKS_MAX * GR_PROFILE_FRAMES_MAX;
    int k = room(&list, r->n_frames, max, sizeof *r->frames);
    r->frames = list;
    if (k == 0)
        r->frames[r->n_frames++] = f;
    return k;
}

static int read_stack(struct gr_recording *r, const struct words *w)
{
    struct gr_recorded_stack s = {.first = r->n_frames, .n = w->n - 2};
    if (w->n < 3 || !number(w->word[1], 10, GR_PROFILE_SAMPLES_MAX, &s.count) || s.count == 0)
        return -EBADMSG;
    for (size_t i = 2; i < w->n; i++) {
        int k = read_frame(r, w->word[i]);
        if (k < 0)
            return k;
    }
    void *list = r->stacks;
    int k = room(&list, r->n_stacks, GR_PROFILE_STACKS_MAX, sizeof *r->stacks);
    r->stacks = list;
    if (k == 0)
        r->stacks[r->n_stacks++] = s;
    return k;
}

static int read_run(struct gr_recording *r, const struct words *w)
{
    uint64_t pid, hz;
    if (w->n != 6 || !number(w->word[1], 10, INT32_MAX, &pid) ||
        !number(w->word[2], 10, GR_PROFILE_HZ_MAX, &hz) ||
        !number(w->word[3], 10, GR_PROFILE_USEC_MAX, &r->usec) ||
        !number(w->word[4], 10, GR_PROFILE_SAMPLES_MAX, &r->samples) ||
        !number(w->word[5], 10, INT64_MAX, &r->lost))
        return -EBADMSG;
    r->pid = (int)pid;
    r->hz = (unsigned)hz;
    return 0;
}

static int read_line(struct gr_recording *r, char *line)
{
    static const struct {
        const char *word;
        int (*read)(struct gr_recording *r, const struct words *w);
    } kinds[] = {
        {"image", read_image}, {"module", read_module}, {"stack", read_stack}, {"run", read_run}};
    struct words w;
    if (!split(line, &w))
        return -EBADMSG;
    for (size_t i = 0; i < GR_COUNT(kinds); i++)
        if (!strcmp(w.word[0], kinds[i].word))
            return kinds[i].read(r, &w);
    return 0; // of a newer worker
}

// "end" is the last line: a text that was cut off has none.
static int read_lines(struct gr_recording *r, struct gr_error *e)
{
    char *rest = r->text, *line = strsep(&rest, "\n");
    if (strcmp(line, "grayling-profile 1"))
        return gr_error_set(e, -EBADMSG, GR_REASON_NONE,
                            "that is no profile: it begins with \"%.40s\"; expected "
                            "\"grayling-profile 1\"",
                            line);
    for (size_t at = 2; (line = strsep(&rest, "\n")); at++) {
        if (!strcmp(line, "end"))
            return 0;
        char head[32] = "";
        strncpy(head, line, sizeof head - 1);
        int k = read_line(r, line);
        if (k < 0)
            return gr_error_set(e, k, GR_REASON_NONE,
                                "line %zu of the profile (\"%s...\") cannot be read: %s", at, head,
                                strerror(-k));
    }
    return gr_error_set(e, -EBADMSG, GR_REASON_NONE,
                        "the profile was cut off: its last line is missing");
}

int gr_recording_parse(const char *text, size_t len, struct gr_recording *ret, struct gr_error *e)
{
    struct gr_recording r = {0};
    if (len > GR_PROFILE_BYTES_MAX || memchr(text, '\0', len))
        return gr_error_set(e, -E2BIG, GR_REASON_NONE,
                            "a profile of %zu bytes; expected text of at most %u", len,
                            GR_PROFILE_BYTES_MAX);
    r.text = strndup(text, len);
    int k = r.text ? read_lines(&r, e) : -ENOMEM;
    if (k < 0) {
        gr_recording_done(&r);
        return k;
    }
    *ret = r;
    return 0;
}

void gr_recording_done(struct gr_recording *r)
{
    free(r->text);
    free(r->images);
    free(r->frames);
    free(r->stacks);
    *r = (struct gr_recording){0};
}

const struct gr_recorded_image *gr_recording_find(const struct gr_recording *r,
                                                  const struct gr_recorded_frame *f)
{
    for (size_t i = 0; i < r->n_images; i++) {
        const struct gr_recorded_image *m = &r->images[i];
        if (f->serial ? m->serial == f->serial
                      : !m->serial && f->address >= m->start && f->address < m->end)
            return m;
    }
    return NULL;
}
