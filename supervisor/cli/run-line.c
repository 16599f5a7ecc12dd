// Log lines in, lines for a person out.
#include "cli/run-line.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/output.h"
#include <string.h>

#define CLOCK_AT 11 // of "2026-11-24T05:06:07.123456Z"

static void set(struct gr_run_line *to, enum gr_run_kind kind, const char *format, ...)
    GR_PRINTF(3, 4);
static void set(struct gr_run_line *to, enum gr_run_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(to->text, sizeof to->text, format, args);
    va_end(args);
    to->kind = kind;
    for (char *p = to->text; *p; p++) // must not steer a terminal
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static const char *clock_of(const cJSON *o)
{
    const char *time = gr_output_text(o, "time");
    return strlen(time) > CLOCK_AT ? time + CLOCK_AT : "";
}

static void read_request(const cJSON *o, struct gr_run_line *ret)
{
    set(ret, GR_RUN_REQUEST, "%.8s %s  %s %s", clock_of(o), gr_output_text(o, "message"),
        gr_output_text(o, "module"), gr_output_text(o, "version"));
}

static void read_event(const cJSON *o, struct gr_run_line *ret)
{
    const char *id = gr_output_text(o, "message_id"), *level = gr_output_text(o, "level"),
               *reason = gr_output_text(o, "reason"), *message = gr_output_text(o, "message");
    if (is(id, GR_MSG_HEALTHY))
        set(ret, GR_RUN_SERVES, "%s %s", gr_output_text(o, "module"), gr_output_text(o, "version"));
    else if (is(id, GR_MSG_REJECTED) || is(id, GR_MSG_ROLLED_BACK))
        set(ret, GR_RUN_REFUSED, "%s%s%s", reason, *reason ? ": " : "", message);
    else if (!*id && *gr_output_text(o, "module"))
        set(ret, GR_RUN_SAYS, "%.8s %s %s %s: %s", clock_of(o), gr_output_text(o, "module"),
            gr_output_text(o, "version"), level, message);
    else if ((is(level, "warning") || is(level, "error")) && !is(id, GR_MSG_UNTRUSTED))
        set(ret, GR_RUN_SAYS, "%.8s %s: %s", clock_of(o), level, message);
}

void gr_run_line_read(const char *line, size_t len, struct gr_run_line *ret)
{
    GR_AUTO_JSON cJSON *o = NULL;
    struct gr_error ignored = {0};
    ret->kind = GR_RUN_QUIET;
    ret->text[0] = '\0';
    if (len == 0)
        return;
    if (gr_json_parse(line, len, len, &o, &ignored) < 0 || !*gr_output_text(o, "identifier"))
        set(ret, GR_RUN_SAYS, "%.*s", (int)(len < GR_MESSAGE_MAX ? len : GR_MESSAGE_MAX), line);
    else if (*gr_output_text(o, "status"))
        read_request(o, ret);
    else
        read_event(o, ret);
}
