// Connect's unary protocol in tables and small parsers.
#include "worker/connect.h"
#include "base/code.h"
#include "base/json.h"
#include "base/utf8.h"
#include <errno.h>
#include <grayling/module.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_DIGITS_MAX 10
#define MESSAGE_BYTES_MAX 1024

unsigned gr_connect_status(int32_t code)
{
    static const unsigned short status[] = {
        [GRAYLING_OK] = 200,
        [GRAYLING_CANCELED] = 499,
        [GRAYLING_UNKNOWN] = 500,
        [GRAYLING_INVALID_ARGUMENT] = 400,
        [GRAYLING_DEADLINE_EXCEEDED] = 504,
        [GRAYLING_NOT_FOUND] = 404,
        [GRAYLING_ALREADY_EXISTS] = 409,
        [GRAYLING_PERMISSION_DENIED] = 403,
        [GRAYLING_RESOURCE_EXHAUSTED] = 429,
        [GRAYLING_FAILED_PRECONDITION] = 400,
        [GRAYLING_ABORTED] = 409,
        [GRAYLING_OUT_OF_RANGE] = 400,
        [GRAYLING_UNIMPLEMENTED] = 501,
        [GRAYLING_INTERNAL] = 500,
        [GRAYLING_UNAVAILABLE] = 503,
        [GRAYLING_DATA_LOSS] = 500,
        [GRAYLING_UNAUTHENTICATED] = 401,
    };
    return code >= 0 && (size_t)code < GR_COUNT(status) ? status[code] : 500;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static size_t word_length(const char *text, bool dots)
{
    size_t n = 0;
    while (is_word(text[n]) || (dots && text[n] == '.'))
        n++;
    return n;
}

int gr_connect_path_parse(const char *path, struct gr_connect_path *ret)
{
    if (path[0] != '/')
        return -EINVAL;
    const char *interface = path + 1;
    size_t interface_len = word_length(interface, true);
    if (interface_len == 0 || interface_len > GR_INTERFACE_MAX || interface[interface_len] != '/')
        return -EINVAL;
    const char *method = interface + interface_len + 1;
    size_t method_len = word_length(method, false);
    if (method_len == 0 || method_len > GR_METHOD_MAX || method[method_len] != '\0')
        return -EINVAL;
    memcpy(ret->interface_name, interface, interface_len);
    ret->interface_name[interface_len] = '\0';
    memcpy(ret->method_name, method, method_len + 1);
    return 0;
}

uint32_t gr_connect_codec(const char *content_type)
{
    static const struct {
        const char *type;
        uint32_t codec;
    } types[] = {{"application/json", GRAYLING_CODEC_JSON},
                 {"application/proto", GRAYLING_CODEC_PROTO}};
    for (size_t i = 0; content_type && i < GR_COUNT(types); i++) {
        size_t n = strlen(types[i].type);
        if (strncasecmp(content_type, types[i].type, n) != 0)
            continue;
        const char *rest = content_type + n;
        rest += strspn(rest, " \t");
        if (*rest == '\0' || *rest == ';')
            return types[i].codec;
    }
    return 0;
}

const char *gr_connect_content_type(uint32_t codec)
{
    return codec == GRAYLING_CODEC_PROTO ? "application/proto" : "application/json";
}

int gr_connect_timeout_parse(const char *text, uint64_t *ret_usec)
{
    uint64_t msec = 0;
    size_t n = 0;
    for (; text[n] >= '0' && text[n] <= '9' && n <= TIMEOUT_DIGITS_MAX; n++)
        msec = msec * 10 + (uint64_t)(text[n] - '0');
    if (n == 0 || n > TIMEOUT_DIGITS_MAX || text[n] != '\0')
        return -EINVAL;
    *ret_usec = msec * 1000;
    return 0;
}

bool gr_connect_request_id_ok(const char *text)
{
    size_t n = 0;
    while (is_word(text[n]) || text[n] == '.' || text[n] == '-')
        n++;
    return n > 0 && n <= GR_REQUEST_ID_MAX && text[n] == '\0';
}

// A module's sentence may hold any bytes; JSON may not.
static void to_utf8(const char *text, char clean[MESSAGE_BYTES_MAX])
{
    size_t left = strlen(text), at = 0;
    while (left > 0) {
        size_t valid = gr_utf8_sequence(text, left), n = valid ? valid : 1;
        if (at + n >= MESSAGE_BYTES_MAX)
            break;
        memcpy(clean + at, valid ? text : "?", n);
        at += n;
        text += n;
        left -= n;
    }
    clean[at] = '\0';
}

char *gr_connect_error_body(int32_t code, const char *message)
{
    char clean[MESSAGE_BYTES_MAX];
    to_utf8(message, clean);
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    if (!cJSON_AddStringToObject(o, "code", gr_code_name((unsigned)code)) ||
        !cJSON_AddStringToObject(o, "message", clean))
        return NULL;
    return gr_json_format(o);
}
