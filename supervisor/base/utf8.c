// Recognises and writes single UTF-8 sequences; the one place that knows the bit patterns.
#include "base/utf8.h"
#include <stdbool.h>
#include <string.h>

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t gr_utf8_sequence(const char *bytes, size_t left)
{
    const unsigned char *u = (const unsigned char *)bytes;
    if (left == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    size_t n = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if (!is_continuation(u[i]))
            return 0;
    // the second byte is narrower after four lead bytes: overlong forms, surrogates, over U+10FFFF
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
        (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
        return 0;
    return n;
}

size_t gr_utf8_floor(const char *bytes, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)bytes[len - back];
        if (is_continuation(c))
            continue;
        size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return n > back ? len - back : len;
    }
    return len;
}

size_t gr_utf8_encode(unsigned code_point, char buf[4])
{
    if (code_point < 0x80) {
        buf[0] = (char)code_point;
        return 1;
    }
    size_t n = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        buf[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    buf[0] = (char)(lead[n] | code_point);
    return n;
}

const char *gr_utf8_show(const char *text, size_t len, char buf[GR_SHOWN_MAX])
{
    static const char end[] = "...\"";
    size_t used = 0;
    buf[used++] = '"';
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = gr_utf8_sequence(text + i, len - i);
        bool plain = n > 1 || (n == 1 && text[i] >= ' ' && text[i] != '"' && text[i] != 0x7f);
        size_t width = plain ? n : 1;
        if (used + width + sizeof end > GR_SHOWN_MAX) {
            memcpy(buf + used, end, sizeof end);
            return buf;
        }
        memcpy(buf + used, plain ? text + i : "?", width);
        used += width;
    }
    buf[used++] = '"';
    buf[used] = '\0';
    return buf;
}
