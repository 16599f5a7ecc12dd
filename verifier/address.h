// What kind of network an address belongs to, and whether it lies in a named range. Pure: looks at
// the bytes of a sockaddr, never at the network. Registries: RFC 6890 (IPv4 and IPv6 special
// purposes).
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

// An address or a range; IPv4 is kept in its v4-mapped form, so that one comparison serves both.
struct gr_address {
    uint8_t bytes[16];
    unsigned prefix; // 0..128; 128: one address
};

// "10.0.0.0/8", "127.0.0.1", "fd00::/8", "::1". Fails: -EINVAL (also host bits beyond the prefix).
GR_MUST_CHECK int gr_address_parse(const char *text, struct gr_address *ret);
// Fails: -EAFNOSUPPORT for anything but AF_INET and AF_INET6, -EINVAL for a short one.
GR_MUST_CHECK int gr_address_from_sockaddr(const struct sockaddr *sa, socklen_t len,
                                           struct gr_address *ret);
bool gr_address_within(const struct gr_address *a, const struct gr_address *range);

// NULL: a public unicast address. Else the kind of network in words ("loopback", "private", ...).
// Addresses that carry an IPv4 address (v4-mapped, NAT64) are judged by what they carry.
const char *gr_address_special(const struct gr_address *a);
