// What a request was and how it was answered. Never a header, a body or a query: they hold secrets.
#include "worker/access-log.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>

#define PATH_SHOWN 512

void gr_access_log(const struct gr_exchange *x, const char *method, const char *path)
{
    char message[PATH_SHOWN + 96], shown[PATH_SHOWN], status[16], took[24];
    uint64_t usec = gr_mono_now().usec - x->received.usec;
    const struct gr_response *by = x->called ? &x->response : NULL;
    snprintf(shown, sizeof shown, "%s", path);
    snprintf(status, sizeof status, "%u", x->status);
    snprintf(took, sizeof took, "%" PRIu64, usec);
    snprintf(message, sizeof message, "%.16s %s %s %s us", method, shown, status, took);
    const struct gr_event_field fields[] = {
        {"GRAYLING_HTTP_METHOD", "http_method", method},
        {"GRAYLING_PATH", "path", shown},
        {"GRAYLING_STATUS", "status", status},
        {"GRAYLING_DURATION_USEC", "duration_usec", took},
        {"GRAYLING_ROLE", "role",
         !by || !by->module[0] ? ""
         : by->candidate       ? "candidate"
                               : "stable"},
        {"GRAYLING_REQUEST_ID", "request_id", x->request_id},
    };
    gr_log_event(&(struct gr_event){.level = GR_LOG_INFO,
                                    .module = by && by->module[0] ? by->module : NULL,
                                    .version = by && by->module[0] ? by->version : NULL,
                                    .message = message,
                                    .n_fields = GR_COUNT(fields),
                                    .fields = fields});
}
