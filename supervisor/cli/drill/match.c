// Matches a line word by word; what a word in capitals takes is in the table of kinds.
#include "cli/drill/match.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct walk {
    const char *form, *text;
    struct gr_drill_line *line;
    size_t n_args;
    char *why;
};

static const char *skip(const char *s)
{
    return s + strspn(s, " ");
}

static size_t word_len(const char *s)
{
    return strcspn(s, " ");
}

static size_t form_len(const char *s)
{
    return strcspn(s, " ]");
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && !memcmp(a, b, a_len);
}

static bool is_module(const char *s)
{
    struct gr_name name;
    return gr_name_parse(s, strlen(s), &name) >= 0;
}

static bool is_version(const char *s)
{
    struct gr_version v;
    return gr_version_parse(s, &v) >= 0;
}

static bool is_number(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n && n <= 9 && !s[n];
}

static bool is_duration(const char *s)
{
    uint64_t usec;
    return gr_duration_parse(s, &usec) >= 0 && usec <= GR_DRILL_PATIENCE_USEC_MAX;
}

static bool is_reason(const char *s)
{
    enum gr_reason reason;
    return *s && gr_reason_parse(s, &reason) >= 0;
}

static bool is_method(const char *s)
{
    const char *slash = strchr(s, '/');
    return slash && slash > s && slash[1] && !strchr(slash + 1, '/') &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/") ==
               strlen(s);
}

static bool is_header(const char *s)
{
    const char *colon = strchr(s, ':');
    return colon && colon > s && colon[1];
}

static bool is_object(const char *s)
{
    GR_AUTO_JSON cJSON *j = NULL;
    return gr_json_parse(s, strlen(s), GR_DRILL_BYTES_MAX, &j, NULL) >= 0 && cJSON_IsObject(j);
}

static bool is_point(const char *s)
{
    return strchr(s, ':') && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789.:-") == strlen(s);
}

static bool is_build(const char *s)
{
    return s[0] != '.' && !strchr(s, '/');
}

static const struct kind {
    const char *name;
    bool rest;                    // takes the rest of the line
    bool (*holds)(const char *s); // NULL: any word, or one of `words`
    const char *words, *expected; // words: each between blanks
} kinds[] = {
    {"MODULE", false, is_module, NULL, "a module's name"},
    {"VERSION", false, is_version, NULL, "a version like 1.2.0"},
    {"NUMBER", false, is_number, NULL, "a number"},
    {"DURATION", false, is_duration, NULL, "a duration like 30s, at most 10m"},
    {"METHOD", false, is_method, NULL, "INTERFACE/METHOD"},
    {"HEADER", false, is_header, NULL, "name:value"},
    {"REASON", false, is_reason, NULL, "a reason like Crashed"},
    {"JSON", true, is_object, NULL, "a JSON object"},
    {"TEXT", true, NULL, NULL, "a text"},
    {"POINT", false, is_point, NULL, "NAME:N:kill or NAME:N:error:ERRNO"},
    {"WORD", false, is_build, NULL, "a name without slash"},
    {"FIELD", false, NULL, NULL, "a field like stable.version"},
    {"VALUE", false, NULL, NULL, "a value"},
    {"SERIES", false, NULL, NULL, "a series like grayling_etcd_up"},
    {"WRONG", false, NULL, " wrong ", "wrong"},
    {"SIGNAL", false, NULL, " kill term ", "kill or term"},
    {"DAMAGE", false, NULL, " flipped deleted ", "flipped or deleted"},
    {"ETCD", false, NULL, " killed started silent resumed compacted replaced ",
     "killed, started, silent, resumed, compacted or replaced"},
    {"ORDER", false, NULL, " promote pause resume abort undo retry ",
     "promote, pause, resume, abort, undo or retry"},
    {"HOW", false, NULL,
     " whole truncated shorter reset endless huge missing broken stalled private circle ",
     "whole, truncated, shorter, reset, endless, huge, missing, broken, stalled, private or "
     "circle"},
    {"PHASE", false, NULL,
     " Pending Fetching Verifying Staged Progressing Paused Baking Healthy RollingBack RolledBack "
     "Rejected Superseded Degraded ",
     "a phase like RolledBack"},
};

static const struct kind *find_kind(const char *name, size_t len)
{
    for (size_t i = 0; i < GR_COUNT(kinds); i++)
        if (same(kinds[i].name, strlen(kinds[i].name), name, len))
            return &kinds[i];
    return NULL;
}

static bool is_one_of(const char *words, const char *s)
{
    char padded[64];
    snprintf(padded, sizeof padded, " %.60s ", s);
    return strstr(words, padded);
}

static int refuse(struct walk *w, const char *expected)
{
    size_t n = word_len(w->text);
    if (n)
        snprintf(w->why, 256, "expected %.160s, found \"%.*s\"", expected, (int)(n < 60 ? n : 60),
                 w->text);
    else
        snprintf(w->why, 256, "expected %.160s, found the end of the line", expected);
    return -EINVAL;
}

static int keep(struct walk *w, const char *s, size_t len)
{
    char *copy = strndup(s, len);
    if (!copy)
        return -ENOMEM;
    w->line->args[w->n_args++] = copy;
    return 0;
}

// "[at most|at least] N", kept as "<N", ">N" or "=N".
static int take_bound(struct walk *w)
{
    char bound[16], sign = '=';
    if (!strncmp(w->text, "at most ", 8))
        sign = '<';
    else if (!strncmp(w->text, "at least ", 9))
        sign = '>';
    w->text = skip(w->text + (sign == '<' ? 8 : sign == '>' ? 9 : 0));
    size_t n = word_len(w->text);
    snprintf(bound, sizeof bound, "%c%.*s", sign, (int)(n < 12 ? n : 12), w->text);
    if (!is_number(bound + 1))
        return refuse(w, "N, at most N or at least N");
    w->text = skip(w->text + n);
    return keep(w, bound, strlen(bound));
}

static int take_value(struct walk *w, const char *name, size_t len)
{
    if (same(name, len, "BOUND", 5))
        return take_bound(w);
    const struct kind *k = find_kind(name, len);
    size_t n = k->rest ? strlen(w->text) : word_len(w->text);
    if (!n)
        return refuse(w, k->expected);
    int r = keep(w, w->text, n);
    const char *value = r < 0 ? "" : w->line->args[w->n_args - 1];
    if (r >= 0 && ((k->holds && !k->holds(value)) || (k->words && !is_one_of(k->words, value))))
        r = refuse(w, k->expected);
    w->text = skip(w->text + n);
    return r;
}

static int take_words(struct walk *w);

static int take_option(struct walk *w)
{
    const char *inside = w->form + 1, *end = strchr(inside, ']');
    size_t n = form_len(inside);
    if (same(inside, n, w->text, word_len(w->text))) {
        w->form = inside;
        return take_words(w);
    }
    for (const char *p = inside; p < end; p++)
        w->n_args += isupper((unsigned char)*p) && p[-1] == ' ';
    w->form = end;
    return 0;
}

// To the end of the form, or of the part in brackets.
static int take_words(struct walk *w)
{
    int r = 0;
    while (r >= 0 && *(w->form = skip(w->form)) && *w->form != ']') {
        size_t n = form_len(w->form);
        if (*w->form == '[') {
            r = take_option(w);
            w->form += r >= 0;
            continue;
        }
        if (isupper((unsigned char)*w->form)) {
            r = take_value(w, w->form, n);
        } else if (same(w->form, n, w->text, word_len(w->text))) {
            w->text = skip(w->text + n);
        } else {
            char expected[32];
            snprintf(expected, sizeof expected, "%.*s", (int)n, w->form);
            r = refuse(w, expected);
        }
        w->form += n;
    }
    return r;
}

size_t gr_drill_match_head(const char *form, const char *text)
{
    size_t matched = 0;
    while (*form && !isupper((unsigned char)*form) && *form != '[') {
        size_t n = form_len(form);
        if (!same(form, n, text, word_len(text)))
            return 0;
        matched++;
        form = skip(form + n);
        text = skip(text + n);
    }
    return matched;
}

int gr_drill_match(const char *form, const char *text, struct gr_drill_line *ret, char why[256])
{
    struct walk w = {.form = form, .text = skip(text), .line = ret, .why = why};
    int r = take_words(&w);
    return r < 0 ? r : *w.text ? refuse(&w, "nothing more") : 0;
}

bool gr_drill_holds(const char *bound, uint64_t n)
{
    uint64_t limit = strtoull(bound + 1, NULL, 10);
    return bound[0] == '<' ? n <= limit : bound[0] == '>' ? n >= limit : n == limit;
}
