// Reads the words of a verb as the table of verbs has them. Pure.
#include "cli/value-kind.h"
#include "base/macros.h"
#include <ctype.h>
#include <string.h>

bool gr_value_kind_of(const char *name, size_t len, enum gr_value_kind *ret)
{
    static const struct {
        const char *name;
        enum gr_value_kind kind;
    } names[] = {
        {"MODULE", GR_VALUE_MODULE},
        {"ROLLOUT", GR_VALUE_ROLLOUT},
        {"VERSION", GR_VALUE_VERSION},
        {"SHA256", GR_VALUE_DIGEST},
        {"VERB", GR_VALUE_VERB},
        {"FORMAT", GR_VALUE_FORMAT},
        {"WHEN", GR_VALUE_WHEN},
        {"SHELL", GR_VALUE_SHELL},
        {"FILE", GR_VALUE_FILE},
        {"FILE.proto", GR_VALUE_FILE},
        {"FILE.yaml", GR_VALUE_FILE},
        {"PATH", GR_VALUE_FILE},
        {"DIRECTORY", GR_VALUE_FILE},
        {"PREFIX", GR_VALUE_FILE},
        {"FILE.so", GR_VALUE_SO},
        {"A.so", GR_VALUE_SO},
        {"B.so", GR_VALUE_SO},
        {"N", GR_VALUE_FREE},
        {"ID", GR_VALUE_ROLLOUT},
        {"SEQ", GR_VALUE_FREE},
        {"DURATION", GR_VALUE_FREE},
        {"TEXT", GR_VALUE_FREE},
        {"JSON", GR_VALUE_FREE},
        {"URL", GR_VALUE_FREE},
        {"HEADER", GR_VALUE_FREE},
        {"ADDRESS", GR_VALUE_FREE},
        {"NAME", GR_VALUE_FREE},
        {"NAME:VALUE", GR_VALUE_FREE},
        {"sha256:HEX", GR_VALUE_FREE},
        {"INTERFACE/METHOD", GR_VALUE_FREE},
        {"/INTERFACE/METHOD", GR_VALUE_FREE},
    };
    bool literal = len > 0;
    for (size_t i = 0; i < GR_COUNT(names); i++)
        if (strlen(names[i].name) == len && !strncmp(names[i].name, name, len)) {
            *ret = names[i].kind;
            return true;
        }
    for (size_t i = 0; i < len; i++)
        literal = literal && (islower((unsigned char)name[i]) || name[i] == '-');
    if (literal)
        *ret = GR_VALUE_LITERAL;
    return literal;
}

// Adds "cat|check" as two.
static size_t add_choices(const char *word, size_t len, struct gr_value_choice *ret, size_t n)
{
    while (len > 0) {
        const char *bar = memchr(word, '|', len);
        size_t one = bar ? (size_t)(bar - word) : len;
        enum gr_value_kind kind;
        if (n < GR_VALUES_MAX && gr_value_kind_of(word, one, &kind))
            ret[n++] = (struct gr_value_choice){.name = word, .len = one, .kind = kind};
        one += bar != NULL;
        word += one;
        len -= one;
    }
    return n;
}

static bool repeats(const char **word, size_t *len)
{
    bool more = *len > 3 && !memcmp(*word + *len - 3, "...", 3);
    *len -= more ? 3 : 0;
    if (*len > 1 && **word == '[') { // "[MODULE]"
        (*word)++;
        *len -= 2;
    }
    return more;
}

size_t gr_value_choices(const char *words, size_t at, struct gr_value_choice *ret)
{
    size_t n = 0, position = 0;
    bool of_option = false, last_repeats = false;
    for (const char *word = words; *word;) {
        size_t whole = strcspn(word, " "), len = whole;
        if (len == 1 && *word == '|') // another way to say it
            position = 0, of_option = last_repeats = false;
        else if (*word == '-')
            of_option = true;
        else if (of_option)
            of_option = false;
        else {
            const char *bare = word;
            last_repeats = repeats(&bare, &len);
            if (position == at || (last_repeats && at > position))
                n = add_choices(bare, len, ret, n);
            position++;
        }
        word += whole;
        word += strspn(word, " ");
    }
    return n;
}
