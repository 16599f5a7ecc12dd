// Writes events where the service manager reads them: the journal's fields, JSON lines, or plain
// lines for a person.
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define LINE_BYTES_MAX (32u * 1024)
#define TEXT_MAX 2048

static const char *const level_names[] = {
    [GR_LOG_ERROR] = "error", [GR_LOG_WARNING] = "warning", [GR_LOG_NOTICE] = "notice",
    [GR_LOG_INFO] = "info",   [GR_LOG_DEBUG] = "debug",
};

static struct { // written by gr_log_init() only, before there are threads
    const char *identifier;
    enum gr_log_level bar;
    bool to_journal, to_terminal;
} logger = {.identifier = "grayling", .bar = GR_LOG_INFO};

// systemd sets JOURNAL_STREAM to what stderr was; a redirected stderr is somebody else's.
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    uint64_t device, inode;
    return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void gr_log_init(const char *identifier)
{
    const char *level = getenv("GRAYLING_LOG_LEVEL");
    logger.identifier = identifier;
    logger.bar = GR_LOG_INFO;
    for (unsigned i = GR_LOG_ERROR; level && i < GR_COUNT(level_names); i++)
        if (strcmp(level, level_names[i]) == 0)
            logger.bar = (enum gr_log_level)i;
    logger.to_journal = stderr_is_journal();
    logger.to_terminal = isatty(STDERR_FILENO);
}

// One event as names and values; the journal and the JSON line differ only in how they spell them.
#define FIELDS_OWN 10
#define FIELDS_MAX (FIELDS_OWN + GR_EVENT_FIELDS_MAX)

struct record {
    struct gr_event_field fields[FIELDS_MAX]; // value NULL or "": left out
    char revision[24], priority[4];
};

static void fill(struct record *r, const struct gr_event *ev)
{
    snprintf(r->priority, sizeof r->priority, "%u", (unsigned)ev->level);
    if (ev->revision)
        snprintf(r->revision, sizeof r->revision, "%" PRId64, ev->revision);
    else
        r->revision[0] = '\0';
    const struct gr_event_field fields[FIELDS_MAX] = {
        {"PRIORITY", NULL, r->priority},
        {"SYSLOG_IDENTIFIER", "identifier", logger.identifier},
        {"MESSAGE_ID", "message_id", ev->message_id},
        {"GRAYLING_MODULE", "module", ev->module},
        {"GRAYLING_VERSION", "version", ev->version},
        {"GRAYLING_ROLLOUT", "rollout", ev->rollout},
        {"GRAYLING_REVISION", "revision", r->revision},
        {"GRAYLING_PHASE", "phase", ev->phase},
        {"GRAYLING_REASON", "reason", ev->reason},
        {"MESSAGE", "message", ev->message},
    };
    memcpy(r->fields, fields, sizeof fields);
    for (size_t i = 0; i < ev->n_fields && i < GR_EVENT_FIELDS_MAX; i++)
        r->fields[FIELDS_OWN + i] = ev->fields[i];
}

static int send_to_journal(const struct record *r)
{
    GR_AUTO_BUF struct gr_buf text = GR_BUF(LINE_BYTES_MAX);
    size_t ends[FIELDS_MAX], n = 0;
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        const struct gr_event_field *f = &r->fields[i];
        if (!f->value || !*f->value)
            continue;
        int error = gr_buf_printf(&text, "%s=%s", f->journal_name, f->value);
        if (error < 0)
            return error;
        ends[n++] = text.len;
    }
    struct iovec parts[FIELDS_MAX]; // only now: the text does not move any more
    for (size_t i = 0; i < n; i++) {
        size_t start = i ? ends[i - 1] : 0;
        parts[i] = (struct iovec){.iov_base = text.data + start, .iov_len = ends[i] - start};
    }
    return sd_journal_sendv(parts, (int)n);
}

// A JSON string whatever the bytes are: messages may quote what a module or a peer said.
static int append_json_string(struct gr_buf *line, const char *text)
{
    int r = gr_buf_append(line, "\"", 1);
    for (size_t left = strlen(text), n; left > 0 && r == 0; text += n, left -= n) {
        n = gr_utf8_sequence(text, left);
        if (n == 0) {
            r = gr_buf_append(line, "\\ufffd", 6);
            n = 1;
        } else if (*text == '"' || *text == '\\') {
            r = gr_buf_printf(line, "\\%c", *text);
        } else if (n == 1 && (unsigned char)*text < 0x20) {
            r = gr_buf_printf(line, "\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            r = gr_buf_append(line, text, n);
        }
    }
    return r < 0 ? r : gr_buf_append(line, "\"", 1);
}

static int put_json(struct gr_buf *line, const struct record *r, enum gr_log_level level)
{
    char now[GR_WALL_TEXT_MAX];
    int error = gr_buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\"",
                              gr_wall_format(gr_wall_now(), now), level_names[level]);
    for (size_t i = 0; i < FIELDS_MAX && error == 0; i++) {
        const struct gr_event_field *f = &r->fields[i];
        if (!f->json_name || !f->value || !*f->value)
            continue;
        error = gr_buf_printf(line, ",\"%s\":", f->json_name);
        if (error == 0 && f->value == r->revision)
            error = gr_buf_printf(line, "%s", f->value);
        else if (error == 0)
            error = append_json_string(line, f->value);
    }
    return error < 0 ? error : gr_buf_append(line, "}\n", 2);
}

// "05:06:07 warning pay 1.2.0 [Crashed] sentence"; control characters would steer the terminal.
static int put_plain(struct gr_buf *line, const struct gr_event *ev)
{
    char now[GR_WALL_TEXT_MAX];
    gr_wall_format(gr_wall_now(), now);
    int r = gr_buf_printf(line, "%.8s %-7s ", now + strlen("2026-11-24T"), level_names[ev->level]);
    if (r == 0 && ev->module)
        r = gr_buf_printf(line, "%s%s%s ", ev->module, ev->version ? " " : "",
                          ev->version ? ev->version : "");
    if (r == 0 && ev->reason && *ev->reason)
        r = gr_buf_printf(line, "[%s] ", ev->reason);
    if (r == 0)
        r = gr_buf_printf(line, "%s", ev->message);
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->data[i] < ' ' || line->data[i] == 0x7f)
            line->data[i] = '?';
    return r < 0 ? r : gr_buf_append(line, "\n", 1);
}

void gr_log_event(const struct gr_event *ev)
{
    struct record r;
    if (ev->level > logger.bar)
        return;
    fill(&r, ev);
    if (logger.to_journal && send_to_journal(&r) == 0)
        return;
    GR_AUTO_BUF struct gr_buf line = GR_BUF(LINE_BYTES_MAX);
    int error = logger.to_terminal ? put_plain(&line, ev) : put_json(&line, &r, ev->level);
    // one write, so that threads do not mix their lines; nobody is left to be told when stderr is
    // gone
    if (error == 0 && write(STDERR_FILENO, line.data, line.len) < 0)
        return;
}

void gr_log(enum gr_log_level level, const char *format, ...)
{
    if (level > logger.bar)
        return;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    gr_log_event(&(struct gr_event){.level = level, .message = text});
}
