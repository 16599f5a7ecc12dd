// What Connect's unary protocol says about one request, as pure functions over its texts
// (connectrpc.com/docs/protocol). Knows no connection, no clock and no table of modules.
#pragma once
#include "base/contract.h"
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>

// HTTP status for a code 0..16; 500 for what is no code.
unsigned gr_connect_status(int32_t code);

// "/com.example.pay.PayService/Charge": two segments of [A-Za-z0-9_.] and [A-Za-z0-9_].
struct gr_connect_path {
    char interface_name[GR_INTERFACE_MAX + 1];
    char method_name[GR_METHOD_MAX + 1];
};
// Fails: -EINVAL (no such shape, or a name that no contract could hold).
GR_MUST_CHECK int gr_connect_path_parse(const char *path, struct gr_connect_path *ret);

// GRAYLING_CODEC_*; 0: not a type that is served. Parameters (charset) are allowed; NULL is none.
uint32_t gr_connect_codec(const char *content_type);
const char *gr_connect_content_type(uint32_t codec);

// "connect-timeout-ms": one to ten digits. Fails: -EINVAL.
GR_MUST_CHECK int gr_connect_timeout_parse(const char *text, uint64_t *ret_usec);

// A caller's request id may go into logs: one to GR_REQUEST_ID_MAX of [A-Za-z0-9._-].
#define GR_REQUEST_ID_MAX 39
bool gr_connect_request_id_ok(const char *text);

// {"code":"...","message":"..."}; bytes that are no UTF-8 become '?'. Caller frees. NULL: out of
// memory.
char *gr_connect_error_body(int32_t code, const char *message);
