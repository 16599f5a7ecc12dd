// The one growing buffer: doubles up to its cap, refuses beyond, and leaves its content alone when
// it refuses.
#include "base/buf.h"
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAPACITY 256

// Makes room for `more` bytes and a NUL after len.
static int reserve(struct gr_buf *b, size_t more)
{
    assert(b->max > 0 && b->max < SIZE_MAX / 2);
    if (more > b->max - b->len)
        return -E2BIG;
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : FIRST_CAPACITY;
    while (cap < need)
        cap *= 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

void gr_buf_done(struct gr_buf *b)
{
    free(b->data);
    *b = (struct gr_buf){.max = b->max};
}

int gr_buf_append(struct gr_buf *b, const void *bytes, size_t len)
{
    int r = reserve(b, len);
    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int gr_buf_printf(struct gr_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    int r = n < 0 ? -EINVAL : reserve(b, (size_t)n);
    if (r == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return r;
}

void gr_buf_clear(struct gr_buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void gr_buf_consume(struct gr_buf *b, size_t len)
{
    assert(len <= b->len);
    if (len == 0)
        return;
    b->len -= len;
    memmove(b->data, b->data + len, b->len + 1);
}

char *gr_buf_take(struct gr_buf *b, size_t *ret_len)
{
    if (ret_len)
        *ret_len = b->len;
    if (b->len == 0)
        return NULL;
    char *data = b->data;
    *b = (struct gr_buf){.max = b->max};
    return data;
}
