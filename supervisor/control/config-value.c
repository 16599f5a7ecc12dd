// See config-value.h.
#include "control/config-value.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

int gr_config_parse_size(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || !isdigit((unsigned char)*text))
        return -EINVAL;
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (end[shift ? 1 : 0] || v > max >> shift)
        return -ERANGE;
    *ret = v << shift;
    return 0;
}

int gr_config_parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false",
                                                                                "off", "0"};
    for (size_t i = 0; i < GR_COUNT(yes); i++) {
        bool is_yes = strcasecmp(text, yes[i]) == 0;
        if (is_yes || strcasecmp(text, no[i]) == 0) {
            *ret = is_yes;
            return 0;
        }
    }
    return -EINVAL;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && !text[digits] && strtoul(text, NULL, 10) <= 65535;
}

static bool is_host(const char *text, size_t len)
{
    struct in6_addr six;
    struct in_addr four;
    char host[INET6_ADDRSTRLEN] = "";
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    size_t n = bracketed ? len - 2 : len;
    if (n == 0 || n >= sizeof host)
        return false;
    memcpy(host, bracketed ? text + 1 : text, n);
    if (bracketed)
        return inet_pton(AF_INET6, host, &six) == 1;
    return inet_pton(AF_INET, host, &four) == 1 || strcmp(host, "*") == 0 ||
           strcmp(host, "localhost") == 0;
}

bool gr_config_is_address(const char *text)
{
    static const struct sockaddr_un un;
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/' && text[6] && strlen(text + 5) < sizeof un.sun_path;
    const char *colon = strrchr(text, ':');
    return colon && is_host(text, (size_t)(colon - text)) && is_port(colon + 1);
}

bool gr_config_is_endpoint(const char *text)
{
    size_t skip = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
    if (!skip)
        return false;
    const char *host = text + skip;
    size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#@ ");
    if (len < 1 || strlen(host) < len || (*host == '[' && !is_host(host, len)))
        return false;
    const char *port = host + len, *slash = strchr(port, '/');
    char digits[8] = "";
    size_t n = slash ? (size_t)(slash - port) : strlen(port);
    if (n >= sizeof digits || (slash && slash[1]))
        return false;
    memcpy(digits, port, n);
    return !n || (*digits == ':' && is_port(digits + 1));
}

unsigned gr_config_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);
    if (n >= GR_COUNT(row) || strlen(a) >= GR_COUNT(row))
        return UINT_MAX;
    for (unsigned i = 0; i <= n; i++)
        row[i] = i;
    for (; *a; a++) {
        unsigned diagonal = row[0]++;
        for (size_t i = 1; i <= n; i++) {
            bool differ = tolower((unsigned char)*a) != tolower((unsigned char)b[i - 1]);
            unsigned best = diagonal + differ;
            diagonal = row[i];
            best = row[i] + 1 < best ? row[i] + 1 : best;
            best = row[i - 1] + 1 < best ? row[i - 1] + 1 : best;
            row[i] = best;
        }
    }
    return row[n];
}

bool gr_config_is_url(const char *text)
{
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0;
    const char *host = text + scheme;
    return scheme && *host && *host != '/' && *host != ':' && strlen(text) <= 1024 &&
           strcspn(host, "@?# \t\"\\") == strlen(host);
}

int gr_config_parse_ratio(const char *text, unsigned *ret_ppm)
{
    unsigned ppm = 0, unit = 1000000;
    if ((*text != '0' && *text != '1') || (text[1] != '\0' && text[1] != '.'))
        return -EINVAL;
    ppm = (unsigned)(*text - '0') * unit;
    for (const char *c = text + 1 + (text[1] == '.'); *c; c++) {
        unit /= 10;
        if (*c < '0' || *c > '9' || unit == 0)
            return -EINVAL;
        ppm += (unsigned)(*c - '0') * unit;
    }
    if (ppm > 1000000)
        return -EINVAL;
    *ret_ppm = ppm;
    return 0;
}

void gr_config_format_ratio(unsigned ppm, char ret[32])
{
    int n = snprintf(ret, 32, "%u.%06u", ppm / 1000000, ppm % 1000000);
    while (ret[n - 1] == '0')
        ret[--n] = '\0';
    if (ret[n - 1] == '.')
        ret[n - 1] = '\0';
}
