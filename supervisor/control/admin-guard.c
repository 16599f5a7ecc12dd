// Names that this host answers to.
#include "control/admin-guard.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HOST_MAX_BYTES 256

// The name or address without port, brackets and the root's dot. False: it is none.
static bool take_host(const char *text, size_t len, char ret[HOST_MAX_BYTES], bool *ret_bracketed)
{
    const char *end = len ? memchr(text, *text == '[' ? ']' : ':', len) : NULL;
    *ret_bracketed = len && *text == '[';
    if (*ret_bracketed && !end)
        return false;
    if (*ret_bracketed)
        text++;
    size_t n = end ? (size_t)(end - text) : len;
    if (n && text[n - 1] == '.')
        n--;
    if (n == 0 || n >= HOST_MAX_BYTES || memchr(text, '\0', n))
        return false;
    memcpy(ret, text, n);
    ret[n] = '\0';
    return true;
}

static bool is_address(const char *host, bool bracketed)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(bracketed ? AF_INET6 : AF_INET, host, bytes) == 1;
}

static bool is_listed(const char *host, const char *names)
{
    size_t len = strlen(host);
    for (const char *at = names; at && *at; at += strcspn(at, " \t")) {
        at += strspn(at, " \t");
        if (strcspn(at, " \t") == len && strncasecmp(at, host, len) == 0)
            return true;
    }
    return false;
}

static bool is_own(const char *host)
{
    char name[HOST_MAX_BYTES] = "";
    if (gethostname(name, sizeof name - 1) < 0 || !*name)
        return false;
    return strcasecmp(host, name) == 0; // with a domain behind it could be anybody's
}

bool gr_admin_host_is_ours(const char *host, const char *listen, const char *allowed)
{
    char name[HOST_MAX_BYTES], listened[HOST_MAX_BYTES];
    bool bracketed, unused;
    if (!host)
        return true;
    if (!take_host(host, strlen(host), name, &bracketed))
        return false;
    return is_address(name, bracketed) || strcasecmp(name, "localhost") == 0 || is_own(name) ||
           is_listed(name, allowed) ||
           (listen && take_host(listen, strlen(listen), listened, &unused) &&
            strcasecmp(name, listened) == 0);
}
