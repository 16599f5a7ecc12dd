// The control socket as verbs see it: where it is, how to ask, and what its errors mean.
#include "base/json.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/curl.h"
#include <errno.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/grayling/control.sock"

static int socket_path(struct gr_cli *cli, char **ret)
{
    const struct gr_config *config;
    struct gr_error e;
    if (cli->control_path)
        *ret = strdup(cli->control_path);
    else if (gr_cli_config(cli, &config, &e) <
             0) // what is wrong with it matters to `config check`, not here
        *ret = strdup(DEFAULT_SOCKET);
    else if (asprintf(ret, "%s/control.sock", config->runtime_dir) < 0)
        *ret = NULL;
    return *ret ? 0 : -ENOMEM;
}

static int code_of_status(long status)
{
    switch (status) {
    case 400:
        return -EINVAL;
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EALREADY;
    case 501:
        return -ENOSYS;
    case 503:
        return -ECONNREFUSED;
    case 504:
        return -ETIME;
    case 507:
        return -ENOSPC;
    default:
        return -EIO;
    }
}

static int read_refusal(long status, const cJSON *answer, struct gr_error *e)
{
    struct gr_error ignored;
    const char *reason = "", *message = "";
    bool retryable = false;
    enum gr_reason known = GR_REASON_NONE;
    if (gr_json_string(answer, "", "reason", GR_JSON_OPTIONAL, &reason, &ignored) < 0 ||
        gr_json_string(answer, "", "message", GR_JSON_OPTIONAL, &message, &ignored) < 0 ||
        gr_json_bool(answer, "", "retryable", GR_JSON_OPTIONAL, &retryable, &ignored) < 0)
        message = "";
    if (gr_reason_parse(reason, &known) < 0)
        known = GR_REASON_NONE; // NotFound, Conflict: told by the code already
    if (!*message)
        return gr_error_set(e, -EIO, GR_REASON_INTERNAL,
                            "the daemon answered status %ld without a sentence", status);
    gr_error_set(e, code_of_status(status), known, "%s", message);
    if (e)
        e->retryable = retryable;
    return code_of_status(status);
}

// Text that is no JSON becomes a JSON string.
static int read_answer(const struct gr_curl_answer *a, cJSON **ret, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    const char *text = a->body.data ? a->body.data : "";
    bool plain = a->head.data && strcasestr(a->head.data, "content-type: text/plain");
    if (plain)
        answer = cJSON_CreateString(text);
    else if (gr_json_parse(text, a->body.len, GR_RESPONSE_BYTES_MAX, &answer, e) < 0)
        return gr_error_set(
            e, -EIO, GR_REASON_INTERNAL,
            "the daemon's answer (status %ld) is not JSON; is that socket Grayling's?", a->status);
    if (!answer)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    if (a->status >= 400)
        return read_refusal(a->status, answer, e);
    if (ret)
        *ret = gr_steal(answer);
    return 0;
}

int gr_cli_request(struct gr_cli *cli, const char *method, const char *path, const cJSON *body,
                   uint64_t timeout_usec, cJSON **ret, struct gr_error *e)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    GR_AUTO_FREE char *url = NULL, *text = body ? gr_json_format(body) : NULL, *socket = NULL;
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    if (asprintf(&url, "http://grayling%s", path) < 0)
        url = NULL;
    if (!url || (body && !text) || socket_path(cli, &socket) < 0)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    struct gr_curl_ask ask = {.unix_path = socket,
                              .url = url,
                              .method = method,
                              .headers = headers,
                              .body = text,
                              .body_len = text ? strlen(text) : 0,
                              .timeout_usec = timeout_usec};
    int r = gr_curl(&ask, &answer, e);
    if (r == -ECONNREFUSED)
        gr_error_wrap(
            e, "the daemon cannot be asked (is it running? systemctl status grayling; --control "
               "PATH or GRAYLING_CONTROL names another socket)");
    return r < 0 ? r : read_answer(&answer, ret, e);
}

static int ask_settings(struct gr_cli *cli, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *text = NULL;
    int r = gr_cli_request(cli, "GET", "/v1/config", NULL, 0, &text, e);
    if (r < 0)
        return r;
    return gr_config_restore("the daemon's configuration",
                             cJSON_IsString(text) ? text->valuestring : "", &cli->settings, e);
}

int gr_cli_settings(struct gr_cli *cli, const struct gr_config **ret, struct gr_error *e)
{
    bool named = cli->control_path && !cli->config_path;
    int r = cli->settings ? 0 : named ? ask_settings(cli, e) : gr_cli_config(cli, ret, e);
    if (!cli->settings && r >= 0)
        return 0;
    struct gr_error unasked;
    if (r < 0 && !named && !cli->config_path && ask_settings(cli, &unasked) >= 0)
        r = 0;
    if (r >= 0)
        *ret = cli->settings;
    return r;
}

cJSON *gr_cli_command(const struct gr_args *args)
{
    const char *reason = gr_args_value(args, "reason");
    cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "actor", gr_cli_actor());
    if (reason)
        cJSON_AddStringToObject(body, "reason", reason);
    return body;
}

int gr_cli_post(struct gr_cli *cli, const char *path, cJSON *take_body, cJSON **ret,
                struct gr_error *e)
{
    int r = gr_cli_request(cli, "POST", path, take_body, 0, ret, e);
    cJSON_Delete(take_body);
    return r;
}
