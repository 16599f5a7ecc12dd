// config: what the daemon is configured with, as its file says it or as it runs, and whether a file
// is good.
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

static bool for_people(const struct gr_cli *cli)
{
    return cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE;
}

static void add_setting(cJSON *to, const char *section, const char *from, const char *line,
                        size_t len)
{
    const char *equals = memchr(line, '=', len);
    size_t key = equals ? (size_t)(equals - line) : len;
    GR_AUTO_FREE char *name = NULL, *value = NULL;
    cJSON *o = cJSON_CreateObject();
    if (!equals || !(value = strndup(equals + 1, len - key - 1)) ||
        asprintf(&name, "%s.%.*s", section, (int)key, line) < 0) {
        cJSON_Delete(o);
        return;
    }
    cJSON_AddStringToObject(o, "section", section);
    cJSON_AddStringToObject(o, "key", name + strlen(section) + 1);
    cJSON_AddStringToObject(o, "value", value);
    cJSON_AddStringToObject(o, "name", name); // as --set of graylingd takes it
    cJSON_AddStringToObject(o, "from", from);
    cJSON_AddItemToArray(to, o);
}

// Text that gr_config_format() made: on each line a section's title, where the keys after it are
// from, or a key with its value.
static cJSON *settings_of(const char *text)
{
    cJSON *all = cJSON_CreateArray();
    static const char from_mark[] = "# from ";
    char section[64] = "", from[512] = "";
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        if (*text == '[' && len >= 2)
            snprintf(section, sizeof section, "%.*s", (int)len - 2, text + 1);
        else if (!strncmp(text, from_mark, strlen(from_mark)))
            snprintf(from, sizeof from, "%.*s", (int)(len - strlen(from_mark)),
                     text + strlen(from_mark));
        else if (len && *text != '#')
            add_setting(all, section, from, text, len);
    }
    return all;
}

static enum gr_exit show(struct gr_cli *cli, const char *text)
{
    if (for_people(cli)) {
        fputs(text, cli->out);
        return GR_EXIT_OK;
    }
    GR_AUTO_JSON cJSON *all = settings_of(text);
    gr_output_list(cli, all, NULL, 0, "name");
    return GR_EXIT_OK;
}

static enum gr_exit cat(struct gr_cli *cli)
{
    const struct gr_config *config;
    struct gr_error e = {0};
    if (gr_cli_config(cli, &config, &e) < 0)
        return gr_cli_fail(cli, &e);
    GR_AUTO_FREE char *text = gr_config_format(config);
    return text ? show(cli, text) : GR_EXIT_INTERNAL;
}

static enum gr_exit running(struct gr_cli *cli)
{
    GR_AUTO_JSON cJSON *text = NULL;
    struct gr_error e = {0};
    if (gr_cli_request(cli, "GET", "/v1/config", NULL, 0, &text, &e) < 0)
        return gr_cli_fail(cli, &e);
    return show(cli, cJSON_IsString(text) ? text->valuestring : "");
}

static enum gr_exit check(struct gr_cli *cli)
{
    static const char next[] =
        "systemctl restart grayling; for [Artifacts] alone systemctl reload grayling is enough";
    const struct gr_config *config;
    struct gr_error e = {0};
    if (gr_cli_config(cli, &config, &e) < 0) {
        enum gr_exit status = gr_cli_fail(cli, &e);
        return status == GR_EXIT_USAGE ? GR_EXIT_REFUSED
                                       : status; // the file is at fault, not the command
    }
    gr_cli_say(cli, "the configuration of %s is good; next: %s", config->service.s, next);
    if (for_people(cli))
        return GR_EXIT_OK;
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "service", config->service.s);
    cJSON_AddStringToObject(o, "instance", config->instance.s);
    cJSON_AddBoolToObject(o, "good", true);
    cJSON_AddStringToObject(o, "next", next);
    gr_output_object(cli, o, NULL, 0, "service");
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_config(struct gr_cli *cli, const struct gr_args *args)
{
    struct gr_error e = {0};
    if (!strcmp(args->words[0], "cat"))
        return gr_args_has(args, "running") ? running(cli) : cat(cli);
    if (!strcmp(args->words[0], "check"))
        return check(cli);
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "usage: grayctl config %s", args->verb->words);
    return gr_cli_fail(cli, &e);
}
