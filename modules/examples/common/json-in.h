// Reads one JSON object into the fields that a caller names: strict about syntax, bounded in depth
// and length, without allocation. Enough for small requests; not a general JSON library.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_TEXT_MAX 255
#define JSON_DEPTH_MAX 32
#define JSON_WHY_MAX 160

enum json_type { JSON_INTEGER, JSON_TEXT, JSON_BOOLEAN };

struct json_field {
    const char *name;
    enum json_type type;
    bool present;                 // set when the object has the field
    int64_t integer;              // JSON_INTEGER, at most 2^53 either way
    bool boolean;                 // JSON_BOOLEAN
    char text[JSON_TEXT_MAX + 1]; // JSON_TEXT: printable ASCII, longer or other text is refused
};

enum json_unknown { JSON_SKIP_UNKNOWN, JSON_REFUSE_UNKNOWN };

// False: why[] holds a sentence for the caller's client, and the fields are not to be used.
bool json_read(const void *data, uint64_t size, struct json_field *fields, size_t n_fields,
               enum json_unknown unknown, char why[JSON_WHY_MAX]);
