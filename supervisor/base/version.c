// Semantic versions by the grammar and the precedence rules of semver.org 2.0.0.
#include "base/version.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define NUMBER_MAX (UINT64_C(1) << 53) // what JSON can carry exactly

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_identifier(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

// One of the three numbers; moves *p behind it.
static int parse_number(const char **p, uint64_t *ret)
{
    const char *s = *p;
    if (!is_digit(*s) || (s[0] == '0' && is_digit(s[1])))
        return -EINVAL;
    uint64_t n = 0;
    for (; is_digit(*s); s++)
        if (n <= NUMBER_MAX) // beyond, only the grammar is still looked at
            n = n * 10 + (uint64_t)(*s - '0');
    *ret = n;
    *p = s;
    return 0;
}

// Dot-separated identifiers; numeric ones have no leading zero in a prerelease (but may in build
// metadata).
static int skip_identifiers(const char **p, bool prerelease)
{
    const char *s = *p;
    for (;;) {
        const char *start = s;
        bool numeric = true;
        for (; is_identifier(*s); s++)
            numeric &= is_digit(*s);
        if (s == start || (prerelease && numeric && *start == '0' && s - start > 1))
            return -EINVAL;
        if (*s != '.')
            break;
        s++;
    }
    *p = s;
    return 0;
}

int gr_version_parse(const char *text, struct gr_version *ret)
{
    struct gr_version v = {0};
    size_t len = strlen(text);
    if (len > GR_VERSION_MAX)
        return -EINVAL;
    const char *p = text;
    uint64_t *const numbers[] = {&v.major, &v.minor, &v.patch};
    for (size_t i = 0; i < GR_COUNT(numbers); i++) {
        if (i > 0 && *p++ != '.')
            return -EINVAL;
        if (parse_number(&p, numbers[i]) < 0)
            return -EINVAL;
    }
    if (*p == '-') {
        v.pre = (uint16_t)(++p - text);
        if (skip_identifiers(&p, true) < 0)
            return -EINVAL;
    }
    if (*p == '+') {
        v.build = (uint16_t)(++p - text);
        if (skip_identifiers(&p, false) < 0)
            return -EINVAL;
    }
    if (*p != '\0')
        return -EINVAL;
    if (v.major > NUMBER_MAX || v.minor > NUMBER_MAX || v.patch > NUMBER_MAX)
        return -ERANGE;
    memcpy(v.text, text, len + 1);
    *ret = v;
    return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static size_t identifier_length(const char *s)
{
    size_t len = 0;
    while (is_identifier(s[len]))
        len++;
    return len;
}

// Numeric identifiers are lower than others and compare by value; digits without leading zeros do
// so by length first.
static int compare_identifier(const char *a, size_t a_len, const char *b, size_t b_len)
{
    bool a_numeric = strspn(a, "0123456789") >= a_len, b_numeric = strspn(b, "0123456789") >= b_len;
    if (a_numeric != b_numeric)
        return a_numeric ? -1 : 1;
    if (a_numeric && a_len != b_len)
        return a_len < b_len ? -1 : 1;
    int r = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return r ? r : compare_numbers(a_len, b_len);
}

int gr_version_compare_prerelease(const char *a, const char *b)
{
    for (;;) {
        size_t a_len = identifier_length(a), b_len = identifier_length(b);
        int r = compare_identifier(a, a_len, b, b_len);
        if (r)
            return r;
        a += a_len;
        b += b_len;
        if (*a != '.' || *b != '.') // more identifiers win when all before are equal
            return (*a == '.') - (*b == '.');
        a++;
        b++;
    }
}

int gr_version_compare(const struct gr_version *a, const struct gr_version *b)
{
    int r = compare_numbers(a->major, b->major);
    r = r ? r : compare_numbers(a->minor, b->minor);
    r = r ? r : compare_numbers(a->patch, b->patch);
    if (r)
        return r;
    if (!a->pre || !b->pre) // a release is higher than its prereleases
        return (a->pre == 0) - (b->pre == 0);
    return gr_version_compare_prerelease(a->text + a->pre, b->text + b->pre);
}
