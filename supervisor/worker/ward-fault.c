// Why the process of an isolated version ended, from what there is: our own verdict on a call that
// did not come back, what the process said itself, what its dying handler wrote into the shared
// statistics, who was inside which call, and how it ended. All but the first was written by a
// process that runs module code.
#include "worker/ward.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char *file_name(const struct ward *w)
{
    const char *slash = strrchr(w->path, '/');
    return slash ? slash + 1 : w->path;
}

// "com.example.pay.PayService/Charge", of which the statistics keep the end.
static void split_method(struct ward_fault *f, const char *full)
{
    const char *slash = strrchr(full, '/');
    if (!slash)
        return;
    snprintf(f->interface_name, sizeof f->interface_name, "%.*s", (int)(slash - full), full);
    snprintf(f->method_name, sizeof f->method_name, "%s", slash + 1);
}

static void take_evidence(const struct ward *w, const struct gr_evidence *ev, struct ward_fault *f)
{
    char method[sizeof ev->method];
    f->fault.kind = GR_FAULT_SIGNAL;
    f->fault.signal = ev->signal;
    f->fault.address = ev->address;
    snprintf(method, sizeof method, "%.*s", (int)sizeof ev->method - 1, ev->method);
    split_method(f, method);
    snprintf(f->request_id, sizeof f->request_id, "%.*s", (int)sizeof ev->request_id - 1,
             ev->request_id);
    for (uint32_t i = 0; i < ev->n_frames; i++) {
        char *frame = f->texts.frames[f->fault.n_frames++];
        if (ev->frame_slot[i] == 0)
            snprintf(frame, sizeof f->texts.frames[0], "%.70s+0x%llx", file_name(w),
                     (unsigned long long)ev->frame_offset[i]);
        else
            snprintf(frame, sizeof f->texts.frames[0], "0x%llx",
                     (unsigned long long)ev->frame_offset[i]);
    }
}

// A hook of state that was under way, where no call is known to have been.
static void take_hook(const struct ward *w, struct ward_fault *f)
{
    if (w->hook && !w->hook->done && !f->method_name[0])
        snprintf(f->method_name, sizeof f->method_name, "%s()",
                 w->hook->of->import ? "import_state" : "export_state");
}

// Whoever was inside when it ended: the only one is named, of several none.
static void take_call(const struct ward *w, struct ward_fault *f)
{
    struct gr_in_call calls[2];
    if (gr_stats_in_calls(w->stats, calls, GR_COUNT(calls)) != 1)
        return;
    split_method(f, calls[0].method);
    snprintf(f->request_id, sizeof f->request_id, "%s", calls[0].request_id);
}

static bool judge(const struct ward *w, bool by_signal, int status, struct ward_fault *f)
{
    struct gr_evidence ev;
    if (w->late.is) {
        f->fault.kind = GR_FAULT_TIMEOUT;
        snprintf(f->detail, sizeof f->detail, "the call did not return by its deadline");
        snprintf(f->interface_name, sizeof f->interface_name, "%s", w->late.interface_name);
        snprintf(f->method_name, sizeof f->method_name, "%s", w->late.method_name);
        snprintf(f->request_id, sizeof f->request_id, "%s", w->late.request_id);
    } else if (w->stats && gr_stats_evidence(w->stats, &ev)) {
        take_evidence(w, &ev, f);
    } else if (by_signal && (status == SIGKILL || status == SIGTERM)) {
        return false;
    } else {
        f->fault.kind = by_signal ? GR_FAULT_SIGNAL : GR_FAULT_EXIT;
        f->fault.signal = by_signal ? status : 0;
        if (!by_signal)
            snprintf(f->detail, sizeof f->detail, "the module ended its process with status %d",
                     status);
        take_call(w, f);
    }
    take_hook(w, f);
    return true;
}

bool gr_ward_blame(const struct ward *w, bool by_signal, int status, struct ward_fault *ret)
{
    *ret = (struct ward_fault){.fault.kind = GR_FAULT_EXIT};
    struct gr_fault *f = &ret->fault;
    bool said = !w->late.is && w->fault && gr_fault_read(w->fault, f, &ret->texts) == 0;
    if (!said) {
        f->detail = ret->detail;
        f->interface_name = ret->interface_name;
        f->method_name = ret->method_name;
        f->request_id = ret->request_id;
        f->frames = (const char(*)[96])ret->texts.frames;
        if (!judge(w, by_signal, status, ret))
            return false;
    }
    f->build_id = w->build_id;
    f->slot = w->slot;
    f->pid = w->pid;
    return true;
}
