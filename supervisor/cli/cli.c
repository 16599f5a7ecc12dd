// What one run of grayctl knows: output, places, and how errors become exit statuses.
#include "cli/cli.h"
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>

enum gr_exit gr_exit_of_error(const struct gr_error *e)
{
    bool named = e->reason != GR_REASON_NONE && e->reason != GR_REASON_INTERNAL;
    if (e->reason == GR_REASON_SOURCE_UNREACHABLE)
        return GR_EXIT_UNREACHABLE;
    switch (e->code) {
    case -ETIME:
        return GR_EXIT_TIMED_OUT;
    case -ECONNREFUSED:
        return GR_EXIT_UNREACHABLE;
    case -ENOENT:
        return GR_EXIT_NOT_FOUND;
    case -EALREADY:
    case -EBUSY:
    case -EEXIST:
    case -EACCES:
    case -EPERM:
        return GR_EXIT_REFUSED;
    case -EINVAL:
        return named ? GR_EXIT_REFUSED : GR_EXIT_USAGE;
    default:
        return named ? GR_EXIT_REFUSED : GR_EXIT_INTERNAL;
    }
}

enum gr_exit gr_cli_fail(struct gr_cli *cli, const struct gr_error *e)
{
    const char *reason = gr_reason_name(e->reason);
    fprintf(cli->err, "error: %s%s%s\n", reason, *reason ? ": " : "", e->message);
    return gr_exit_of_error(e);
}

void gr_cli_say(struct gr_cli *cli, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(cli->err, format, ap);
    va_end(ap);
    fputc('\n', cli->err);
}

static int read_format(struct gr_cli *cli, const char *text, struct gr_error *e)
{
    static const char *const names[] = {"table", "wide", "json", "jsonl", "name"};
    for (size_t i = 0; text && i < GR_COUNT(names); i++)
        if (!strcmp(text, names[i])) {
            cli->format = (enum gr_format)i;
            return 0;
        }
    if (!text)
        return 0;
    return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                        "--output %.32s: expected table, wide, json, jsonl or name", text);
}

static int read_color(struct gr_cli *cli, const char *text, struct gr_error *e)
{
    const char *no = getenv("NO_COLOR");
    if (!text || !strcmp(text, "auto"))
        cli->color = isatty(fileno(cli->out)) && !(no && *no);
    else if (!strcmp(text, "always") || !strcmp(text, "never"))
        cli->color = text[0] == 'a';
    else
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--color %.32s: expected auto, always or never", text);
    return 0;
}

static const char *option_or_env(const struct gr_args *args, const char *option, const char *env)
{
    const char *value = gr_args_value(args, option), *fallback = getenv(env);
    return value ? value : fallback && *fallback ? fallback : NULL;
}

int gr_cli_init(struct gr_cli *cli, const struct gr_args *args, struct gr_error *e)
{
    cli->control_path = option_or_env(args, "control", "GRAYLING_CONTROL");
    cli->config_path = option_or_env(args, "config", "GRAYLING_CONFIG");
    cli->etcd_url = gr_args_value(args, "etcd");
    int r = read_format(cli, gr_args_format(args), e);
    return r < 0 ? r : read_color(cli, gr_args_value(args, "color"), e);
}

void gr_cli_done(struct gr_cli *cli)
{
    gr_config_free(cli->config);
    gr_config_free(cli->settings);
    cli->config = cli->settings = NULL;
}

int gr_cli_config(struct gr_cli *cli, const struct gr_config **ret, struct gr_error *e)
{
    int r = cli->config ? 0 : gr_config_load(cli->config_path, NULL, 0, &cli->config, e);
    if (r >= 0)
        *ret = cli->config;
    return r;
}

const char *gr_cli_actor(void)
{
    static char text[64];
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *pw = getpwuid(geteuid());
    if (sudo && *sudo)
        snprintf(text, sizeof text, "%s", sudo);
    else if (pw)
        snprintf(text, sizeof text, "%s", pw->pw_name);
    else
        snprintf(text, sizeof text, "uid %u", (unsigned)geteuid());
    return text;
}
