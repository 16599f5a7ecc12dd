// What kind of network an address belongs to: one table of special ranges, longest prefix first.
#include "verifier/address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};

static int parse_bytes(const char *text, struct gr_address *a, unsigned *ret_bits)
{
    if (inet_pton(AF_INET6, text, a->bytes) == 1) {
        *ret_bits = 128;
        return 0;
    }
    if (inet_pton(AF_INET, text, a->bytes + 12) != 1)
        return -EINVAL;
    memcpy(a->bytes, MAPPED, sizeof MAPPED);
    *ret_bits = 32;
    return 0;
}

static bool bit(const struct gr_address *a, unsigned i)
{
    return a->bytes[i / 8] >> (7 - i % 8) & 1;
}

int gr_address_parse(const char *text, struct gr_address *ret)
{
    char copy[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof copy)
        return -EINVAL;
    memcpy(copy, text, len);
    copy[len] = '\0';

    struct gr_address a = {.prefix = 128};
    unsigned bits;
    if (parse_bytes(copy, &a, &bits) < 0)
        return -EINVAL;
    if (slash) {
        char *end;
        if (slash[1] < '0' || slash[1] > '9')
            return -EINVAL;
        unsigned long n = strtoul(slash + 1, &end, 10);
        if (*end || n > bits)
            return -EINVAL;
        a.prefix = 128 - bits + (unsigned)n;
    }
    for (unsigned i = a.prefix; i < 128; i++)
        if (bit(&a, i))
            return -EINVAL;
    *ret = a;
    return 0;
}

int gr_address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct gr_address *ret)
{
    struct gr_address a = {.prefix = 128};
    if (len < sizeof sa->sa_family)
        return -EINVAL;
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        if (len < sizeof in)
            return -EINVAL;
        memcpy(&in, sa, sizeof in);
        memcpy(a.bytes, MAPPED, sizeof MAPPED);
        memcpy(a.bytes + 12, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        if (len < sizeof in6)
            return -EINVAL;
        memcpy(&in6, sa, sizeof in6);
        memcpy(a.bytes, &in6.sin6_addr, 16);
    } else {
        return -EAFNOSUPPORT;
    }
    *ret = a;
    return 0;
}

bool gr_address_within(const struct gr_address *a, const struct gr_address *range)
{
    for (unsigned i = 0; i < range->prefix; i++)
        if (bit(a, i) != bit(range, i))
            return false;
    return true;
}

// The first range that holds the address decides, so narrower ones stand first.
static const struct {
    const char *range, *kind;
} SPECIAL[] = {
    {"0.0.0.0/8", "unspecified"},
    {"10.0.0.0/8", "private"},
    {"100.64.0.0/10", "carrier-grade NAT"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"},
    {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "protocol assignment"},
    {"192.0.2.0/24", "documentation"},
    {"192.88.99.0/24", "6to4 relay"},
    {"192.168.0.0/16", "private"},
    {"198.18.0.0/15", "benchmarking"},
    {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"},
    {"::ffff:0:0/96", NULL}, // any other IPv4 address is public
    {"::/128", "unspecified"},
    {"::1/128", "loopback"},
    {"::/96", "IPv4-compatible"},
    {"64:ff9b:1::/48", "local NAT64"},
    {"100::/64", "discard-only"},
    {"2001::/32", "Teredo"},
    {"2001:db8::/32", "documentation"},
    {"2001::/23", "protocol assignment"},
    {"2002::/16", "6to4"},
    {"2000::/3", NULL}, // global unicast
    {"fc00::/7", "unique local"},
    {"fe80::/10", "link-local"},
    {"fec0::/10", "site-local"},
    {"ff00::/8", "multicast"},
};

const char *gr_address_special(const struct gr_address *a)
{
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    struct gr_address carried = *a;
    if (memcmp(a->bytes, nat64, sizeof nat64) == 0)
        memcpy(carried.bytes, MAPPED, sizeof MAPPED);
    for (size_t i = 0; i < GR_COUNT(SPECIAL); i++) {
        struct gr_address range;
        if (gr_address_parse(SPECIAL[i].range, &range) == 0 && gr_address_within(&carried, &range))
            return SPECIAL[i].kind;
    }
    return "reserved";
}
