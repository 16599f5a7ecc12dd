// Names of the status codes, in the order of their numbers.
#include "base/code.h"
#include "base/macros.h"

const char *gr_code_name(unsigned code)
{
    static const char *const names[] = {
#define X(text) text,
        GR_CODE_NAMES(X)
#undef X
    };
    return code < GR_COUNT(names) ? names[code] : names[2];
}
