// Whether this build carries a sanitizer, which needs terabytes of address space and its own signal
// habits.
#pragma once
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GR_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GR_SANITIZED 1
#endif
#endif
#ifndef GR_SANITIZED
#define GR_SANITIZED 0
#endif
