// Files that the operator names, wherever they are; "-" is standard input.
#pragma once
#include "base/buf.h"
#include "base/error.h"

// Appends the whole file. Fails: errno of open and read, -E2BIG (b's cap); the sentence names the
// file.
GR_MUST_CHECK int gr_input_read(const char *file, struct gr_buf *b, struct gr_error *e);
