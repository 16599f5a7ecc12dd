// Turns foreign text into a module or service name, or refuses it.
#include "base/name.h"
#include <errno.h>
#include <string.h>

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int gr_name_parse(const char *text, size_t len, struct gr_name *ret)
{
    if (len == 0 || len > GR_NAME_MAX || !is_alnum(text[0]))
        return -EINVAL;
    for (size_t i = 1; i < len; i++)
        if (!is_alnum(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
            return -EINVAL;
    *ret = (struct gr_name){0};
    memcpy(ret->s, text, len);
    return 0;
}

bool gr_name_equal(const struct gr_name *a, const struct gr_name *b)
{
    return strcmp(a->s, b->s) == 0;
}
