// Private to the servers of control/: the routes' handlers and what they share.
#pragma once
#include "base/clock.h"
#include "control/control-api.h"
#include "control/http-server.h"

struct gr_streams;
struct gr_control {
    struct gr_control_ops ops;
    struct gr_http_server *local, *admin;
    struct gr_streams *streams; // of the admin address
    char *socket_path, *admin_address, *admin_hosts;
    sd_event *event;
    char *runtime_dir;
    sd_event_source *retry;               // while there is no room for the control socket
    struct gr_error trouble;              // ... and why
    char *admin_token_file, *admin_token; // NULL: no orders there
    struct gr_mono denied;                // when a wrong one was told of last
    uint64_t generation; // changes with every notify and with every start of the daemon
};

// `arg` is what stood in the path for "{}", or NULL.
typedef void gr_route_handler(struct gr_control *c, const struct gr_http_request *q,
                              const char *arg, struct gr_http_reply *ret);
struct gr_route {
    const char *method, *pattern; // "/v1/modules/{}/undo"
    gr_route_handler *handler;
};
// Finds the route and calls it; 404 and 405 with a sentence otherwise.
void gr_route_dispatch(struct gr_control *c, const struct gr_route *routes, size_t n,
                       const struct gr_http_request *q, struct gr_http_reply *ret);
// {"reason","message","retryable"} with the status that fits the code.
void gr_route_error(struct gr_http_reply *ret, const struct gr_error *e);
void gr_route_refuse(struct gr_http_reply *ret, int code, const char *format, ...) GR_PRINTF(3, 4);
// Wait asked for by ?wait=; false: malformed, and *ret is the refusal.
bool gr_route_wait(const struct gr_http_request *q, uint64_t *ret_usec, struct gr_http_reply *ret);

gr_route_handler gr_get_status, gr_get_modules, gr_get_module, gr_get_history, gr_get_events,
    gr_get_quarantine, gr_get_config, gr_get_verdicts;
gr_route_handler gr_post_plan, gr_post_undo, gr_post_lift, gr_post_replace_worker, gr_post_freeze,
    gr_post_thaw, gr_post_accept_rewind, gr_post_promote, gr_post_pause, gr_post_resume,
    gr_post_abort, gr_post_retry, gr_post_leave_safe_mode;
gr_route_handler gr_post_profile, gr_get_profile;
gr_route_handler gr_get_dashboard, gr_get_dashboard_file, gr_get_stream;
// The admin address: reading for everybody, orders for whoever has the token.
void gr_admin_handle(void *userdata, const struct gr_http_request *q, struct gr_http_reply *ret);
