// The routes of the control socket, and the life of both servers.
#include "control/control-api.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "control/admin-token.h"
#include "control/control-routes.h"
#include "control/listeners.h"
#include "control/streams.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct gr_route routes[] = {
    {"GET", "/v1/status", gr_get_status},
    {"GET", "/v1/modules", gr_get_modules},
    {"GET", "/v1/modules/{}", gr_get_module},
    {"GET", "/v1/history", gr_get_history},
    {"GET", "/v1/events", gr_get_events},
    {"GET", "/v1/rollouts/{}/verdicts", gr_get_verdicts},
    {"GET", "/v1/quarantine", gr_get_quarantine},
    {"GET", "/v1/config", gr_get_config},
    {"POST", "/v1/plan", gr_post_plan},
    {"POST", "/v1/modules/{}/undo", gr_post_undo},
    {"POST", "/v1/modules/{}/promote", gr_post_promote},
    {"POST", "/v1/modules/{}/pause", gr_post_pause},
    {"POST", "/v1/modules/{}/resume", gr_post_resume},
    {"POST", "/v1/modules/{}/abort", gr_post_abort},
    {"POST", "/v1/modules/{}/retry", gr_post_retry},
    {"POST", "/v1/quarantine/{}/lift", gr_post_lift},
    {"POST", "/v1/worker/replace", gr_post_replace_worker},
    {"POST", "/v1/profile", gr_post_profile},
    {"GET", "/v1/profile/{}", gr_get_profile},
    {"POST", "/v1/freeze", gr_post_freeze},
    {"POST", "/v1/thaw", gr_post_thaw},
    {"POST", "/v1/source/accept-rewind", gr_post_accept_rewind},
    {"POST", "/v1/safe-mode/leave", gr_post_leave_safe_mode},
};

static void handle(void *userdata, const struct gr_http_request *q, struct gr_http_reply *ret)
{
    gr_route_dispatch(userdata, routes, GR_COUNT(routes), q, ret);
}

static int start_local(struct gr_control *c, struct gr_error *e)
{
    GR_AUTO_FREE char *address = NULL, *real = NULL;
    int fd = -1, r = gr_fs_mkdir_all(c->runtime_dir, 0755);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "cannot make the runtime directory %s: %s; check RuntimeDirectory",
                            c->runtime_dir, strerror(-r));
    if (asprintf(&address, "unix:%s/control.sock", c->runtime_dir) < 0)
        address = NULL;
    GR_AUTO_FREE char *path = address ? strdup(address + strlen("unix:")) : NULL;
    if (!path)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL,
                            "cannot open the control socket: out of memory");
    r = gr_listener_open_one(address, &fd, &real, e);
    if (r < 0)
        return r;
    r = gr_http_server_new(c->event, fd, handle, c, &c->local, e);
    if (r < 0)
        unlink(path);
    else
        c->socket_path = gr_steal(path);
    return r;
}

// What serves needs no control socket, and a host whose /run is full must be able to start.
static bool lacks_room(int r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EROFS;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *u)
{
    struct gr_control *c = u;
    struct gr_error e = {0};
    int r = start_local(c, &e);
    if (r < 0) {
        r = sd_event_source_set_time(s, usec + GR_CONTROL_RETRY_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    }
    c->retry = sd_event_source_disable_unref(c->retry);
    c->trouble = (struct gr_error){0};
    if (c->ops.reachable)
        c->ops.reachable(c->ops.userdata);
    return 0;
}

static int start_local_or_wait(struct gr_control *c, struct gr_error *e)
{
    struct gr_error why = {0};
    int r = start_local(c, &why);
    if (!lacks_room(r)) {
        if (r < 0 && e)
            *e = why;
        return r;
    }
    gr_error_set(&c->trouble, r, GR_REASON_DISK_FULL,
                 "there is no control socket: %s has no room for it (%s); expected it to be "
                 "writable. What is in force serves, and grayctl cannot reach this host. Make room "
                 "there; the socket is tried again by itself",
                 c->runtime_dir, strerror(-r));
    r = sd_event_add_time_relative(c->event, &c->retry, CLOCK_MONOTONIC, GR_CONTROL_RETRY_USEC,
                                   GR_CONTROL_RETRY_USEC / 4, on_retry, c);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "no timer for the control socket: %s",
                                strerror(-r))
                 : 0;
}

static int start_admin(struct gr_control *c, sd_event *event,
                       const struct gr_control_config *config, struct gr_error *e)
{
    int fd = -1, r = gr_streams_new(event, c, &c->streams);
    if (r >= 0 && config->admin_hosts && !(c->admin_hosts = strdup(config->admin_hosts)))
        r = -ENOMEM;
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "cannot open the admin address: %s",
                            strerror(-r));
    if (config->admin_token_file)
        r = gr_admin_token_load(config->admin_token_file, &c->admin_token, e);
    if (r < 0)
        return r;
    if (config->admin_token_file && !(c->admin_token_file = strdup(config->admin_token_file)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL,
                            "cannot open the admin address: out of memory");
    r = gr_listener_open_one(config->admin_listen, &fd, &c->admin_address, e);
    return r < 0 ? r : gr_http_server_new(event, fd, gr_admin_handle, c, &c->admin, e);
}

int gr_control_start(sd_event *event, const struct gr_control_config *config,
                     struct gr_control **ret, struct gr_error *e)
{
    GR_CLEANUP(gr_control_freep) struct gr_control *c = calloc(1, sizeof *c);
    if (!c)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL,
                            "cannot open the control socket: out of memory");
    c->ops = *config->ops;
    c->generation =
        (uint64_t)gr_wall_now()
            .usec; // another one after each start, so that nobody waits on an old number
    c->event = sd_event_ref(event);
    if (config->runtime_dir && !(c->runtime_dir = strdup(config->runtime_dir)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL,
                            "cannot open the control socket: out of memory");
    int r = c->runtime_dir ? start_local_or_wait(c, e) : 0;
    if (r >= 0 && config->admin_listen)
        r = start_admin(c, event, config, e);
    if (r < 0)
        return r;
    *ret = gr_steal(c);
    return 0;
}

void gr_control_free(struct gr_control *c)
{
    if (!c)
        return;
    sd_event_source_disable_unref(c->retry);
    gr_http_server_free(c->admin);
    gr_http_server_free(c->local);
    gr_streams_free(c->streams);
    if (c->socket_path)
        unlink(c->socket_path);
    free(c->socket_path);
    free(c->runtime_dir);
    sd_event_unref(c->event);
    free(c->admin_address);
    free(c->admin_hosts);
    free(c->admin_token_file);
    gr_admin_token_free(c->admin_token);
    free(c);
}

// Nothing that is open has to be ended: streams only read, as anybody may, and an order is compared
// when it is complete.
int gr_control_reload_token(struct gr_control *c, struct gr_error *e)
{
    char *fresh = NULL;
    int k = c->admin_token_file ? gr_admin_token_load(c->admin_token_file, &fresh, e) : 0;
    if (k < 0 || !fresh)
        return k;
    bool other = strcmp(fresh, c->admin_token) != 0;
    gr_admin_token_free(c->admin_token);
    c->admin_token = fresh;
    return other;
}

void gr_control_notify(struct gr_control *c)
{
    c->generation++;
    if (c->local)
        gr_http_server_wake(c->local);
    if (c->admin) {
        gr_streams_notify(c->streams);
        gr_http_server_wake(c->admin);
    }
}

const char *gr_control_trouble(const struct gr_control *c)
{
    return c->trouble.message;
}

const char *gr_control_admin_address(const struct gr_control *c)
{
    return c->admin_address;
}

const char *gr_control_socket_path(const struct gr_control *c)
{
    return c->socket_path;
}
