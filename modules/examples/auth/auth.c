// Validates tokens: {"token":"tok-alice"} gives {"valid":true,"subject":"alice"}. Without a token
// in the payload the request's authorization header is taken. A token is valid when it begins with
// the configured prefix and something follows: enough to show a call from module to module, no
// security.
#include "../common/json-in.h"
#include "../common/respond.h"
#include <grayling/module.h>
#include <string.h>

struct auth {
    const struct grayling_host *host;
    char prefix[JSON_TEXT_MAX + 1]; // config "prefix"
};

static int32_t init(const struct grayling_host *host, const struct grayling_init *init, void **self)
{
    struct json_field prefix = {.name = "prefix", .type = JSON_TEXT};
    char why[JSON_WHY_MAX];
    if (!json_read(init->config.data, init->config.size, &prefix, 1, JSON_REFUSE_UNKNOWN, why)) {
        host->log(host, GRAYLING_LOG_ERROR, why);
        return GRAYLING_INVALID_ARGUMENT;
    }
    struct auth *auth = host->alloc(host, sizeof *auth);
    if (!auth)
        return GRAYLING_RESOURCE_EXHAUSTED;
    auth->host = host;
    strcpy(auth->prefix, prefix.present ? prefix.text : "tok-");
    *self = auth;
    return GRAYLING_OK;
}

// The subject that a token names, or NULL when the token is not valid.
static const char *subject_of(const struct auth *auth, const char *token)
{
    static const char scheme[] = "Bearer ";
    if (strncmp(token, scheme, sizeof scheme - 1) == 0)
        token += sizeof scheme - 1;
    size_t len = strlen(auth->prefix);
    if (strncmp(token, auth->prefix, len) != 0)
        return NULL;
    const char *subject = token + len;
    size_t word =
        strspn(subject, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return word > 0 && subject[word] == '\0' && word <= JSON_TEXT_MAX ? subject : NULL;
}

static int32_t self_test(void *self)
{
    struct auth auth = *(struct auth *)self;
    strcpy(auth.prefix, "tok-");
    const char *subject = subject_of(&auth, "Bearer tok-alice");
    return subject && strcmp(subject, "alice") == 0 && !subject_of(&auth, "tok-")
               ? GRAYLING_OK
               : GRAYLING_INTERNAL;
}

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    const struct auth *auth = self;
    struct json_field token = {.name = "token", .type = JSON_TEXT};
    char why[JSON_WHY_MAX];
    if (!json_read(request->payload.data, request->payload.size, &token, 1, JSON_SKIP_UNKNOWN, why))
        return respond_failure(auth->host, call, GRAYLING_INVALID_ARGUMENT, "%s", why);
    const char *text = token.present ? token.text : request_header(request, "authorization");
    const char *subject = text ? subject_of(auth, text) : NULL;
    if (!subject)
        return respond_text(auth->host, call, "{\"valid\":false}");
    return respond_text(auth->host, call, "{\"valid\":true,\"subject\":\"%s\"}", subject);
}

static void destroy(void *self)
{
    struct auth *auth = self;
    auth->host->free(auth->host, auth);
}

static const struct grayling_module auth_module = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof auth_module,
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .self_test = self_test,
    .handle = handle,
    .destroy = destroy,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &auth_module;
}
