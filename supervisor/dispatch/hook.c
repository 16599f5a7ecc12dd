// Runs a hook of a version under the fault guard, on a thread that is inside no call.
#include "dispatch/internal.h"
#include <stdio.h>

// All that is known of where it crashed, as a line of the version's log; the sentence of whoever
// asked names the first frame only.
static void log_frames(const struct gr_instance *i, const char *hook,
                       const struct gr_caught *caught)
{
    const struct gr_dispatch_options *o = &i->dispatch->options;
    char text[1024];
    int len =
        caught->kind == GR_FAULT_SIGNAL
            ? snprintf(text, sizeof(text), "%s() crashed with signal %d at address 0x%llx:", hook,
                       caught->signal, (unsigned long long)caught->address)
            : snprintf(text, sizeof(text), "%s() crashed with %.160s:", hook, caught->detail);
    for (size_t n = 0; n < caught->n_frames && (size_t)len < sizeof(text); n++) {
        char frame[96];
        gr_guard_frame_text(caught->frames[n], frame);
        len += snprintf(text + len, sizeof(text) - (size_t)len, " %s", frame);
    }
    if (o->on_log)
        o->on_log(o->userdata, i->slot, GRAYLING_LOG_ERROR, text);
}

bool gr_hook_run(struct gr_instance *i, const char *hook, int32_t (*fn)(void *), void *arg,
                 int32_t *ret_code, char where[GR_HOOK_WHERE_MAX])
{
    struct gr_guard_self *self = gr_guard_of_thread();
    bool borrowed = self != NULL;
    if (!borrowed && gr_guard_enter(-1, &self) < 0) {
        *ret_code = GRAYLING_RESOURCE_EXHAUSTED;
        return true;
    }
    bool sound = gr_guard_run(self, fn, arg, ret_code);
    if (!sound) {
        char frame[96];
        gr_guard_frame_text(self->caught.frames[0], frame);
        if (self->caught.kind == GR_FAULT_SIGNAL)
            snprintf(where, GR_HOOK_WHERE_MAX, "signal %d at %s", self->caught.signal, frame);
        else
            snprintf(where, GR_HOOK_WHERE_MAX, "%.60s at %s", self->caught.detail, frame);
        atomic_store(&i->faulted, true);
        log_frames(i, hook, &self->caught);
    }
    if (!borrowed)
        gr_guard_leave();
    return sound;
}
