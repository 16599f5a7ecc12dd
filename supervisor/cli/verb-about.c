// Verbs about Grayling itself: config, version, help.
#include "base/release.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

static enum gr_exit config_cat(struct gr_cli *cli)
{
    const struct gr_config *config;
    struct gr_error e = {0};
    if (gr_cli_config(cli, &config, &e) < 0)
        return gr_cli_fail(cli, &e);
    GR_AUTO_FREE char *text = gr_config_format(config);
    if (!text)
        return GR_EXIT_INTERNAL;
    fputs(text, cli->out);
    return GR_EXIT_OK;
}

static enum gr_exit config_running(struct gr_cli *cli)
{
    struct gr_error e = {0};
    cJSON *text = NULL;
    if (gr_cli_request(cli, "GET", "/v1/config", NULL, 0, &text, &e) < 0)
        return gr_cli_fail(cli, &e);
    fputs(cJSON_IsString(text) ? text->valuestring : "", cli->out);
    cJSON_Delete(text);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_config(struct gr_cli *cli, const struct gr_args *args)
{
    const struct gr_config *config;
    struct gr_error e = {0};
    if (!strcmp(args->words[0], "cat"))
        return gr_args_has(args, "running") ? config_running(cli) : config_cat(cli);
    if (strcmp(args->words[0], "check")) {
        gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl config %s", args->verb->words);
        return gr_cli_fail(cli, &e);
    }
    if (gr_cli_config(cli, &config, &e) < 0) {
        enum gr_exit status = gr_cli_fail(cli, &e);
        return status == GR_EXIT_USAGE ? GR_EXIT_REFUSED
                                       : status; // the file is at fault, not the command
    }
    gr_cli_say(cli, "the configuration of %s is good; next: systemctl reload grayling",
               config->service.s);
    return GR_EXIT_OK;
}

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

enum gr_exit gr_verb_help(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (args->n_words == 0) {
        gr_help_overview(cli->out, cli->verbs, cli->n_verbs);
        return GR_EXIT_OK;
    }
    for (size_t i = 0; i < cli->n_verbs; i++)
        if (!strcmp(cli->verbs[i].name, args->words[0])) {
            gr_help_verb(cli->out, &cli->verbs[i]);
            return GR_EXIT_OK;
        }
    gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                 "there is no verb \"%.64s\"; grayctl help lists them all", args->words[0]);
    return gr_cli_fail(cli, &e);
}
