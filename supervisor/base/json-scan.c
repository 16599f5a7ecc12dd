// A strict, byte-level walk over a JSON text that builds nothing: it only says yes, or what is
// wrong and where.
#include "base/json-scan.h"
#include "base/json-path.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NUMBER_TEXT_MAX 63 // cJSON looks at no more characters of a number
#define NUMBER_MAX                                                                                 \
    9007199254740992.0L // 2^53: beyond, a double drops digits; a long double still sees 2^53 + 1

struct key { // decoded, in the scan's arena
    const char *text;
    size_t len;
    const char *at; // in the document
};

struct frame { // one open object or array; innermost first
    const struct frame *parent;
    struct key key;
    size_t index;
    bool is_array;
};

struct scan {
    const char *start, *p, *end;
    const struct frame *top;
    unsigned depth;
    char *arena_end;  // decoded keys go here; never longer than their text
    struct key *keys; // of all open objects, innermost last
    size_t n_keys, cap_keys;
    struct gr_error *error;
};

static void put_path(struct gr_json_path *path, const struct frame *f)
{
    if (!f)
        return;
    put_path(path, f->parent);
    if (f->is_array)
        gr_json_path_index(path, f->index);
    else if (f->key.text)
        gr_json_path_key(path, f->key.text, f->key.len);
}

static int refuse(const struct scan *s, const char *at, const char *problem)
{
    struct gr_json_path path;
    gr_json_path_start(&path, "");
    put_path(&path, s->top);
    return gr_error_set(s->error, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s%s%s (byte %zu)",
                        path.text, path.len ? ": " : "", problem, (size_t)(at - s->start));
}

static bool at(const struct scan *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

// --- strings
// --------------------------------------------------------------------------------------------------------

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Four hex digits behind "\u"; -1: not four.
static int scan_unit(struct scan *s)
{
    int unit = 0;
    if (s->end - s->p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(s->p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    s->p += 4;
    return unit;
}

// Behind "\u": writes the code point to buf, *ret_len bytes.
static int scan_unicode_escape(struct scan *s, const char *escape, char buf[4], size_t *ret_len)
{
    int unit = scan_unit(s);
    if (unit < 0)
        return refuse(s, escape, "\\u needs four hexadecimal digits");
    if (unit == 0)
        return refuse(s, escape, "\\u0000 is not allowed, texts hold no NUL");
    unsigned code_point = (unsigned)unit;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        int low = -1;
        if (unit < 0xdc00 && s->end - s->p >= 2 && s->p[0] == '\\' && s->p[1] == 'u') {
            s->p += 2;
            low = scan_unit(s);
        }
        if (low < 0xdc00 || low > 0xdfff)
            return refuse(s, escape, "lone surrogate, expected a pair \\uD8xx\\uDCxx");
        code_point = 0x10000 + (((unsigned)unit - 0xd800) << 10) + ((unsigned)low - 0xdc00);
    }
    *ret_len = gr_utf8_encode(code_point, buf);
    return 0;
}

// Behind the backslash.
static int scan_escape(struct scan *s, char buf[4], size_t *ret_len)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *escape = s->p - 1;
    char c = s->p < s->end ? *s->p++ : '\0';
    if (c == 'u')
        return scan_unicode_escape(s, escape, buf, ret_len);
    const char *known = c ? strchr(letters, c) : NULL;
    if (!known)
        return refuse(s, escape,
                      "unknown escape, JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    buf[0] = meanings[known - letters];
    *ret_len = 1;
    return 0;
}

// At the opening quote. Decodes to `out` (NULL: only looks), which has room for as many bytes as
// the text takes.
static int scan_string(struct scan *s, char *out, size_t *ret_len)
{
    const char *open = s->p++;
    size_t len = 0;
    for (;;) {
        if (s->p == s->end)
            return refuse(s, open, "string without an end");
        unsigned char c = (unsigned char)*s->p;
        if (c == '"')
            break;
        if (c < 0x20)
            return refuse(s, s->p, "raw control character in a string, write it as \\uXXXX");
        char escaped[4];
        const char *piece = s->p;
        size_t n = 0;
        if (c == '\\') {
            s->p++;
            int r = scan_escape(s, escaped, &n);
            if (r < 0)
                return r;
            piece = escaped;
        } else {
            n = gr_utf8_sequence(s->p, (size_t)(s->end - s->p));
            if (n == 0)
                return refuse(s, s->p, "invalid UTF-8");
            s->p += n;
        }
        if (out)
            memcpy(out + len, piece, n);
        len += n;
    }
    s->p++;
    if (ret_len)
        *ret_len = len;
    return 0;
}

// --- numbers and words
// ----------------------------------------------------------------------------------------------

static size_t skip_digits(struct scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - start);
}

static int scan_number(struct scan *s)
{
    const char *start = s->p;
    if (at(s, '-'))
        s->p++;
    const char *integer = s->p;
    size_t digits = skip_digits(s);
    if (digits == 0)
        return refuse(s, start, "number without digits");
    if (digits > 1 && *integer == '0')
        return refuse(s, start, "number with a leading zero");
    if (at(s, '.')) {
        s->p++;
        if (skip_digits(s) == 0)
            return refuse(s, start, "number without digits behind the point");
    }
    if (at(s, 'e') || at(s, 'E')) {
        s->p++;
        if (at(s, '+') || at(s, '-'))
            s->p++;
        if (skip_digits(s) == 0)
            return refuse(s, start, "number without digits in the exponent");
    }
    size_t len = (size_t)(s->p - start);
    char text[NUMBER_TEXT_MAX + 1];
    if (len > NUMBER_TEXT_MAX)
        return refuse(s, start, "number of more than 63 characters");
    memcpy(text, start, len);
    text[len] = '\0';
    if (fabsl(strtold(text, NULL)) > NUMBER_MAX)
        return refuse(s, start,
                      "number beyond 2^53, which JSON readers round; write it as a string if it is "
                      "an identifier");
    return 0;
}

static int scan_word(struct scan *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < GR_COUNT(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            return 0;
        }
    }
    return refuse(
        s, s->p, s->p == s->end ? "the text ends too early, expected a value" : "expected a value");
}

// --- objects and arrays
// ---------------------------------------------------------------------------------------------

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int r = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    if (r == 0)
        r = (x->len > y->len) - (x->len < y->len);
    if (r == 0) // arena order is document order: of two equal keys the later one is reported
        r = (x->text > y->text) - (x->text < y->text);
    return r;
}

static int push_key(struct scan *s, struct key key)
{
    if (s->n_keys == s->cap_keys) {
        size_t cap = s->cap_keys ? s->cap_keys * 2 : 64;
        struct key *keys = reallocarray(s->keys, cap, sizeof *keys);
        if (!keys)
            return gr_error_set_retryable(s->error, -ENOMEM, GR_REASON_INTERNAL,
                                          "out of memory while a document was read");
        s->keys = keys;
        s->cap_keys = cap;
    }
    s->keys[s->n_keys++] = key;
    return 0;
}

// Sorts instead of comparing each with each: a hostile object has many thousands of keys.
static int check_duplicates(struct scan *s, struct frame *f, size_t first_key)
{
    size_t n = s->n_keys - first_key;
    s->n_keys = first_key;
    if (n < 2)
        return 0;
    struct key *keys = s->keys + first_key;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (keys[i].len == keys[i - 1].len &&
            memcmp(keys[i].text, keys[i - 1].text, keys[i].len) == 0) {
            f->key = keys[i];
            return refuse(s, keys[i].at, "duplicate key, keep one of them");
        }
    return 0;
}

static int scan_value(struct scan *s);

static int scan_member(struct scan *s, struct frame *f)
{
    f->key.text = NULL; // complaints about the key itself are about the object
    if (!at(s, '"'))
        return refuse(s, s->p, "expected a key in quotes");
    struct key key = {.text = s->arena_end, .at = s->p};
    int r = scan_string(s, s->arena_end, &key.len);
    if (r == 0)
        r = push_key(s, key);
    if (r < 0)
        return r;
    s->arena_end += key.len;
    f->key = key;
    skip_blanks(s);
    if (!at(s, ':'))
        return refuse(s, s->p, "expected ':' behind the key");
    s->p++;
    return scan_value(s);
}

// At the opening bracket. Both kinds are lists of items between brackets; only the items differ.
static int scan_container(struct scan *s)
{
    struct frame f = {.parent = s->top, .is_array = *s->p == '['};
    const char close = f.is_array ? ']' : '}';
    size_t first_key = s->n_keys;
    if (s->depth == GR_JSON_DEPTH_MAX)
        return refuse(s, s->p, "nested too deeply, 64 levels are allowed");
    s->p++;
    s->depth++;
    s->top = &f;
    skip_blanks(s);
    for (bool more = !at(s, close); more;) {
        skip_blanks(s);
        int r = f.is_array ? scan_value(s) : scan_member(s, &f);
        if (r < 0)
            return r;
        skip_blanks(s);
        more = at(s, ',');
        if (!more && !at(s, close))
            return refuse(s, s->p, f.is_array ? "expected ',' or ']'" : "expected ',' or '}'");
        if (more)
            s->p++;
        f.index++;
    }
    int r = f.is_array ? 0 : check_duplicates(s, &f, first_key);
    s->p++;
    s->top = f.parent;
    s->depth--;
    return r;
}

static int scan_value(struct scan *s)
{
    skip_blanks(s);
    char c = s->p < s->end ? *s->p : '\0';
    if (c == '{' || c == '[')
        return scan_container(s);
    if (c == '"')
        return scan_string(s, NULL, NULL);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    return scan_word(s);
}

int gr_json_scan(const char *bytes, size_t len, struct gr_error *e)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    struct scan s = {.start = bytes, .p = bytes, .end = bytes + len, .error = e};
    if (len >= 3 && memcmp(bytes, byte_order_mark, 3) == 0)
        return refuse(&s, bytes, "byte order mark, JSON is plain UTF-8 without one");
    GR_AUTO_FREE char *arena = malloc(len + 1);
    if (!arena)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "out of memory while a document was read");
    s.arena_end = arena;
    int r = scan_value(&s);
    if (r == 0) {
        skip_blanks(&s);
        if (s.p < s.end)
            r = refuse(&s, s.p, "bytes behind the end of the value");
    }
    free(s.keys);
    return r;
}
