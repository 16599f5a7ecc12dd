// What every example does with an answer or a refusal: one line of text out, or a code and its
// sentence.
#pragma once
#include <grayling/module.h>
#include <stdint.h>

// Answers with formatted text, at most RESPOND_MAX bytes of it. Returns respond()'s code.
#define RESPOND_MAX 1024
__attribute__((format(printf, 3, 4))) int32_t
respond_text(const struct grayling_host *host, struct grayling_call *call, const char *format, ...);
// Sets the sentence and returns the code, so that `return respond_failure(...)` reads naturally.
__attribute__((format(printf, 4, 5))) int32_t respond_failure(const struct grayling_host *host,
                                                              struct grayling_call *call,
                                                              int32_t code, const char *format,
                                                              ...);
// The value of a request's header; NULL: it has none of that name.
const char *request_header(const struct grayling_request *request, const char *name);
