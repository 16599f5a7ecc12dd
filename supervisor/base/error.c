// Fills error values; keeps the table of reasons in step with its names.
#include "base/error.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const reason_names[GR_REASON_COUNT] = {[GR_REASON_NONE] = "",
#define X(id, text) [GR_REASON_##id] = text,
                                                          GR_REASONS(X)
#undef X
};

const char *gr_reason_name(enum gr_reason reason)
{
    return (unsigned)reason < GR_REASON_COUNT ? reason_names[reason] : "";
}

int gr_reason_parse(const char *text, enum gr_reason *ret)
{
    for (unsigned i = 0; i < GR_REASON_COUNT; i++)
        if (strcmp(text, reason_names[i]) == 0) {
            *ret = (enum gr_reason)i;
            return 0;
        }
    return -EINVAL;
}

// Formats apart from the target, because an argument may be the sentence that is being replaced.
GR_PRINTF(2, 0)
static void format_message(char message[GR_MESSAGE_MAX], const char *format, va_list args)
{
    char text[GR_MESSAGE_MAX];
    int n = vsnprintf(text, sizeof text, format, args);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= sizeof text)
        len = gr_utf8_floor(text, sizeof text - 1);
    memcpy(message, text, len);
    message[len] = '\0';
}

int gr_error_set(struct gr_error *e, int code, enum gr_reason reason, const char *format, ...)
{
    if (!e)
        return code;
    va_list args;
    va_start(args, format);
    format_message(e->message, format, args);
    va_end(args);
    e->reason = reason;
    e->code = code;
    e->retryable = false;
    return code;
}

int gr_error_set_retryable(struct gr_error *e, int code, enum gr_reason reason, const char *format,
                           ...)
{
    if (!e)
        return code;
    va_list args;
    va_start(args, format);
    format_message(e->message, format, args);
    va_end(args);
    e->reason = reason;
    e->code = code;
    e->retryable = true;
    return code;
}

void gr_error_wrap(struct gr_error *e, const char *format, ...)
{
    if (!e)
        return;
    char context[GR_MESSAGE_MAX], text[2 * GR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    format_message(context, format, args);
    va_end(args);
    int n = snprintf(text, sizeof text, "%s: %s", context, e->message);
    size_t len = (size_t)n;
    if (len >= GR_MESSAGE_MAX)
        len = gr_utf8_floor(text, GR_MESSAGE_MAX - 1);
    memcpy(e->message, text, len);
    e->message[len] = '\0';
}
