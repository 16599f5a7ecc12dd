// Between C and Go: what Go cannot do by itself, because it cannot call a function pointer.
#pragma once
#include <grayling/module.h>

void grayling_go_log(const struct grayling_host *host, int32_t level, const char *message);
void grayling_go_count(const struct grayling_host *host, const char *name, uint64_t add);
int32_t grayling_go_respond(const struct grayling_host *host, struct grayling_call *call,
                            const void *data, uint64_t size);
void grayling_go_fail(const struct grayling_host *host, struct grayling_call *call,
                      const char *message);
uint64_t grayling_go_time_left(const struct grayling_host *host, struct grayling_call *call);
int32_t grayling_go_call(const struct grayling_host *host, struct grayling_call *call,
                         const char *interface_name, const char *method_name, const void *data,
                         uint64_t size, struct grayling_bytes *ret);
