// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing over U+10FFFF.
#pragma once
#include <stddef.h>

// Length (1 to 4) of the valid sequence at the front of `bytes`; 0: invalid or cut off.
size_t gr_utf8_sequence(const char *bytes, size_t left);
// Largest length <= len that does not cut a sequence in two, for text that had to be shortened.
size_t gr_utf8_floor(const char *bytes, size_t len);
// Writes the sequence of a code point (a scalar value, not a surrogate) to buf[4]; returns its
// length.
size_t gr_utf8_encode(unsigned code_point, char buf[4]);

// Foreign text for a sentence: in quotes, without control characters, broken UTF-8 or quotes ('?'
// instead), shortened.
#define GR_SHOWN_MAX 72
const char *gr_utf8_show(const char *text, size_t len, char buf[GR_SHOWN_MAX]);
