// The admin address: metrics, health, status and the dashboard. Read-only, because anybody who can
// reach the port may ask.
#include "base/limits.h"
#include "control/admin-guard.h"
#include "control/control-routes.h"
#include "control/metrics.h"
#include "control/view-json.h"
#include <errno.h>
#include <string.h>

static void get_metrics(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                        struct gr_http_reply *ret)
{
    enum gr_metrics_dialect dialect = gr_metrics_dialect_of(gr_http_header(q, "Accept"));
    GR_AUTO_BUF struct gr_buf text = GR_BUF(GR_METRICS_BYTES_MAX);
    (void)arg;
    int r = gr_metrics_format(c->ops.view(c->ops.userdata), dialect, &text);
    if (r < 0) {
        gr_route_refuse(ret, r, "cannot render the metrics: %s", strerror(-r));
        return;
    }
    *ret = (struct gr_http_reply){.status = 200, .content_type = gr_metrics_content_type(dialect)};
    ret->body = gr_buf_take(&text, &ret->body_len);
}

static void reply_word(struct gr_http_reply *ret, unsigned status, const char *word)
{
    char *body = strdup(word);
    *ret = (struct gr_http_reply){.status = status,
                                  .content_type = "text/plain; charset=utf-8",
                                  .body = body,
                                  .body_len = body ? strlen(body) : 0};
}

static void get_healthy(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                        struct gr_http_reply *ret)
{
    (void)c, (void)q, (void)arg;
    reply_word(ret, 200, "ok\n");
}

static void get_ready(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                      struct gr_http_reply *ret)
{
    const char *phase = c->ops.view(c->ops.userdata)->phase;
    (void)q, (void)arg;
    bool ready = !strcmp(phase, "Serving") || !strcmp(phase, "Degraded");
    reply_word(ret, ready ? 200 : 503, ready ? "ok\n" : "not ready\n");
}

static const struct gr_route routes[] = {
    {"GET", "/metrics", get_metrics},
    {"GET", "/-/healthy", get_healthy},
    {"GET", "/-/ready", get_ready},
    {"GET", "/", gr_get_dashboard},
    {"GET", "/dashboard/{}", gr_get_dashboard_file},
    {"GET", "/v1/stream", gr_get_stream},
    {"GET", "/v1/status", gr_get_status},
    {"GET", "/v1/modules", gr_get_modules},
    {"GET", "/v1/modules/{}", gr_get_module},
    {"GET", "/v1/history", gr_get_history},
    {"GET", "/v1/rollouts/{}/verdicts", gr_get_verdicts},
    {"GET", "/v1/quarantine", gr_get_quarantine},
};

// A name that was made to point here would let a foreign page read what is served. Scrapers and
// probes, which no page can pose as to any use, may call this host what they like.
static bool is_for_us(const struct gr_control *c, const struct gr_http_request *q)
{
    return !strcmp(q->path, "/metrics") || !strncmp(q->path, "/-/", 3) ||
           !strncmp(c->admin_address, "unix:", 5) ||
           gr_admin_host_is_ours(gr_http_header(q, "Host"), c->admin_address, c->admin_hosts);
}

void gr_admin_handle(void *userdata, const struct gr_http_request *q, struct gr_http_reply *ret)
{
    struct gr_control *c = userdata;
    if (!is_for_us(c, q)) {
        gr_route_refuse(ret, -EPERM,
                        "this host does not go by the name %.128s; expected its address, "
                        "localhost, its host name, or one of [Admin] AllowHosts",
                        gr_http_header(q, "Host"));
        return;
    }
    gr_route_dispatch(userdata, routes, GR_COUNT(routes), q, ret);
}
