// What a worker wrote of its samples (worker/profile.h has the form), read into values. A worker
// runs foreign code, so its text is foreign: nothing in it is believed further than it is checked.
#pragma once
#include "base/error.h"
#include "base/limits.h"
#include <stdint.h>

struct gr_recorded_image {              // code that is mapped, or a load of a module
    uint64_t start, end, base;          // of an image; a module has none of them
    uint32_t serial;                    // of a module; 0: it is an image
    const char *build_id, *name, *path; // "" unknown
};
struct gr_recorded_frame {
    uint32_t serial; // 0: address is one; else it is an offset in that load
    uint64_t address;
};
struct gr_recorded_stack {
    uint64_t count;
    size_t first, n; // in frames; innermost first
};
struct gr_recording {
    char *text; // which the strings are parts of
    struct gr_recorded_image *images;
    struct gr_recorded_frame *frames;
    struct gr_recorded_stack *stacks;
    size_t n_images, n_frames, n_stacks;
    int pid;
    unsigned hz;
    uint64_t usec, samples, lost;
};
// Copies the text. Fails: -EBADMSG with the line, -E2BIG, -ENOMEM.
GR_MUST_CHECK int gr_recording_parse(const char *text, size_t len, struct gr_recording *ret,
                                     struct gr_error *e);
void gr_recording_done(struct gr_recording *r);
// Which image a frame is of; NULL: none that was told.
const struct gr_recorded_image *gr_recording_find(const struct gr_recording *r,
                                                  const struct gr_recorded_frame *f);
