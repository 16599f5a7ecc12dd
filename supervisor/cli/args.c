// Parses the command line against the table of verbs. Knows no verb by name.
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/value-kind.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct gr_option gr_shared_options[] = {
    {'o', "output", "FORMAT", // the first: gr_args_format()
     "table, wide, json, jsonl or name"},
    {0, "color", "WHEN", "auto, always or never (also: NO_COLOR)"},
    {0, "control", "PATH", "control socket of the daemon (also: GRAYLING_CONTROL)"},
    {0, "config", "FILE", "configuration of the daemon (also: GRAYLING_CONFIG)"},
    {0, "etcd", "URL", "etcd instead of the configured source"},
    {'h', "help", NULL, "this text"},
    {0},
};

// Edit distance (Levenshtein) of short words; anything long is far.
static size_t distance(const char *a, const char *b)
{
    size_t row[33], n = strlen(b);
    if (strlen(a) > 32 || n > 32)
        return SIZE_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

const char *gr_suggest(const char *word, const char *(*name)(const void *u, size_t i),
                       const void *u, size_t n)
{
    const char *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, name(u, i));
        if (d < least && d < strlen(word)) {
            least = d;
            nearest = name(u, i);
        }
    }
    return nearest;
}

static const char *verb_name(const void *u, size_t i)
{
    return ((const struct gr_verb *)u)[i].name;
}

static const struct gr_verb *find_verb(const char *word, const struct gr_verb *verbs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(verbs[i].name, word))
            return &verbs[i];
    return NULL;
}

static const struct gr_option *find_in(const struct gr_option *options, const char *name,
                                       size_t len, char letter)
{
    for (; options && options->name; options++)
        if (letter ? options->letter == letter
                   : strlen(options->name) == len && !strncmp(options->name, name, len))
            return options;
    return NULL;
}

// The verb's own options come first, so that events may have -f for follow.
static const struct gr_option *find_option(const struct gr_verb *v, const char *name, size_t len,
                                           char letter)
{
    const struct gr_option *o = v ? find_in(v->options, name, len, letter) : NULL;
    return o ? o : find_in(gr_shared_options, name, len, letter);
}

static const char *option_name(const void *u, size_t i)
{
    return ((const struct gr_option *)u)[i].name;
}

// Of the verb's own options, else of the shared ones. Without "--".
static const char *suggest_option(const struct gr_verb *v, const char *text)
{
    const struct gr_option *lists[] = {v ? v->options : NULL, gr_shared_options};
    const char *near = NULL;
    char name[33];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    for (size_t i = 0; i < GR_COUNT(lists) && !near; i++) {
        size_t n = 0;
        while (lists[i] && lists[i][n].name)
            n++;
        near = gr_suggest(name, option_name, lists[i], n);
    }
    return near;
}

static int unknown_option(const struct gr_verb *v, const char *text, struct gr_error *e)
{
    const char *near = text[1] == '-' ? suggest_option(v, text + 2) : NULL;
    if (near)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "%s does not know the option %.64s; did you mean \"--%s\"?",
                            v ? v->name : "grayctl", text, near);
    return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                        "%s does not know the option %.64s; grayctl %s --help shows its options",
                        v ? v->name : "grayctl", text, v ? v->name : "");
}

// One option at argv[*i]; moves *i over its value.
static int take_option(int argc, char **argv, int *i, struct gr_args *a, struct gr_error *e)
{
    const char *text = argv[*i], *value = NULL;
    bool is_long = text[1] == '-';
    const char *name = text + 2, *equals = is_long ? strchr(name, '=') : NULL;
    const struct gr_option *o =
        is_long ? find_option(a->verb, name, equals ? (size_t)(equals - name) : strlen(name), 0)
                : find_option(a->verb, NULL, 0, text[1]);
    if (!o)
        return unknown_option(a->verb, text, e);
    if (is_long ? equals != NULL : text[2] != '\0')
        value = is_long ? equals + 1 : text + 2;
    if (!o->value && value)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "--%s takes no value; got \"%.64s\"",
                            o->name, value);
    if (o->value && !value) {
        if (*i + 1 >= argc)
            return gr_error_set(e, -EINVAL, GR_REASON_NONE, "--%s needs a value: --%s %s", o->name,
                                o->name, o->value);
        value = argv[++*i];
    }
    if (a->n_given == GR_ARGS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "too many options; expected at most %d",
                            GR_ARGS_MAX);
    a->given[a->n_given].option = o;
    a->given[a->n_given++].value = value;
    return 0;
}

static int take_word(const char *word, const struct gr_verb *verbs, size_t n_verbs,
                     struct gr_args *a, struct gr_error *e)
{
    if (!a->verb) {
        a->verb = find_verb(word, verbs, n_verbs);
        if (a->verb)
            return 0;
        const char *near = gr_suggest(word, verb_name, verbs, n_verbs);
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "there is no verb \"%.64s\"; %s%s%s", word,
                            near ? "did you mean \"" : "grayctl help lists them all",
                            near ? near : "", near ? "\"?" : "");
    }
    if (a->n_words == GR_ARGS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "too many arguments; expected at most %d",
                            GR_ARGS_MAX);
    a->words[a->n_words++] = word;
    return 0;
}

static const char *choice_name(const void *u, size_t i)
{
    return ((const char(*)[33])u)[i];
}

// Where only some words may stand, as "cat|check", another one is refused with the nearest.
static int check_word(const struct gr_args *a, size_t at, struct gr_error *e)
{
    struct gr_value_choice choices[GR_VALUES_MAX];
    char names[GR_VALUES_MAX][33], all[256] = "";
    size_t n = gr_value_choices(a->verb->words, at, choices), len = 0;
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%.*s", (int)choices[i].len, choices[i].name);
        if (choices[i].kind != GR_VALUE_LITERAL || !strcmp(names[i], a->words[at]))
            return 0;
        if (len < sizeof all)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s",
                                    i == 0      ? ""
                                    : i + 1 < n ? ", "
                                                : " or ",
                                    names[i]);
    }
    if (n == 0)
        return 0;
    const char *near = gr_suggest(a->words[at], choice_name, names, n);
    if (near)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "%s: got \"%.64s\"; did you mean \"%s\"? Usage: grayctl %s %s",
                            a->verb->name, a->words[at], near, a->verb->name, a->verb->words);
    return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                        "%s: expected %s, got \"%.64s\"; usage: grayctl %s %s", a->verb->name, all,
                        a->words[at], a->verb->name, a->verb->words);
}

static int check_words(const struct gr_args *a, struct gr_error *e)
{
    if (!a->verb || gr_args_has(a, "help") ||
        (a->n_words >= a->verb->min_words && a->n_words <= a->verb->max_words)) {
        int r = 0;
        for (size_t i = 0; a->verb && !gr_args_has(a, "help") && i < a->n_words && r == 0; i++)
            r = check_word(a, i, e);
        return r;
    }
    return gr_error_set(e, -EINVAL, GR_REASON_NONE, "%s: got %zu argument%s; usage: grayctl %s %s",
                        a->verb->name, a->n_words, a->n_words == 1 ? "" : "s", a->verb->name,
                        a->verb->words);
}

int gr_args_parse(int argc, char **argv, const struct gr_verb *verbs, size_t n_verbs,
                  struct gr_args *ret, struct gr_error *e)
{
    bool only_words = false;
    *ret = (struct gr_args){0};
    for (int i = 0; i < argc; i++) {
        int r = 0;
        if (!only_words && !strcmp(argv[i], "--"))
            only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            r = take_option(argc, argv, &i, ret, e);
        else
            r = take_word(argv[i], verbs, n_verbs, ret, e);
        if (r < 0)
            return r;
    }
    return check_words(ret, e);
}

size_t gr_args_list(const struct gr_args *a, const char *name, const char **ret, size_t cap)
{
    const struct gr_option *o = find_option(a->verb, name, strlen(name), 0);
    size_t n = 0;
    for (size_t i = 0; i < a->n_given && n < cap; i++)
        if (a->given[i].option == o)
            ret[n++] = a->given[i].value;
    return n;
}

bool gr_args_has(const struct gr_args *a, const char *name)
{
    const char *one;
    return gr_args_list(a, name, &one, 1) == 1;
}

const char *gr_args_value(const struct gr_args *a, const char *name)
{
    const char *all[GR_ARGS_MAX];
    size_t n = gr_args_list(a, name, all, GR_ARGS_MAX);
    return n ? all[n - 1] : NULL;
}

const char *gr_args_format(const struct gr_args *a)
{
    const char *value = NULL;
    for (size_t i = 0; i < a->n_given; i++)
        if (a->given[i].option == gr_shared_options)
            value = a->given[i].value;
    return value;
}

int gr_args_duration(const struct gr_args *a, const char *name, uint64_t *ret_usec,
                     struct gr_error *e)
{
    const char *text = gr_args_value(a, name);
    if (text && gr_duration_parse(text, ret_usec) < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--%s %.64s: expected a duration like 30s or 5m", name, text);
    return 0;
}

int gr_args_number(const struct gr_args *a, const char *name, int64_t *ret, struct gr_error *e)
{
    const char *text = gr_args_value(a, name);
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end || n < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "--%s %.64s: expected a number, 0 or more",
                            name, text);
    *ret = n;
    return 0;
}
