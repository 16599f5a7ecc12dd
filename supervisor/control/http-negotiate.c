// Owns the reading of two header fields, of any length that the server lets through; allocates
// nothing.
#include "control/http-negotiate.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t"

bool gr_http_has_etag(const char *if_none_match, const char *etag)
{
    const char *at = if_none_match ? if_none_match : "";
    size_t len = strlen(etag);
    while (*(at += strspn(at, BLANKS ",")) != '\0') {
        if (*at == '*')
            return true;
        if (!strncmp(at, "W/", 2))
            at += 2;
        if (*at != '"') // not a tag, and what follows cannot be told apart
            return false;
        if (!strncmp(at, etag, len))
            return true;
        const char *end = strchr(at + 1, '"'); // a comma may be inside
        if (!end)
            return false;
        at = end + 1;
    }
    return false;
}

// qvalue of RFC 9110 §12.4.2: 0 to 1 with up to three decimals. All that matters is whether it is
// more than none.
static bool is_positive(const char *q, const char *end)
{
    if (q == end || (*q != '0' && *q != '1'))
        return false;
    bool some = *q == '1';
    if (++q < end && *q == '.')
        while (++q < end && isdigit((unsigned char)*q))
            some = some || *q != '0';
    q += strspn(q, BLANKS);
    return some && q >= end;
}

// The weight of one element, whose parameters begin at `at` (";q=0.5").
static bool is_wanted(const char *at, const char *end)
{
    at += strspn(at, BLANKS);
    if (at >= end)
        return true;
    at += 1 + strspn(at + 1, BLANKS); // behind the semicolon, or whatever stands there
    if (at + 2 > end || strncasecmp(at, "q=", 2) != 0)
        return false;
    return is_positive(at + 2, end);
}

bool gr_http_accepts_coding(const char *accept_encoding, const char *coding)
{
    const char *at = accept_encoding ? accept_encoding : "";
    bool any = false;
    while (*(at += strspn(at, BLANKS ",")) != '\0') {
        const char *end = at + strcspn(at, ",");
        size_t len = strcspn(at, BLANKS ";,");
        if (len == strlen(coding) && !strncasecmp(at, coding, len))
            return is_wanted(at + len, end);
        if (len == 1 && *at == '*')
            any = is_wanted(at + len, end);
        at = end;
    }
    return any;
}
