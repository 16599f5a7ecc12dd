// The judgement: first that the pieces tile the head, then that each piece is well-formed, then
// that the fields which frame the message say one thing only.
#include "worker/guard-http.h"
#include <string.h>
#include <strings.h>

#define METHOD_LEN_MAX 32
#define VERSION_LEN 8
#define LENGTH_DIGITS_MAX 18 // below 2^63 whatever the digits

// RFC 9110 §5.6.2. A table, since every byte of every name is looked at.
static bool is_token_char(unsigned char c)
{
    static const bool token[256] = {
        ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,
        ['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
        ['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
        ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
        ['|'] = true,         ['~'] = true,
    };
    return token[c];
}

// Visible ASCII that may stand in a target as it is.
static bool is_target_char(unsigned char c)
{
    static const bool refused[256] = {
        [0 ... ' '] = true, [0x7f ... 0xff] = true, ['#'] = true,  ['"'] = true,
        ['<'] = true,       ['>'] = true,           ['\\'] = true,
    };
    return !refused[c];
}

static bool is_token(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && is_token_char((unsigned char)text[n]))
        n++;
    return len > 0 && n == len;
}

// Visible characters, blanks and the bytes beyond ASCII; no NUL, CR, LF or other control character.
static bool is_field_value(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

// --- tiling
// ------------------------------------------------------------------------------------------------

struct cursor {
    const char *at, *end;
};

// A delimiter that the library may have overwritten with NUL.
static bool skip(struct cursor *c, char delimiter)
{
    if (c->at >= c->end || (*c->at != '\0' && *c->at != delimiter))
        return false;
    c->at++;
    return true;
}

static bool skip_line_end(struct cursor *c)
{
    return skip(c, '\r') && skip(c, '\n');
}

static bool take(struct cursor *c, const char *piece, size_t len)
{
    if (piece != c->at || len > (size_t)(c->end - c->at))
        return false;
    c->at += len;
    return true;
}

// The method reaches to the single space before the target; its end is where the target begins.
static bool tile_request_line(struct cursor *c, const struct gr_head *h)
{
    if (h->target <= h->raw || h->target >= c->end)
        return false;
    size_t method_len = (size_t)(h->target - h->raw) - 1;
    return method_len <= METHOD_LEN_MAX && is_token(h->raw, method_len) &&
           take(c, h->raw, method_len) && skip(c, ' ') && take(c, h->target, h->target_len) &&
           skip(c, ' ') && take(c, h->version, VERSION_LEN) && skip_line_end(c);
}

static bool tile_field(struct cursor *c, const struct gr_head_field *f)
{
    if (!take(c, f->name, f->name_len) || !skip(c, ':'))
        return false;
    while (c->at < f->value && c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
    return take(c, f->value, f->value_len) && skip_line_end(c);
}

static const char *tile(const struct gr_head *h)
{
    struct cursor c = {h->raw, h->raw + h->raw_len};
    if (!tile_request_line(&c, h))
        return "the request line is not method, one space, target, one space, version, CR LF";
    for (size_t i = 0; i < h->n_fields; i++)
        if (!tile_field(&c, &h->fields[i]))
            return "a header line is not name, colon, value, CR LF on one line without NUL";
    if (!skip_line_end(&c) || c.at != c.end)
        return "the header section does not end with one empty line, CR LF";
    return NULL;
}

// --- pieces
// ------------------------------------------------------------------------------------------------

const char *gr_guard_target(const char *target, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)target[i];
        if (!is_target_char(c))
            return "the request target holds a character that must be escaped";
        if (c == '%' && len - i >= 3 && target[i + 1] == '0' && target[i + 2] == '0')
            return "the request target holds an escaped NUL";
    }
    return len > 0 ? NULL : "the request target is missing";
}

static const char *check_pieces(const struct gr_head *h, bool *ret_http_1_1)
{
    if (memcmp(h->version, "HTTP/1.1", VERSION_LEN) != 0 &&
        memcmp(h->version, "HTTP/1.0", VERSION_LEN) != 0)
        return "the version is neither HTTP/1.1 nor HTTP/1.0";
    *ret_http_1_1 = h->version[VERSION_LEN - 1] == '1';
    for (size_t i = 0; i < h->n_fields; i++) {
        if (!is_token(h->fields[i].name, h->fields[i].name_len))
            return "a header name is not a token (white space before the colon, or a folded line)";
        if (!is_field_value(h->fields[i].value, h->fields[i].value_len))
            return "a header value holds a control character";
    }
    return NULL;
}

// --- framing
// ------------------------------------------------------------------------------------------------

static bool named(const struct gr_head_field *f, const char *name)
{
    return f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0;
}

// Readers differ in what they strip around a value; the fields that frame may hold nothing to
// strip but the usual single space.
static bool plainly_written(const struct gr_head_field *f)
{
    size_t blanks = (size_t)(f->value - (f->name + f->name_len)) - 1;
    return blanks == 0 || (blanks == 1 && f->value[-1] == ' ');
}

static const char *read_length(const struct gr_head_field *f, struct gr_framing *ret)
{
    if (ret->has_length)
        return "Content-Length is there twice";
    if (!plainly_written(f) || f->value_len == 0 || f->value_len > LENGTH_DIGITS_MAX)
        return "Content-Length is not a plain decimal number";
    uint64_t length = 0;
    for (size_t i = 0; i < f->value_len; i++) {
        if (f->value[i] < '0' || f->value[i] > '9')
            return "Content-Length is not a plain decimal number";
        length = length * 10 + (uint64_t)(f->value[i] - '0');
    }
    ret->has_length = true;
    ret->length = length;
    return NULL;
}

static const char *read_encoding(const struct gr_head_field *f, struct gr_framing *ret)
{
    if (ret->chunked)
        return "Transfer-Encoding is there twice";
    if (!plainly_written(f) || f->value_len != strlen("chunked") ||
        memcmp(f->value, "chunked", f->value_len) != 0)
        return "Transfer-Encoding is not exactly \"chunked\"";
    ret->chunked = true;
    return NULL;
}

static bool is_host(const struct gr_head_field *f)
{
    static const char foreign[] = " \t,/@?#\\";
    for (size_t i = 0; i < f->value_len; i++)
        if (memchr(foreign, f->value[i], strlen(foreign)))
            return false;
    return true;
}

static const char *read_framing(const struct gr_head *h, bool http_1_1, struct gr_framing *ret)
{
    unsigned hosts = 0;
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct gr_head_field *f = &h->fields[i];
        const char *why = NULL;
        if (named(f, "content-length"))
            why = read_length(f, ret);
        else if (named(f, "transfer-encoding"))
            why = read_encoding(f, ret);
        else if (named(f, "host") && (++hosts > 1 || !is_host(f)))
            why = "Host is there twice, or is no host";
        if (why)
            return why;
    }
    if (http_1_1 && hosts == 0)
        return "HTTP/1.1 without Host";
    if (ret->chunked && ret->has_length)
        return "Content-Length beside Transfer-Encoding";
    if (ret->chunked && !http_1_1)
        return "Transfer-Encoding in HTTP/1.0";
    return NULL;
}

const char *gr_guard_head(const struct gr_head *h, struct gr_framing *ret)
{
    struct gr_framing framing = {0};
    bool http_1_1 = false;
    const char *why = tile(h);
    if (!why)
        why = check_pieces(h, &http_1_1);
    if (!why)
        why = read_framing(h, http_1_1, &framing);
    if (!why)
        *ret = framing;
    return why;
}
