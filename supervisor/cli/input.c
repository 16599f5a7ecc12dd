// Reads what the operator hands over. Links are followed here, and only here: it is the operator's
// own command line.
#include "cli/input.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int gr_input_read(const char *file, struct gr_buf *b, struct gr_error *e)
{
    FILE *f = strcmp(file, "-") ? fopen(file, "re") : stdin;
    char chunk[65536];
    size_t n;
    int r = f ? 0 : -errno;
    while (r >= 0 && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
        r = gr_buf_append(b, chunk, n);
    if (r >= 0 && ferror(f))
        r = -EIO;
    if (f && f != stdin)
        fclose(f);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE, "cannot read %s: %s",
                            strcmp(file, "-") ? file : "standard input", strerror(-r));
    return 0;
}
