// What a client says that it has and that it can read: If-None-Match and Accept-Encoding (RFC
// 9110). Pure.
#pragma once
#include <stdbool.h>

// Whether the value of If-None-Match (NULL: absent) names the entity tag, which is given with its
// quotes, or all by "*". A weak tag ("W/...") counts as the strong one, as it does for this header.
bool gr_http_has_etag(const char *if_none_match, const char *etag);
// Whether a body in the coding ("gzip") may be sent, by the value of Accept-Encoding (NULL: absent,
// then none may). A coding that is named goes before "*"; a weight of 0 forbids, and one that is
// not a number is taken for 0.
bool gr_http_accepts_coding(const char *accept_encoding, const char *coding);
