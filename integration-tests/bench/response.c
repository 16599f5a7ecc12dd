// The head is collected whole and then read line by line; the body is only counted.
#include "response.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void bench_response_reset(struct bench_response *r)
{
    r->head_len = 0;
    r->in_body = r->done = r->closes = false;
    r->body_left = 0;
    r->status = 0;
    r->value[0] = '\0';
}

static const char *field(const char *line, size_t len, const char *name, size_t *ret_len)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return NULL;
    const char *value = line + n + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    *ret_len = (size_t)(end - value);
    return value;
}

static int read_length(const char *text, size_t len, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || i >= 12)
            return -EBADMSG;
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = v;
    return len > 0 ? 0 : -EBADMSG;
}

static int read_field(struct bench_response *r, const char *line, size_t len, const char *interest,
                      bool *has_length)
{
    size_t n;
    const char *value = field(line, len, "content-length", &n);
    if (value) {
        *has_length = true;
        return read_length(value, n, &r->body_left);
    }
    if ((value = field(line, len, "connection", &n)) != NULL)
        r->closes = n == 5 && strncasecmp(value, "close", 5) == 0;
    if (interest && (value = field(line, len, interest, &n)) != NULL && n < sizeof r->value) {
        memcpy(r->value, value, n);
        r->value[n] = '\0';
    }
    return 0;
}

static int read_head(struct bench_response *r, const char *interest)
{
    static const char begin[] = "HTTP/1.1 ";
    const char *line = r->head, *end = r->head + r->head_len;
    bool has_length = false;
    if (r->head_len < sizeof begin + 3 || memcmp(line, begin, sizeof begin - 1) != 0)
        return -EBADMSG;
    for (size_t i = 0; i < 3; i++) {
        char c = line[sizeof begin - 1 + i];
        if (c < '0' || c > '9')
            return -EBADMSG;
        r->status = r->status * 10 + (unsigned)(c - '0');
    }
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL && ++line < end) {
        const char *line_end = memchr(line, '\r', (size_t)(end - line));
        int k = line_end ? read_field(r, line, (size_t)(line_end - line), interest, &has_length)
                         : -EBADMSG;
        if (k < 0)
            return k;
    }
    return has_length ? 0 : -EBADMSG;
}

// How many of the n bytes belong to the head: up to and with its empty line, or all.
static size_t head_share(const struct bench_response *r, const char *data, size_t n,
                         bool *ret_whole)
{
    static const char end[] = "\r\n\r\n";
    size_t matched = 0, before = r->head_len < 3 ? r->head_len : 3;
    *ret_whole = false;
    for (size_t i = 0; i < before + n; i++) {
        char c = i < before ? r->head[r->head_len - before + i] : data[i - before];
        matched = c == end[matched] ? matched + 1 : c == '\r';
        if (matched == 4 && i >= before) {
            *ret_whole = true;
            return i - before + 1;
        }
    }
    return n;
}

int64_t bench_response_feed(struct bench_response *r, const char *data, size_t n,
                            const char *interest)
{
    size_t taken = 0;
    if (!r->in_body) {
        bool whole;
        taken = head_share(r, data, n, &whole);
        if (taken > sizeof r->head - r->head_len)
            return -E2BIG;
        memcpy(r->head + r->head_len, data, taken);
        r->head_len += taken;
        if (!whole)
            return (int64_t)taken;
        int k = read_head(r, interest);
        if (k < 0)
            return k;
        r->in_body = true;
    }
    size_t body = n - taken < r->body_left ? n - taken : (size_t)r->body_left;
    r->body_left -= body;
    r->done = r->body_left == 0;
    return (int64_t)(taken + body);
}
