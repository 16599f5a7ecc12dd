// Two clocks that do not mix: monotonic for durations and deadlines, wall for what people read.
#pragma once
#include "base/macros.h"
#include <stdint.h>

struct gr_mono {
    uint64_t usec;
}; // CLOCK_MONOTONIC
struct gr_wall {
    int64_t usec;
}; // since the epoch, UTC

#define GR_USEC_PER_MSEC 1000ull
#define GR_USEC_PER_SEC 1000000ull
#define GR_USEC_INFINITY UINT64_MAX

struct gr_mono gr_mono_now(void);
struct gr_wall gr_wall_now(void);
// "2026-11-24T05:06:07.123456Z"; buf of GR_WALL_TEXT_MAX bytes.
#define GR_WALL_TEXT_MAX 32
const char *gr_wall_format(struct gr_wall t, char buf[GR_WALL_TEXT_MAX]);
// That form, with or without a fraction. Fails: -EINVAL.
GR_MUST_CHECK int gr_wall_parse(const char *text, struct gr_wall *ret);
// "50ms", "5m", "1h30m", "10s", "250us"; plain "0" too. Fails: -EINVAL malformed, -ERANGE overflow.
GR_MUST_CHECK int gr_duration_parse(const char *text, uint64_t *ret_usec);
// Shortest exact form with at most two units, "1m30s", "50ms".
const char *gr_duration_format(uint64_t usec, char buf[32]);
