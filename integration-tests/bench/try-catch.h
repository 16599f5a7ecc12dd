// try and catch around a call, for bench-guard.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
// The call's result; -1: it threw.
int32_t bench_try(int32_t (*call)(void *), void *arg);
int32_t bench_throw(void *arg); // throws arg's number; for bench_try()
#ifdef __cplusplus
}
#endif
