// The seventeen status codes of gRPC and Connect (connectrpc.com/docs/protocol, "Error codes") by
// name.
#pragma once

#define GR_CODE_NAMES(X)                                                                           \
    X("ok")                                                                                        \
    X("canceled")                                                                                  \
    X("unknown")                                                                                   \
    X("invalid_argument")                                                                          \
    X("deadline_exceeded")                                                                         \
    X("not_found")                                                                                 \
    X("already_exists")                                                                            \
    X("permission_denied")                                                                         \
    X("resource_exhausted")                                                                        \
    X("failed_precondition")                                                                       \
    X("aborted")                                                                                   \
    X("out_of_range")                                                                              \
    X("unimplemented")                                                                             \
    X("internal")                                                                                  \
    X("unavailable")                                                                               \
    X("data_loss")                                                                                 \
    X("unauthenticated")

// "unavailable" for 14; "unknown" for what is no code. Static storage.
const char *gr_code_name(unsigned code);
