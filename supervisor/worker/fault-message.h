// A fault as the channel says it (base/channel.h): to the supervisor, and from a process that holds
// one version to the worker.
#pragma once
#include "base/json.h"
#include "dispatch/dispatch.h"

// NULL: out of memory.
cJSON *gr_fault_message(const struct gr_fault *f);

// What gr_fault_read() points into.
struct gr_fault_texts {
    char frames[GR_EVIDENCE_FRAMES][96];
};
// The other way; the message was written by a process that runs module code. *ret points into it
// and into *texts. Fails: -EINVAL.
GR_MUST_CHECK int gr_fault_read(const cJSON *m, struct gr_fault *ret, struct gr_fault_texts *texts);
