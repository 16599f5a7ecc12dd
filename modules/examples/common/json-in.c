// A recursive-descent scanner over the request's own bytes. Every step either moves forward or
// stops with a sentence.
#include "json-in.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INTEGER_MAX (INT64_C(1) << 53)

struct scanner {
    const char *begin, *at, *end;
    char *why; // JSON_WHY_MAX bytes
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct scanner *s, const char *format, ...)
{
    va_list args;
    int used = snprintf(s->why, JSON_WHY_MAX, "At byte %td of the JSON text: ", s->at - s->begin);
    va_start(args, format);
    vsnprintf(s->why + used, (size_t)(JSON_WHY_MAX - used), format, args);
    va_end(args);
    return false;
}

static void skip_blanks(struct scanner *s)
{
    while (s->at < s->end && memchr(" \t\r\n", *s->at, 4))
        s->at++;
}

// The next byte after blanks, or -1 at the end.
static int peek(struct scanner *s)
{
    skip_blanks(s);
    return s->at < s->end ? (unsigned char)*s->at : -1;
}

static bool take(struct scanner *s, char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

static bool read_word(struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return refuse(s, "expected a value; write true, false, null, a number, text, {} or [].");
    s->at += len;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

// After the backslash. *ret: the character, or -1 when it is none of ASCII.
static bool read_escape(struct scanner *s, int *ret)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (s->at == s->end)
        return refuse(s, "the text is cut off; close it with a quote.");
    char c = *s->at++;
    const char *known = memchr(names, c, sizeof names - 1);
    if (known) {
        *ret = values[known - names];
        return true;
    }
    int code = 0;
    for (int i = 0; c == 'u' && i < 4; i++) {
        int digit = s->at < s->end ? hex_digit(*s->at) : -1;
        if (digit < 0)
            return refuse(s, "expected four hexadecimal digits after \\u.");
        code = code * 16 + digit;
        s->at++;
    }
    if (c != 'u')
        return refuse(s, "\\ must be followed by one of \"\\/bfnrtu.");
    *ret = code < 128 ? code : -1;
    return true;
}

// Reads a string; text may be NULL (skip it). *ret_plain: it fitted and is printable ASCII.
static bool read_string(struct scanner *s, char *text, bool *ret_plain)
{
    size_t len = 0;
    bool plain = true;
    if (!take(s, '"'))
        return refuse(s, "expected text in double quotes.");
    for (;;) {
        if (s->at == s->end)
            return refuse(s, "the text is cut off; close it with a quote.");
        int c = (unsigned char)*s->at;
        if (c < ' ')
            return refuse(s, "a control character stands in the text; write it as \\u%04x.",
                          (unsigned)c);
        s->at++;
        if (c == '"')
            break;
        if (c == '\\' && !read_escape(s, &c))
            return false;
        plain = plain && c >= ' ' && c < 127 && len < JSON_TEXT_MAX;
        if (text && plain)
            text[len++] = (char)c;
    }
    if (text)
        text[len] = '\0';
    *ret_plain = plain;
    return true;
}

static size_t count_digits(const struct scanner *s)
{
    size_t n = 0;
    while (s->at + n < s->end && s->at[n] >= '0' && s->at[n] <= '9')
        n++;
    return n;
}

// Steps over the fraction and the exponent, if any; *ret_any tells whether there was one.
static bool skip_fraction(struct scanner *s, bool *ret_any)
{
    const char *begin = s->at;
    for (int part = 0; part < 2; part++) {
        if (s->at == s->end || !(part == 0 ? *s->at == '.' : (*s->at | 32) == 'e'))
            continue;
        s->at++;
        if (part == 1 && s->at < s->end && (*s->at == '+' || *s->at == '-'))
            s->at++;
        size_t digits = count_digits(s);
        if (digits == 0)
            return refuse(s, "expected a digit in the number.");
        s->at += digits;
    }
    *ret_any = s->at > begin;
    return true;
}

// Reads a number; *ret_integer: it is an integer within 2^53, and *ret is its value.
static bool read_number(struct scanner *s, int64_t *ret, bool *ret_integer)
{
    bool negative = take(s, '-'), fraction = false;
    size_t digits = count_digits(s);
    int64_t value = 0;
    if (digits == 0)
        return refuse(s, "expected a digit.");
    if (digits > 1 && *s->at == '0')
        return refuse(s, "a number must not begin with a zero.");
    for (size_t i = 0; i < digits && value <= INTEGER_MAX; i++)
        value = value * 10 + (s->at[i] - '0');
    s->at += digits;
    if (!skip_fraction(s, &fraction))
        return false;
    *ret = negative ? -value : value;
    *ret_integer = !fraction && value <= INTEGER_MAX;
    return true;
}

static bool skip_value(struct scanner *s, int depth);

// A member's name and its colon.
static bool read_name(struct scanner *s, char *name, bool *ret_plain)
{
    return read_string(s, name, ret_plain) &&
           (take(s, ':') || refuse(s, "expected a colon after the name."));
}

static bool skip_members(struct scanner *s, char close, int depth)
{
    bool plain;
    if (depth == JSON_DEPTH_MAX)
        return refuse(s, "more than %d levels; flatten it.", JSON_DEPTH_MAX);
    s->at++;
    if (take(s, close))
        return true;
    do {
        if (close == '}' && !read_name(s, NULL, &plain))
            return false;
        if (!skip_value(s, depth + 1))
            return false;
    } while (take(s, ','));
    return take(s, close) || refuse(s, "expected a comma or %c.", close);
}

static bool skip_value(struct scanner *s, int depth)
{
    bool ignored;
    int64_t number;
    switch (peek(s)) {
    case '{':
        return skip_members(s, '}', depth);
    case '[':
        return skip_members(s, ']', depth);
    case '"':
        return read_string(s, NULL, &ignored);
    case 't':
        return read_word(s, "true");
    case 'f':
        return read_word(s, "false");
    case 'n':
        return read_word(s, "null");
    default:
        return read_number(s, &number, &ignored);
    }
}

static bool read_field(struct scanner *s, struct json_field *f)
{
    bool right;
    int next = peek(s);
    if (f->present)
        return refuse(s, "\"%s\" is there twice; keep one.", f->name);
    f->present = true;
    if (f->type == JSON_BOOLEAN) {
        f->boolean = next == 't';
        return next == 't' || next == 'f' ? read_word(s, f->boolean ? "true" : "false")
                                          : refuse(s, "\"%s\" must be true or false.", f->name);
    }
    if (f->type == JSON_TEXT) {
        if (next != '"')
            return refuse(s, "\"%s\" must be text.", f->name);
        if (!read_string(s, f->text, &right))
            return false;
        return right || refuse(s, "\"%s\" must be at most %d printable ASCII characters.", f->name,
                               JSON_TEXT_MAX);
    }
    if (next != '-' && !(next >= '0' && next <= '9'))
        return refuse(s, "\"%s\" must be an integer.", f->name);
    if (!read_number(s, &f->integer, &right))
        return false;
    return right || refuse(s, "\"%s\" must be an integer of at most 2^53.", f->name);
}

static bool read_member(struct scanner *s, struct json_field *fields, size_t n_fields,
                        enum json_unknown unknown)
{
    char name[JSON_TEXT_MAX + 1];
    bool plain;
    if (!read_name(s, name, &plain))
        return false;
    for (size_t i = 0; plain && i < n_fields; i++)
        if (strcmp(fields[i].name, name) == 0)
            return read_field(s, &fields[i]);
    if (unknown == JSON_REFUSE_UNKNOWN)
        return refuse(s, "\"%.40s\" is not known; correct its name or remove it.", name);
    return skip_value(s, 1);
}

bool json_read(const void *data, uint64_t size, struct json_field *fields, size_t n_fields,
               enum json_unknown unknown, char why[JSON_WHY_MAX])
{
    struct scanner s = {.begin = data, .at = data, .end = (const char *)data + size, .why = why};
    why[0] = '\0';
    if (!take(&s, '{'))
        return refuse(&s, "expected an object, which begins with {.");
    if (!take(&s, '}')) {
        do {
            if (!read_member(&s, fields, n_fields, unknown))
                return false;
        } while (take(&s, ','));
        if (!take(&s, '}'))
            return refuse(&s, "expected a comma or }.");
    }
    return peek(&s) == -1 || refuse(&s, "more text follows the object; remove it.");
}
