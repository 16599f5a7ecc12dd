// See ini.h.
#include "control/ini.h"
#include "base/buf.h"
#include "base/utf8.h"
#include <errno.h>
#include <string.h>

#define BLANKS " \t\r"
#define SECTION_MAX 31

struct ini {
    const char *where;
    unsigned line;           // of the text that is looked at
    struct gr_buf statement; // a line with those that continue it
    char section[SECTION_MAX + 1];
    gr_ini_assign assign;
    void *userdata;
    struct gr_error *e;
};

static int refuse(const struct ini *ini, unsigned line, const char *text, const char *sentence)
{
    char shown[GR_SHOWN_MAX];
    gr_utf8_show(text, strlen(text), shown);
    return gr_error_set(ini->e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%.300s:%u: %s %s", ini->where,
                        line, shown, sentence);
}

static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    size_t n = strlen(s);
    while (n && strchr(BLANKS, s[n - 1]))
        s[--n] = '\0';
    return s;
}

static int take_section(struct ini *ini, char *s, unsigned line)
{
    size_t n = strlen(s);
    if (n < 3 || s[n - 1] != ']' || n - 2 > SECTION_MAX)
        return refuse(ini, line, s, "is not a section; expected [Name]");
    s[n - 1] = '\0';
    memcpy(ini->section, s + 1, n - 1);
    return 0;
}

static int take_statement(struct ini *ini, unsigned line)
{
    char *s = trim(ini->statement.data);
    if (*s == '[')
        return take_section(ini, s, line);
    char *equal = strchr(s, '=');
    if (!equal)
        return refuse(ini, line, s, "is not an assignment; expected Key=Value");
    *equal = '\0';
    char *key = trim(s), *value = trim(equal + 1);
    if (!ini->section[0])
        return refuse(ini, line, key, "stands before any [Section]; expected a section first");
    return ini->assign(ini->userdata, ini->section, key, value, line);
}

static int check_text(const struct ini *ini, const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = gr_utf8_sequence(s + i, len - i);
        bool control = ((unsigned char)s[i] < ' ' && !strchr("\t\r", s[i])) || s[i] == 0x7f;
        if (!n || !s[i] || control)
            return gr_error_set(ini->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                                "%.300s:%u: byte 0x%02x; expected UTF-8 text without control "
                                "characters%s",
                                ini->where, ini->line, (unsigned char)s[i],
                                s[i] ? "" : " (NUL byte)");
        i += n;
    }
    return 0;
}

// Adds one line to the statement. 1: the next line continues it; an even number of backslashes at
// the end is none that joins.
static int add_line(struct ini *ini, const char *s, size_t len)
{
    size_t backslashes = 0;
    while (len && strchr(BLANKS, s[len - 1]))
        len--;
    while (backslashes < len && s[len - 1 - backslashes] == '\\')
        backslashes++;
    bool goes_on = backslashes % 2;
    int k = gr_buf_append(&ini->statement, s, goes_on ? len - 1 : len);
    if (k == 0)
        k = gr_buf_append(&ini->statement, " ", 1);
    if (k == -E2BIG)
        gr_error_set(ini->e, k, GR_REASON_DOCUMENT_INVALID, "%.300s:%u: expected at most %u bytes",
                     ini->where, ini->line, GR_INI_LINE_MAX);
    return k < 0 ? k : goes_on;
}

// The first byte that is no blank; '\0' for none.
static char first_of(const char *s, size_t len)
{
    while (len && strchr(BLANKS, *s))
        s++, len--;
    return len ? *s : '\0';
}

// A comment between continued lines is skipped; an empty line ends what went before.
static int take_line(struct ini *ini, const char *s, size_t len, unsigned *begin)
{
    char first = first_of(s, len);
    int k = check_text(ini, s, len);
    if (k < 0 || first == '#' || first == ';' || (!first && !*begin))
        return k;
    *begin = *begin ? *begin : ini->line;
    k = add_line(ini, s, len);
    if (k != 0)
        return k < 0 ? k : 0;
    k = take_statement(ini, *begin);
    gr_buf_clear(&ini->statement);
    *begin = 0;
    return k;
}

static int parse(struct ini *ini, const char *bytes, size_t len)
{
    unsigned begin = 0; // line of an unfinished statement; 0: none
    for (const char *end = bytes + len, *s = bytes; s < end;) {
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        size_t n = (size_t)((newline ? newline : end) - s);
        ini->line++;
        int k = take_line(ini, s, n, &begin);
        if (k < 0)
            return k;
        s += n + 1;
    }
    return begin ? take_statement(ini, begin) : 0;
}

int gr_ini_parse(const char *where, const char *bytes, size_t len, gr_ini_assign assign,
                 void *userdata, struct gr_error *e)
{
    struct ini ini = {.where = where,
                      .statement = GR_BUF(GR_INI_LINE_MAX),
                      .assign = assign,
                      .userdata = userdata,
                      .e = e};
    int k = parse(&ini, bytes, len);
    gr_buf_done(&ini.statement);
    return k;
}
