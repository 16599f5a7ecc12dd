// The file format of drills: one statement a line, a line that begins with a blank continues the
// one before, # begins a comment line. The head (shows, rows, needs, set) comes first. A file is
// taken whole or refused with FILE:LINE.
#include "base/fs.h"
#include "cli/drill/drill.h"
#include "cli/drill/match.h"
#include "cli/input.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".drill"

struct parse {
    const char *file;
    struct gr_drill *drill;
    struct gr_error *e;
};

static const struct {
    const char *word;
    unsigned need;
} needs[] = {{"faults", GR_DRILL_NEEDS_FAULTS},
             {"etcd", GR_DRILL_NEEDS_ETCD},
             {"fresh", GR_DRILL_NEEDS_FRESH}};

const char *gr_drill_form(enum gr_drill_act act)
{
    static const char *const forms[] = {
#define X(id, form) form,
        GR_DRILL_FORMS(X)
#undef X
    };
    return forms[act];
}

const char *gr_drill_needs_format(unsigned mask, char buf[64])
{
    buf[0] = '\0';
    for (size_t i = 0; i < GR_COUNT(needs); i++)
        if (mask & needs[i].need)
            snprintf(buf + strlen(buf), 64 - strlen(buf), "%s%s", *buf ? " " : "", needs[i].word);
    return buf;
}

static int refuse(struct parse *p, unsigned number, const char *format, ...) GR_PRINTF(3, 4);
static int refuse(struct parse *p, unsigned number, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return gr_error_set(p->e, -EINVAL, GR_REASON_NONE, "%.200s:%u: %s", p->file, number, text);
}

static int out_of_memory(struct parse *p)
{
    return gr_error_set(p->e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

static int take_rows(struct parse *p, unsigned number, const char *text)
{
    struct gr_drill *d = p->drill;
    char *end;
    for (; *text; text = end + strspn(end, " ")) {
        unsigned long row = strtoul(text, &end, 10);
        if (end == text || (*end && *end != ' ') || !row || row > 99 ||
            d->n_rows == GR_DRILL_ROWS_MAX)
            return refuse(p, number, "expected at most %d row numbers of docs/DRILLS.md",
                          GR_DRILL_ROWS_MAX);
        d->rows[d->n_rows++] = (unsigned)row;
    }
    return 0;
}

static int take_needs(struct parse *p, unsigned number, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " "), i = 0;
        while (i < GR_COUNT(needs) &&
               (strlen(needs[i].word) != n || memcmp(needs[i].word, text, n)))
            i++;
        if (i == GR_COUNT(needs))
            return refuse(p, number, "expected faults, etcd or fresh, found \"%.*s\"",
                          (int)(n < 60 ? n : 60), text);
        p->drill->needs |= needs[i].need;
        text += n + strspn(text + n, " ");
    }
    return 0;
}

static int take_set(struct parse *p, unsigned number, const char *text)
{
    struct gr_drill *d = p->drill;
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals || d->n_sets == GR_DRILL_SETS_MAX)
        return refuse(p, number, "expected SECTION.KEY=VALUE, at most %d of them",
                      GR_DRILL_SETS_MAX);
    d->sets[d->n_sets] = strdup(text);
    return d->sets[d->n_sets++] ? 0 : out_of_memory(p);
}

// 1: the line is of the head.
static int take_head(struct parse *p, unsigned number, const char *text)
{
    size_t n = strcspn(text, " ");
    const char *rest = text + n + strspn(text + n, " ");
    int r = 0;
    bool shows = n == 5 && !memcmp(text, "shows", n), rows = n == 4 && !memcmp(text, "rows", n),
         need = n == 5 && !memcmp(text, "needs", n), set = n == 3 && !memcmp(text, "set", n);
    if (!shows && !rows && !need && !set)
        return 0;
    if (!*rest || p->drill->n_lines || (shows && p->drill->shows))
        return refuse(p, number, "\"%.*s\" says something once, before the story", (int)n, text);
    if (shows && !(p->drill->shows = strdup(rest)))
        return out_of_memory(p);
    if (rows)
        r = take_rows(p, number, rest);
    else if (need)
        r = take_needs(p, number, rest);
    else if (set)
        r = take_set(p, number, rest);
    return r < 0 ? r : 1;
}

static unsigned needs_of(enum gr_drill_act act)
{
    unsigned need = act == GR_DRILL_FAULT_POINT ? GR_DRILL_NEEDS_FAULTS
                    : act == GR_DRILL_FAULT_ETCD || act == GR_DRILL_WRITE || act == GR_DRILL_ACCEPT
                        ? GR_DRILL_NEEDS_ETCD
                        : 0;
    bool hurts = act == GR_DRILL_FAULT_SUPERVISOR || act == GR_DRILL_FAULT_WORKER ||
                 act == GR_DRILL_FAULT_ETCD || act == GR_DRILL_FAULT_STORED ||
                 act == GR_DRILL_FAULT_POINT || act == GR_DRILL_REPLACE || act == GR_DRILL_ACCEPT ||
                 act == GR_DRILL_METRIC;
    return need | (hurts ? GR_DRILL_NEEDS_THROWAWAY : 0);
}

static int take_statement(struct parse *p, unsigned number, const char *text)
{
    struct gr_drill *d = p->drill;
    size_t best = 0;
    enum gr_drill_act act = GR_DRILL_ACT_COUNT;
    char why[256] = "";
    for (unsigned i = 0; i < GR_DRILL_ACT_COUNT; i++) {
        size_t matched = gr_drill_match_head(gr_drill_form(i), text);
        if (matched > best) {
            best = matched;
            act = i;
        }
    }
    if (act == GR_DRILL_ACT_COUNT)
        return refuse(p, number,
                      "\"%.60s\" is not a statement; docs/DRILLS.md lists them, the first word is "
                      "one of given, put, traffic, ask, fault, expect",
                      text);
    if (d->n_lines == GR_DRILL_LINES_MAX)
        return refuse(p, number, "more than %d statements", GR_DRILL_LINES_MAX);
    struct gr_drill_line *line = &d->lines[d->n_lines++];
    *line = (struct gr_drill_line){.number = number, .act = act};
    int r = gr_drill_match(gr_drill_form(act), text, line, why);
    if (r == -EINVAL)
        return refuse(p, number, "%s. The form is: %s", why, gr_drill_form(act));
    d->needs |= needs_of(act);
    return r < 0 ? out_of_memory(p) : 0;
}

static int take_line(struct parse *p, unsigned number, const char *text)
{
    int r = take_head(p, number, text);
    return r < 0 ? r : r ? 0 : take_statement(p, number, text);
}

static int check_bytes(struct parse *p, const char *text, size_t len)
{
    unsigned number = 1;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' && text[i] != '\n')
            return refuse(p, number, "byte %#x; expected printable text and line feeds",
                          (unsigned char)text[i]);
        number += text[i] == '\n';
    }
    return 0;
}

// Joins what continues a line, leaves comments out.
static int take_text(struct parse *p, const char *text, size_t len)
{
    GR_AUTO_BUF struct gr_buf joined = GR_BUF(GR_DRILL_BYTES_MAX);
    const char *end = text + len;
    unsigned number = 1, begun = 0;
    int r = 0;
    for (; r >= 0 && text < end; number++) {
        const char *feed = memchr(text, '\n', (size_t)(end - text)), *stop = feed ? feed : end;
        size_t blank = strspn(text, " ");
        const char *from = text + blank;
        while (stop > from && stop[-1] == ' ')
            stop--;
        if (from < stop && *from != '#') {
            if (blank && !begun)
                return refuse(p, number,
                              "a blank at its beginning continues a line, and none "
                              "was begun");
            if (!blank && begun)
                r = take_line(p, begun, joined.data);
            if (!blank) {
                gr_buf_clear(&joined);
                begun = number;
            }
            if (r >= 0 && ((blank && gr_buf_append(&joined, " ", 1) < 0) ||
                           gr_buf_append(&joined, from, (size_t)(stop - from)) < 0))
                r = out_of_memory(p);
        }
        text = feed ? feed + 1 : end;
    }
    return r < 0 ? r : begun ? take_line(p, begun, joined.data) : 0;
}

static int check_whole(struct parse *p)
{
    const struct gr_drill *d = p->drill;
    bool expects = false, open = false;
    for (size_t i = 0; i < d->n_lines; i++) {
        const struct gr_drill_line *l = &d->lines[i];
        expects |= l->act >= GR_DRILL_EVENT;
        if ((l->act == GR_DRILL_BEGIN && open) || (l->act == GR_DRILL_COMMIT && !open))
            return refuse(p, l->number, "begin and commit go in pairs");
        open = l->act == GR_DRILL_BEGIN || (open && l->act != GR_DRILL_COMMIT);
        if (open && l->act != GR_DRILL_BEGIN && l->act != GR_DRILL_PUT &&
            l->act != GR_DRILL_PUT_AGAIN && l->act != GR_DRILL_REMOVE && l->act != GR_DRILL_WRITE)
            return refuse(p, l->number,
                          "only put, write and remove stand between begin and "
                          "commit");
    }
    if (!d->shows)
        return refuse(p, 1, "it does not say what it shows; begin with: shows TEXT");
    if (!expects || open)
        return refuse(
            p, 1, open ? "its last begin has no commit" : "it expects nothing, so it cannot fail");
    return 0;
}

static int take_name(struct parse *p)
{
    const char *slash = strrchr(p->file, '/'), *name = slash ? slash + 1 : p->file;
    size_t len = strlen(name), suffix = strlen(SUFFIX);
    if (len > suffix && !strcmp(name + len - suffix, SUFFIX))
        len -= suffix;
    if (gr_name_parse(name, len, &p->drill->name) < 0)
        return gr_error_set(
            p->e, -EINVAL, GR_REASON_NONE,
            "%.200s does not name a drill; expected [a-z0-9][a-z0-9._-]{0,63}" SUFFIX, p->file);
    return 0;
}

int gr_drill_parse(const char *file, const char *text, size_t len, struct gr_drill **ret,
                   struct gr_error *e)
{
    GR_CLEANUP(gr_drill_freep) struct gr_drill *d = calloc(1, sizeof *d);
    struct parse p = {.file = file, .drill = d, .e = e};
    if (!d || !(d->lines = calloc(GR_DRILL_LINES_MAX, sizeof *d->lines)))
        return out_of_memory(&p);
    if (len > GR_DRILL_BYTES_MAX)
        return gr_error_set(e, -E2BIG, GR_REASON_NONE, "%.200s is larger than %u bytes", file,
                            GR_DRILL_BYTES_MAX);
    GR_AUTO_FREE char *copy = strndup(len ? text : "", len);
    if (!copy)
        return out_of_memory(&p);
    int r = check_bytes(&p, text, len);
    if (r >= 0)
        r = take_name(&p);
    if (r >= 0)
        r = take_text(&p, copy, len);
    if (r >= 0)
        r = check_whole(&p);
    if (r >= 0)
        *ret = gr_steal(d);
    return r;
}

int gr_drill_load(const char *file, struct gr_drill **ret, struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf text = GR_BUF(GR_DRILL_BYTES_MAX);
    int r = gr_input_read(file, &text, e);
    return r < 0 ? r : gr_drill_parse(file, text.data ? text.data : "", text.len, ret, e);
}

void gr_drill_free(struct gr_drill *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_lines; i++)
        for (size_t k = 0; k < GR_DRILL_ARGS_MAX; k++)
            free(d->lines[i].args[k]);
    for (size_t i = 0; i < d->n_sets; i++)
        free(d->sets[i]);
    free(d->lines);
    free(d->shows);
    free(d);
}
