// Verbs about Grayling itself: version, help.
#include "base/json.h"
#include "base/release.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

enum gr_exit gr_verb_version(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {
        {"grayctl", "grayctl", GR_CELL_TEXT, false},
        {"graylingd", "graylingd", GR_CELL_TEXT, false},
    };
    struct gr_error e = {0};
    cJSON *status = NULL, *o = cJSON_CreateObject();
    (void)args;
    cJSON_AddStringToObject(o, "grayctl", gr_release);
    if (gr_cli_request(cli, "GET", "/v1/status", NULL, 0, &status, &e) >= 0)
        cJSON_AddStringToObject(o, "graylingd", gr_output_text(status, "version"));
    gr_output_object(cli, o, columns, GR_COUNT(columns), "grayctl");
    cJSON_Delete(status);
    cJSON_Delete(o);
    return GR_EXIT_OK;
}

static cJSON *option_json(const struct gr_option *o)
{
    cJSON *j = cJSON_CreateObject();
    char letter[2] = {o->letter};
    cJSON_AddStringToObject(j, "name", o->name);
    if (o->letter)
        cJSON_AddStringToObject(j, "letter", letter);
    if (o->value)
        cJSON_AddStringToObject(j, "value", o->value);
    cJSON_AddStringToObject(j, "help", o->help);
    return j;
}

static cJSON *verb_json(const struct gr_verb *v)
{
    cJSON *j = cJSON_CreateObject(), *options, *exits;
    cJSON_AddStringToObject(j, "verb", v->name);
    cJSON_AddStringToObject(j, "words", v->words);
    cJSON_AddStringToObject(j, "summary", v->summary);
    options = cJSON_AddArrayToObject(j, "options");
    for (const struct gr_option *o = v->options; o && o->name; o++)
        cJSON_AddItemToArray(options, option_json(o));
    for (const struct gr_option *o = gr_shared_options; o->name; o++)
        cJSON_AddItemToArray(options, option_json(o));
    exits = cJSON_AddArrayToObject(j, "exits");
    for (int i = GR_EXIT_OK; i <= GR_EXIT_UNREACHABLE; i++)
        if (i <= GR_EXIT_USAGE || v->exits & GR_EXITS(i)) {
            cJSON *exit = cJSON_CreateObject();
            cJSON_AddNumberToObject(exit, "status", i);
            cJSON_AddStringToObject(exit, "meaning", gr_exit_meaning(i));
            cJSON_AddItemToArray(exits, exit);
        }
    return j;
}

static void overview(struct gr_cli *cli)
{
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE) {
        gr_help_overview(cli->out, cli->verbs, cli->n_verbs);
        return;
    }
    GR_AUTO_JSON cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; i < cli->n_verbs; i++)
        cJSON_AddItemToArray(all, verb_json(&cli->verbs[i]));
    gr_output_list(cli, all, NULL, 0, "verb");
}

static void one_verb(struct gr_cli *cli, const struct gr_verb *v)
{
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE) {
        gr_help_verb(cli->out, v);
        return;
    }
    GR_AUTO_JSON cJSON *j = verb_json(v);
    gr_output_object(cli, j, NULL, 0, "verb");
}

enum gr_exit gr_verb_help(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (args->n_words == 0) {
        overview(cli);
        return GR_EXIT_OK;
    }
    for (size_t i = 0; i < cli->n_verbs; i++)
        if (!strcmp(cli->verbs[i].name, args->words[0])) {
            one_verb(cli, &cli->verbs[i]);
            return GR_EXIT_OK;
        }
    gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                 "there is no verb \"%.64s\"; grayctl help lists them all", args->words[0]);
    return gr_cli_fail(cli, &e);
}
