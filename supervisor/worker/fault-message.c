// Both directions of a fault's message side by side.
#include "worker/fault-message.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

cJSON *gr_fault_message(const struct gr_fault *f)
{
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
    char address[24], signal[24] = "";
    snprintf(address, sizeof address, "0x%llx", (unsigned long long)f->address);
    if (f->signal)
        snprintf(signal, sizeof signal, "SIG%s",
                 sigabbrev_np(f->signal) ? sigabbrev_np(f->signal) : "?");
    cJSON *frames = cJSON_AddArrayToObject(m, "frames");
    if (!frames || !cJSON_AddStringToObject(m, "type", "fault") ||
        !cJSON_AddNumberToObject(m, "instance", f->slot) ||
        !cJSON_AddNumberToObject(m, "apart", f->pid) ||
        !cJSON_AddStringToObject(m, "kind", gr_fault_kind_name(f->kind)) ||
        !cJSON_AddStringToObject(m, "signal", signal) ||
        !cJSON_AddStringToObject(m, "address", address) ||
        !cJSON_AddStringToObject(m, "detail", f->detail) ||
        !cJSON_AddStringToObject(m, "build_id", f->build_id) ||
        !cJSON_AddStringToObject(m, "interface", f->interface_name) ||
        !cJSON_AddStringToObject(m, "method", f->method_name) ||
        !cJSON_AddStringToObject(m, "request_id", f->request_id))
        return NULL;
    for (size_t i = 0; i < f->n_frames; i++)
        cJSON_AddItemToArray(frames, cJSON_CreateString(f->frames[i]));
    return gr_steal(m);
}

static int read_kind(const cJSON *m, enum gr_fault_kind *ret)
{
    const char *kind;
    if (gr_json_string(m, "", "kind", GR_JSON_REQUIRED, &kind, NULL) < 0)
        return -EINVAL;
    for (unsigned k = 0; k < GR_FAULT_KINDS; k++)
        if (strcmp(gr_fault_kind_name((enum gr_fault_kind)k), kind) == 0) {
            *ret = (enum gr_fault_kind)k;
            return 0;
        }
    return -EINVAL;
}

// 0: of no name that this system knows.
static int number_of(const char *name)
{
    for (int n = 1; n < NSIG; n++) {
        const char *known = sigabbrev_np(n);
        if (known && strncmp(name, "SIG", 3) == 0 && strcmp(known, name + 3) == 0)
            return n;
    }
    return 0;
}

int gr_fault_read(const cJSON *m, struct gr_fault *ret, struct gr_fault_texts *texts)
{
    const char *signal = "", *address = "0x0";
    struct gr_fault f = {.detail = "",
                         .build_id = "",
                         .interface_name = "",
                         .method_name = "",
                         .request_id = "",
                         .frames = (const char(*)[96])texts->frames};
    const struct {
        const char *name, **at;
    } fields[] = {
        {"signal", &signal},           {"address", &address},      {"detail", &f.detail},
        {"build_id", &f.build_id},     {"method", &f.method_name}, {"interface", &f.interface_name},
        {"request_id", &f.request_id},
    };
    int r = read_kind(m, &f.kind);
    for (size_t i = 0; i < GR_COUNT(fields) && r == 0; i++)
        r = gr_json_string(m, "", fields[i].name, GR_JSON_OPTIONAL, fields[i].at, NULL);
    if (r < 0)
        return -EINVAL;
    f.signal = number_of(signal);
    f.address = strtoull(address, NULL, 16);
    const cJSON *frame;
    cJSON_ArrayForEach(frame, gr_json_get(m, "frames"))
    {
        if (f.n_frames < GR_COUNT(texts->frames) && cJSON_IsString(frame))
            snprintf(texts->frames[f.n_frames++], sizeof texts->frames[0], "%s",
                     frame->valuestring);
    }
    *ret = f;
    return 0;
}
