// A growing byte buffer that knows its cap. Always NUL-terminated after `len` once something was
// appended.
#pragma once
#include "base/macros.h"
#include <stdarg.h>
#include <stddef.h>

struct gr_buf {
    char *data;
    size_t len, cap;
    size_t max; // largest len; 0 is a bug
};
#define GR_BUF(max_) ((struct gr_buf){.max = (max_)})
void gr_buf_done(struct gr_buf *b);
#define GR_AUTO_BUF GR_CLEANUP(gr_buf_done)
// Fails: -ENOMEM; -E2BIG when the cap would be passed (content unchanged).
GR_MUST_CHECK int gr_buf_append(struct gr_buf *b, const void *bytes, size_t len);
GR_MUST_CHECK int gr_buf_printf(struct gr_buf *b, const char *format, ...) GR_PRINTF(2, 3);
void gr_buf_clear(struct gr_buf *b);               // keeps memory
void gr_buf_consume(struct gr_buf *b, size_t len); // drops from the front
char *gr_buf_take(struct gr_buf *b,
                  size_t *ret_len); // caller frees; b becomes empty. NULL when empty
