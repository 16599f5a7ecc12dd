// grayling-preflight: loads one candidate alone, initialises and tests it, releases it, and says
// how that went. It touches nothing; whatever the candidate does to this process is the verdict.
// Started by the supervisor only (verifier/preflight-wire.h).
#include "base/child.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/release.h"
#include "dispatch/dispatch.h"
#include "verifier/preflight-wire.h"
#include "verifier/sandbox/sandbox.h"
#include "verifier/sanitized.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#if GR_SANITIZED
// Under the address sanitizer signals keep their meaning (the parent judges by them), and nobody
// traces this process for leaks.
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
           "detect_leaks=0:allow_user_segv_handler=1";
}
#endif

static int read_request(cJSON **ret, struct gr_error *e)
{
    struct stat st;
    if (fstat(GR_PREFLIGHT_FD_REQUEST, &st) < 0 || st.st_size <= 0 ||
        st.st_size > GR_PREFLIGHT_REQUEST_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "grayling-preflight is started by the supervisor, which gives it a "
                            "request; use grayctl verify FILE.so");
    size_t len = (size_t)st.st_size;
    GR_AUTO_FREE char *text = malloc(len);
    if (!text || pread(GR_PREFLIGHT_FD_REQUEST, text, len, 0) != (ssize_t)len)
        return gr_error_set(e, -EIO, GR_REASON_INTERNAL, "the request cannot be read");
    return gr_json_parse(text, len, GR_PREFLIGHT_REQUEST_MAX, ret, e);
}

static void on_log(void *userdata, unsigned slot, int level, const char *message)
{
    (void)userdata, (void)slot;
    if (level <= GRAYLING_LOG_WARNING) // the parent quotes what stands here
        dprintf(STDERR_FILENO, "%s\n", message);
}

static int fill_load(const cJSON *request, struct gr_load *l, struct gr_error *e)
{
    *l = (struct gr_load){.fd = GR_PREFLIGHT_FD_MODULE, .preflight = true};
    int r = gr_json_string(request, "", "path", GR_JSON_REQUIRED, &l->path, e);
    if (r == 0)
        r = gr_json_string(request, "", "module", GR_JSON_REQUIRED, &l->module, e);
    if (r == 0)
        r = gr_json_string(request, "", "version", GR_JSON_REQUIRED, &l->version, e);
    if (r == 0)
        r = gr_json_string(request, "", "build_id", GR_JSON_REQUIRED, &l->build_id, e);
    if (r == 0)
        r = gr_json_string(request, "", "config", GR_JSON_OPTIONAL, &l->config, e);
    return r;
}

static int try_candidate(struct gr_error *e)
{
    GR_AUTO_JSON cJSON *request = NULL;
    struct gr_load load;
    struct gr_dispatch *dispatch;
    struct gr_instance *instance;
    struct gr_dispatch_options o = {.max_threads = 1, .on_log = on_log};
    int r = read_request(&request, e);
    if (r == 0)
        r = fill_load(request, &load, e);
    if (r == 0)
        r = gr_dispatch_new(&o, &dispatch, e);
    if (r < 0)
        return r;
    close(GR_PREFLIGHT_FD_REQUEST);
    r = gr_sandbox_enter(GR_PREFLIGHT_FD_VERDICT, load.path, e);
    if (r == 0)
        r = gr_instance_load(dispatch, &load, &instance, e);
    if (r ==
        0) // that it cannot be unmapped is no reason to refuse it; that releasing it crashes is one
        (void)!gr_instance_unload(dispatch, instance, 0);
    return r;
}

static int report(const struct gr_error *e)
{
    GR_AUTO_JSON cJSON *verdict = cJSON_CreateObject();
    if (e->reason == GR_REASON_NONE) {
        cJSON_AddTrueToObject(verdict, "ok");
    } else {
        cJSON_AddStringToObject(verdict, "reason", gr_reason_name(e->reason));
        cJSON_AddStringToObject(verdict, "message", e->message);
    }
    GR_AUTO_FREE char *text = gr_json_format(verdict);
    size_t len = text ? strlen(text) : 0;
    return len && write(GR_PREFLIGHT_FD_VERDICT, text, len) == (ssize_t)len ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct gr_error e = {0};
    if (gr_release_told(argc, argv, "grayling-preflight"))
        return 0;
    gr_program_take_name();
    if (try_candidate(&e) < 0 && e.reason == GR_REASON_NONE)
        gr_error_set(&e, -EINVAL, GR_REASON_INTERNAL, "preflight failed without a reason");
    _exit(report(&e)); // no exit handlers: the candidate may have left some
}
