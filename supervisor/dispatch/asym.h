// The asymmetric Dekker pair of dispatch: callers publish with a plain store, the rare writer pays
// with membarrier(2).
//
//   caller: gr_asym_publish(&mine, v);  then load what the writer stores
//   writer: gr_asym_store(&theirs, v);  gr_asym_heavy();  then load what callers publish
//
// At least one of the two sees the other's store. ThreadSanitizer does not know membarrier: there
// both sides are sequentially consistent, which has the same meaning and costs only time.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define GR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(GR_TSAN)
#define GR_TSAN 1
#endif

extern bool gr_asym_fences; // no membarrier here: callers pay with a fence

// Before the first publish; decides once per process between membarrier and fences.
void gr_asym_init(void);

#ifdef GR_TSAN
#define GR_ASYM_STORE_ORDER memory_order_seq_cst
#define GR_ASYM_LOAD_ORDER memory_order_seq_cst
static inline void gr_asym_light(void) {}
#else
#define GR_ASYM_STORE_ORDER memory_order_release
#define GR_ASYM_LOAD_ORDER memory_order_acquire
static inline void gr_asym_light(void)
{
    if (__builtin_expect(gr_asym_fences, 0))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
}
#endif

void gr_asym_heavy(void);

#define gr_asym_load(p) atomic_load_explicit((p), GR_ASYM_LOAD_ORDER)
#define gr_asym_store(p, v) atomic_store_explicit((p), (v), GR_ASYM_STORE_ORDER)
#define gr_asym_publish(p, v)                                                                      \
    do {                                                                                           \
        gr_asym_store((p), (v));                                                                   \
        gr_asym_light();                                                                           \
    } while (0)
