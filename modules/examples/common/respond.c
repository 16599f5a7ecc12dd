// Formats into a buffer on the stack and lets the host copy it.
#include "respond.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int32_t respond_text(const struct grayling_host *host, struct grayling_call *call,
                     const char *format, ...)
{
    char text[RESPOND_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0 || len >= (int)sizeof text)
        return respond_failure(host, call, GRAYLING_INTERNAL,
                               "The answer needs %d bytes and may have %zu.", len, sizeof text - 1);
    return host->respond(call, (struct grayling_bytes){.data = text, .size = (uint64_t)len});
}

int32_t respond_failure(const struct grayling_host *host, struct grayling_call *call, int32_t code,
                        const char *format, ...)
{
    char sentence[256];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    host->fail(call, sentence);
    return code;
}

const char *request_header(const struct grayling_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->n_headers; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}
