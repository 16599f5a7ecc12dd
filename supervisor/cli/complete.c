// Completion: one walk over the words before the cursor, then the candidates for the one at it. The
// scripts of the shells (verb-completion.c) only hand over words and show what comes back.
#include "cli/complete.h"
#include "base/json.h"
#include "cli/output.h"
#include "cli/value-kind.h"
#include <string.h>

#define ASK_USEC 1000000ull // a shell that waits longer is worse than no candidates

struct cursor {
    struct gr_cli *cli;
    const struct gr_verb *verb;     // NULL: it is still to come
    const struct gr_option *option; // whose value comes next; NULL: none
    const char *module;             // the first word of the verb
    size_t n_words;                 // of the verb
    bool only_words;                // "--" was there
};

static void offer(const struct cursor *c, const char *prefix, const char *typed, const char *word,
                  size_t len, const char *summary)
{
    if (!strncmp(word, typed, strlen(typed)) && strlen(typed) <= len)
        fprintf(c->cli->out, "%s%.*s\t%s\n", prefix, (int)len, word, summary ? summary : "");
}

// --- what the daemon knows
// ------------------------------------------------------------------------

static void offer_asked(const struct cursor *c, const char *prefix, const char *typed,
                        const char *path, const char *list, const char *name, const char *summary)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    struct gr_error ignored = {0};
    const cJSON *one;
    if (gr_cli_request(c->cli, "GET", path, NULL, ASK_USEC, &answer, &ignored) < 0)
        return;
    cJSON_ArrayForEach(one, gr_output_find(answer, list))
    {
        const cJSON *value = gr_output_find(one, name);
        char number[32];
        snprintf(number, sizeof number, "%.0f", cJSON_GetNumberValue(value));
        const char *text = cJSON_IsNumber(value) ? number : gr_output_text(one, name);
        text += strncmp(text, "sha256:", 7) ? 0 : 7; // a colon parts words in bash
        offer(c, prefix, typed, text, strlen(text), gr_output_text(one, summary));
    }
}

static void offer_versions(const struct cursor *c, const char *prefix, const char *typed)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    struct gr_error ignored = {0};
    const cJSON *rollout, *m;
    char path[192];
    snprintf(path, sizeof path, "/v1/history?limit=50&module=%.100s", c->module ? c->module : "");
    if (!c->module || gr_cli_request(c->cli, "GET", path, NULL, ASK_USEC, &answer, &ignored) < 0)
        return;
    cJSON_ArrayForEach(rollout, gr_output_find(answer, "rollouts"))
        cJSON_ArrayForEach(m, gr_output_find(rollout, "modules"))
    {
        const char *version = gr_output_text(m, "to.version");
        if (*version && !strcmp(gr_output_text(m, "module"), c->module))
            offer(c, prefix, typed, version, strlen(version), gr_output_text(rollout, "phase"));
    }
}

// --- kinds
// ----------------------------------------------------------------------------------------

static void offer_verbs(const struct cursor *c, const char *typed)
{
    for (size_t i = 0; i < c->cli->n_verbs; i++) {
        const struct gr_verb *v = &c->cli->verbs[i];
        offer(c, "", typed, v->name, strlen(v->name), v->summary);
    }
}

static void offer_fixed(const struct cursor *c, const char *prefix, const char *typed,
                        const char *const *words)
{
    for (; *words; words++)
        offer(c, prefix, typed, *words, strlen(*words), NULL);
}

static void offer_kind(const struct cursor *c, const char *prefix, const char *typed,
                       const struct gr_value_choice *choice)
{
    static const char *const formats[] = {"table", "wide", "json", "jsonl", "name", NULL};
    static const char *const times[] = {"auto", "always", "never", NULL};
    static const char *const shells[] = {"bash", "zsh", "fish", NULL};
    switch (choice->kind) {
    case GR_VALUE_FREE:
        return;
    case GR_VALUE_LITERAL:
        offer(c, prefix, typed, choice->name, choice->len, NULL);
        return;
    case GR_VALUE_FILE:
    case GR_VALUE_SO:
        fprintf(c->cli->out, ":files%s\n", choice->kind == GR_VALUE_SO ? " .so" : "");
        return;
    case GR_VALUE_MODULE:
        offer_asked(c, prefix, typed, "/v1/modules", "modules", "module", "phase");
        return;
    case GR_VALUE_ROLLOUT:
        offer_asked(c, prefix, typed, "/v1/history?limit=20", "rollouts", "rollout", "phase");
        return;
    case GR_VALUE_VERSION:
        offer_versions(c, prefix, typed);
        return;
    case GR_VALUE_DIGEST:
        offer_asked(c, prefix, typed, "/v1/quarantine", "quarantine", "hash", "module");
        return;
    case GR_VALUE_VERB:
        offer_verbs(c, typed);
        return;
    case GR_VALUE_FORMAT:
        offer_fixed(c, prefix, typed, formats);
        return;
    case GR_VALUE_WHEN:
        offer_fixed(c, prefix, typed, times);
        return;
    case GR_VALUE_SHELL:
        offer_fixed(c, prefix, typed, shells);
        return;
    }
}

static void offer_value(const struct cursor *c, const char *prefix, const char *typed,
                        const struct gr_option *o)
{
    struct gr_value_choice choice = {.name = o->value, .len = strlen(o->value)};
    if (gr_value_kind_of(choice.name, choice.len, &choice.kind))
        offer_kind(c, prefix, typed, &choice);
}

static const struct gr_option *option_of(const struct cursor *c, const char *word, size_t len)
{
    const struct gr_option *lists[] = {c->verb ? c->verb->options : NULL, gr_shared_options};
    for (size_t i = 0; i < GR_COUNT(lists); i++)
        for (const struct gr_option *o = lists[i]; o && o->name; o++)
            if (word[1] == '-' ? strlen(o->name) == len - 2 && !strncmp(o->name, word + 2, len - 2)
                               : len == 2 && o->letter == word[1])
                return o;
    return NULL;
}

static void offer_options(const struct cursor *c, const char *typed)
{
    const struct gr_option *lists[] = {c->verb ? c->verb->options : NULL, gr_shared_options};
    for (size_t i = 0; i < GR_COUNT(lists); i++)
        for (const struct gr_option *o = lists[i]; o && o->name; o++) {
            char text[64];
            int len = snprintf(text, sizeof text, "--%s", o->name);
            if (option_of(c, text, (size_t)len) != o) // hidden by the verb's own
                continue;
            offer(c, "", typed, text, (size_t)len, o->help);
        }
}

// --- the walk
// -------------------------------------------------------------------------------------

// The options that say whom to ask.
static void take_value(struct cursor *c, const struct gr_option *o, const char *value)
{
    if (!strcmp(o->name, "control"))
        c->cli->control_path = value;
    else if (!strcmp(o->name, "config"))
        c->cli->config_path = value;
}

static void take_option(struct cursor *c, const char *word)
{
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    const struct gr_option *o = option_of(c, word, equals ? (size_t)(equals - word) : strlen(word));
    if (o && o->value && equals)
        take_value(c, o, equals + 1);
    else if (o && o->value)
        c->option = o;
}

static void step(struct cursor *c, const char *word)
{
    if (c->option && !strcmp(word, "=")) // bash parts --output=json in three
        return;
    if (c->option) {
        take_value(c, c->option, word);
        c->option = NULL;
    } else if (!c->only_words && !strcmp(word, "--")) {
        c->only_words = true;
    } else if (!c->only_words && word[0] == '-' && word[1]) {
        take_option(c, word);
    } else if (!c->verb) {
        for (size_t i = 0; i < c->cli->n_verbs && !c->verb; i++)
            if (!strcmp(c->cli->verbs[i].name, word))
                c->verb = &c->cli->verbs[i];
    } else if (c->n_words++ == 0) {
        c->module = word;
    }
}

static void offer_words(const struct cursor *c, const char *typed)
{
    struct gr_value_choice choices[GR_VALUES_MAX];
    size_t n =
        c->n_words < c->verb->max_words ? gr_value_choices(c->verb->words, c->n_words, choices) : 0;
    for (size_t i = 0; i < n; i++)
        offer_kind(c, "", typed, &choices[i]);
}

void gr_complete(struct gr_cli *cli, const char *const *words, size_t n)
{
    struct cursor c = {.cli = cli};
    const char *typed = n ? words[n - 1] : "", *equals = strchr(typed, '=');
    for (size_t i = 0; i + 1 < n; i++)
        step(&c, words[i]);
    if (c.option) {
        offer_value(&c, "", strcmp(typed, "=") ? typed : "", c.option);
    } else if (!c.only_words && !strncmp(typed, "--", 2) && equals) {
        char prefix[64];
        const struct gr_option *o = option_of(&c, typed, (size_t)(equals - typed));
        snprintf(prefix, sizeof prefix, "%.*s", (int)(equals - typed + 1), typed);
        if (o && o->value)
            offer_value(&c, prefix, equals + 1, o);
    } else if (!c.only_words && typed[0] == '-') {
        offer_options(&c, typed);
    } else if (!c.verb) {
        offer_verbs(&c, typed);
    } else {
        offer_words(&c, typed);
    }
}
