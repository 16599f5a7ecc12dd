// Samples of where the process's threads spend their processor time: each has a timer of its own
// clock, and whenever it runs out the thread notes its own stack.
//
// The handler takes no lock, allocates nothing and follows frame pointers; every word that it
// follows one to is copied by the kernel, which answers EFAULT where a load would fault, so that a
// stack that leads nowhere ends the sample and nothing else.
#pragma once
#include "base/limits.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

// A frame is an address, or of a module GR_SAMPLE_MODULE, the serial of its load (loads.h) and the
// place from its base.
#define GR_SAMPLE_MODULE (UINT64_C(1) << 63)
#define GR_SAMPLE_OFFSET_BITS 40
#define GR_SAMPLE_SERIAL_MAX ((1u << 23) - 1)
static inline uint32_t gr_sample_serial(uint64_t frame) // 0: it is an address
{
    return frame & GR_SAMPLE_MODULE
               ? (uint32_t)(frame >> GR_SAMPLE_OFFSET_BITS) & GR_SAMPLE_SERIAL_MAX
               : 0;
}
static inline uint64_t gr_sample_offset(uint64_t frame)
{
    return frame & GR_SAMPLE_MODULE ? frame & ((UINT64_C(1) << GR_SAMPLE_OFFSET_BITS) - 1) : frame;
}

struct gr_sample {
    uint64_t probe[2];  // where the kernel copies to: the caller's frame pointer, return address
    _Atomic uint32_t n; // of frames; 0: it was not finished
    uint64_t frames[GR_PROFILE_FRAMES_MAX]; // innermost first; of callers: inside their calls
};

struct gr_sampler;
// Begins, with a timer for each thread that there is, `hz` times a second of its processor time.
// At most `max` samples are kept. One at once in a process. Fails: -EALREADY; errno of what the
// system refused.
int gr_sampler_start(unsigned hz, size_t max, struct gr_sampler **ret);
// Gives timers to threads that began since. The thread that started it; so the rest.
void gr_sampler_look(struct gr_sampler *s);
// No sample begins any more. Those that have begun end soon: quiet tells.
void gr_sampler_stop(struct gr_sampler *s);
_Bool gr_sampler_is_quiet(void);
// Once stopped and quiet. *ret is borrowed.
size_t gr_sampler_samples(const struct gr_sampler *s, const struct gr_sample **ret);
uint64_t gr_sampler_lost(const struct gr_sampler *s); // samples without a place
// Once stopped and quiet. NULL is fine.
void gr_sampler_free(struct gr_sampler *s);
