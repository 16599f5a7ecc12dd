// What a word or an option's value is, told by the name that help gives it. The names in the table
// of verbs are the only place where kinds are written down.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum gr_value_kind {
    GR_VALUE_FREE,    // text, numbers, what only the user knows
    GR_VALUE_LITERAL, // lower case: the word itself, "cat"
    GR_VALUE_FILE,
    GR_VALUE_SO, // a module's file
    GR_VALUE_MODULE,
    GR_VALUE_ROLLOUT,
    GR_VALUE_VERSION, // of the module that was named
    GR_VALUE_DIGEST,  // of the quarantine
    GR_VALUE_VERB,
    GR_VALUE_FORMAT,
    GR_VALUE_WHEN,
    GR_VALUE_SHELL,
};
// `name` of `len` bytes, as "MODULE" or "FILE.so". False: the table has a name that is not known
// here.
bool gr_value_kind_of(const char *name, size_t len, enum gr_value_kind *ret);

#define GR_VALUES_MAX 8
struct gr_value_choice {
    const char *name;
    size_t len;
    enum gr_value_kind kind;
};
// What may stand at position `at` (0: the first) of a verb's words, as "list|lift SHA256 --reason
// TEXT": at most GR_VALUES_MAX choices. Returns their number.
size_t gr_value_choices(const char *words, size_t at, struct gr_value_choice *ret);
