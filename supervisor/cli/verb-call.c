// call: one request through the front door, as any client would make it.
#include "base/code.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/curl.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

#define HEADERS_MAX 64

// "127.0.0.1:8080" or "unix:/path": --address, else the first front door that the daemon names.
static int find_address(struct gr_cli *cli, const struct gr_args *args, char ret[256],
                        struct gr_error *e)
{
    const char *given = gr_args_value(args, "address");
    cJSON *status = NULL;
    int r = given ? 0 : gr_cli_request(cli, "GET", "/v1/status", NULL, 0, &status, e);
    const char *first =
        cJSON_GetStringValue(cJSON_GetArrayItem(gr_output_find(status, "endpoints"), 0));
    if (r >= 0 && !given && !first)
        r = gr_error_set(
            e, -ECONNREFUSED, GR_REASON_NONE,
            "this host has no front door; set [Dispatch] Listen, or give --address HOST:PORT");
    if (r >= 0)
        snprintf(ret, 256, "%s", given ? given : first);
    cJSON_Delete(status);
    return r;
}

// "name:value" becomes a header line; curl would drop one without a value.
static size_t collect_headers(const struct gr_args *args, const char **lines)
{
    size_t n = 0;
    lines[n++] = "Content-Type: application/json";
    n += gr_args_list(args, "header", lines + n, HEADERS_MAX - n);
    lines[n] = NULL;
    return n;
}

static int read_data(const struct gr_args *args, struct gr_buf *b, struct gr_error *e)
{
    const char *data = gr_args_value(args, "data") ? gr_args_value(args, "data") : "{}";
    if (data[0] == '@')
        return gr_input_read(data + 1, b, e);
    if (gr_buf_append(b, data, strlen(data)) < 0)
        return gr_error_set(e, -E2BIG, GR_REASON_TOO_LARGE, "the request is larger than %u bytes",
                            GR_REQUEST_BYTES_MAX);
    return 0;
}

// Value of a header in a block of lines; "" when it is not there.
static const char *header_of(const struct gr_curl_answer *a, const char *name, char value[256])
{
    size_t len = strlen(name);
    value[0] = '\0';
    for (const char *line = a->head.data; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncasecmp(line, name, len) && line[len] == ':') {
            const char *from = line + len + 1 + strspn(line + len + 1, " ");
            snprintf(value, 256, "%.*s", (int)strcspn(from, "\r\n"), from);
        }
    return value;
}

static enum gr_exit exit_of_code(const char *code)
{
    static const struct {
        const char *code;
        enum gr_exit status;
    } exits[] = {
        {"not_found", GR_EXIT_NOT_FOUND},         {"unimplemented", GR_EXIT_NOT_FOUND},
        {"deadline_exceeded", GR_EXIT_TIMED_OUT}, {"unavailable", GR_EXIT_UNREACHABLE},
        {"internal", GR_EXIT_INTERNAL},           {"unknown", GR_EXIT_INTERNAL},
        {"data_loss", GR_EXIT_INTERNAL},          {"", GR_EXIT_INTERNAL},
    };
    for (size_t i = 0; i < GR_COUNT(exits); i++)
        if (!strcmp(exits[i].code, code))
            return exits[i].status;
    return GR_EXIT_REFUSED; // the module judged the request
}

// As it came; with -o json as a member of what says who answered. An answer that is no JSON is
// text.
static void print_answer(struct gr_cli *cli, const struct gr_curl_answer *a, const char *module,
                         const char *version, const char *role, bool rescued, const cJSON *body)
{
    const char *bytes = a->body.data ? a->body.data : "";
    if (cli->format != GR_FORMAT_JSON && cli->format != GR_FORMAT_JSONL) {
        fwrite(bytes, 1, a->body.len, cli->out);
        if (a->body.len && bytes[a->body.len - 1] != '\n')
            fputc('\n', cli->out);
        return;
    }
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    GR_AUTO_FREE char *text = body ? NULL : strndup(bytes, a->body.len);
    cJSON_AddNumberToObject(o, "status", (double)a->status);
    cJSON_AddStringToObject(o, "module", module);
    cJSON_AddStringToObject(o, "version", version);
    cJSON_AddStringToObject(o, "role", role);
    cJSON_AddBoolToObject(o, "rescued", rescued);
    if (body)
        cJSON_AddItemToObject(o, "answer", cJSON_Duplicate(body, true));
    else
        cJSON_AddStringToObject(o, "text", text ? text : "");
    gr_output_json(cli, o);
}

static enum gr_exit judge(struct gr_cli *cli, const struct gr_curl_answer *a)
{
    char module[256], version[256], role[256], rescued[256];
    GR_AUTO_JSON cJSON *body = NULL;
    struct gr_error ignored;
    int parsed = gr_json_parse(a->body.data ? a->body.data : "", a->body.len, GR_RESPONSE_BYTES_MAX,
                               &body, &ignored);
    header_of(a, "x-grayling-module", module);
    header_of(a, "x-grayling-version", version);
    header_of(a, "x-grayling-role", role);
    header_of(a, "x-grayling-rescued", rescued);
    print_answer(cli, a, module, version, role, *rescued, body);
    gr_cli_say(cli, "HTTP %ld from %s %s%s%s%s", a->status, *module ? module : "the front door",
               version, *role ? ", " : "", role, *rescued ? ", rescued" : "");
    if (a->status == 200)
        return GR_EXIT_OK;
    if (parsed < 0)
        return GR_EXIT_INTERNAL;
    return exit_of_code(gr_output_text(body, "code"));
}

enum gr_exit gr_verb_call(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    GR_AUTO_BUF struct gr_buf data = GR_BUF(GR_REQUEST_BYTES_MAX);
    const char *headers[HEADERS_MAX + 1];
    struct gr_error e = {0};
    char address[256], url[768];
    uint64_t timeout = 0;
    if (!strchr(args->words[0], '/')) {
        gr_error_set(
            &e, -EINVAL, GR_REASON_NONE,
            "call: expected INTERFACE/METHOD like com.example.echo.EchoService/Echo, got %.128s",
            args->words[0]);
        return gr_cli_fail(cli, &e);
    }
    if (gr_args_duration(args, "timeout", &timeout, &e) < 0 || read_data(args, &data, &e) < 0 ||
        find_address(cli, args, address, &e) < 0)
        return gr_cli_fail(cli, &e);
    collect_headers(args, headers);
    bool local = !strncmp(address, "unix:", 5);
    snprintf(url, sizeof url, "http://%s/%.400s", local ? "grayling" : address, args->words[0]);
    struct gr_curl_ask ask = {.unix_path = local ? address + 5 : NULL,
                              .url = url,
                              .method = "POST",
                              .headers = headers,
                              .body = data.len ? data.data : "",
                              .body_len = data.len,
                              .timeout_usec = timeout};
    if (gr_curl(&ask, &answer, &e) < 0)
        return gr_cli_fail(cli, &e);
    return judge(cli, &answer);
}
