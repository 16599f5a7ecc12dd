// A text of a worker that lies: read whole or refused, and every frame that was read can be looked
// up.
#include "cli/profile/recording.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gr_recording r;
    struct gr_error e = {0};
    if (gr_recording_parse((const char *)data, size, &r, &e) < 0)
        return 0;
    for (size_t i = 0; i < r.n_stacks; i++)
        for (size_t k = 0; k < r.stacks[i].n; k++)
            (void)gr_recording_find(&r, &r.frames[r.stacks[i].first + k]);
    gr_recording_done(&r);
    return 0;
}
