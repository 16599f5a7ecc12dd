// The client: its configuration, the present endpoint, its token, and the requests that others may
// make.
#include "base/clock.h"
#include "base/fs.h"
#include "watchers/etcd-internal.h"
#include <errno.h>
#include <string.h>

#define PASSWORD_BYTES_MAX 1024
#define URL_BYTES_MAX 2048

static int copy_text(char **ret, const char *text)
{
    *ret = text && *text ? strdup(text) : NULL;
    return *ret || !text || !*text ? 0 : -ENOMEM;
}

static int copy_endpoint(const char *text, char **ret, struct gr_error *e)
{
    size_t len = strlen(text);
    bool http = !strncmp(text, "http://", 7) && len > 7;
    bool https = !strncmp(text, "https://", 8) && len > 8;
    if ((!http && !https) || len > URL_BYTES_MAX || strpbrk(text, " ?#@"))
        return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_UNREACHABLE,
                            "\"%.200s\" is no etcd endpoint: expected http://HOST:PORT or "
                            "https://HOST:PORT without user or query. Put the user into [Etcd] "
                            "User.",
                            text);
    while (text[len - 1] == '/')
        len--;
    *ret = strndup(text, len);
    return *ret ? 0 : -ENOMEM;
}

static int copy_config(struct gr_etcd *c, const struct gr_etcd_config *config, struct gr_error *e)
{
    if (config->n_endpoints == 0)
        return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_UNREACHABLE,
                            "No etcd endpoint is configured: name at least one in [Source] Etcd.");
    c->endpoints = calloc(config->n_endpoints, sizeof *c->endpoints);
    if (!c->endpoints)
        return -ENOMEM;
    for (; c->n_endpoints < config->n_endpoints; c->n_endpoints++) {
        int r = copy_endpoint(config->endpoints[c->n_endpoints], &c->endpoints[c->n_endpoints], e);
        if (r < 0)
            return r;
    }
    const struct {
        char **to;
        const char *from;
    } texts[] = {
        {&c->user, config->user},           {&c->password_file, config->password_file},
        {&c->password, config->password},   {&c->ca_file, config->ca_file},
        {&c->cert_file, config->cert_file}, {&c->key_file, config->key_file},
    };
    for (size_t i = 0; i < GR_COUNT(texts); i++)
        if (copy_text(texts[i].to, texts[i].from) < 0)
            return -ENOMEM;
    return 0;
}

int gr_etcd_new(sd_event *event, struct gr_transport *t, const struct gr_etcd_config *config,
                struct gr_etcd **ret, struct gr_error *e)
{
    struct gr_etcd *c = calloc(1, sizeof *c);
    if (!c)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    LIST_INIT(&c->calls);
    c->event = sd_event_ref(event);
    c->transport = t;
    int r = copy_config(c, config, e);
    if (r < 0) {
        gr_etcd_free(c);
        return r == -ENOMEM ? gr_error_set_retryable(e, r, GR_REASON_INTERNAL, "Out of memory.")
                            : r;
    }
    *ret = c;
    return 0;
}

void gr_etcd_free(struct gr_etcd *c)
{
    if (!c)
        return;
    while (!LIST_EMPTY(&c->calls))
        gr_etcd_cancel(LIST_FIRST(&c->calls));
    for (size_t i = 0; i < c->n_endpoints; i++)
        free(c->endpoints[i]);
    free(c->endpoints);
    free(c->user);
    free(c->password_file);
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->password);
    free(c->ca_file);
    free(c->cert_file);
    free(c->key_file);
    free(c->token);
    sd_event_unref(c->event);
    free(c);
}

void gr_etcd_forget_token(struct gr_etcd *c)
{
    free(gr_steal(c->token));
    c->without_auth = false;
}

static void on_login(void *userdata, const struct gr_etcd_result *r)
{
    struct gr_etcd *c = userdata;
    struct gr_etcd_call *call;
    if (r->error.reason && strstr(r->error.message, "authentication is not enabled"))
        c->without_auth = true; // 3.4 refuses any token then (FACTS-ETCD, trap 10)
    bool usable = c->token || c->without_auth;
    struct gr_error e = r->error;
    gr_error_wrap(&e, "logging in to etcd as \"%s\"", c->user);
    LIST_FOREACH(call, &c->calls, link)
    {
        if (!call->waits_for_login)
            continue;
        call->waits_for_login = false;
        if (usable)
            gr_etcd_call_try(call);
        else
            gr_etcd_call_fail_later(call, &e);
    }
}

// The file itself must not be a link; its directory may be reached through one (systemd's
// credentials).
static int read_path(const char *path, struct gr_buf *ret)
{
    const char *slash = strrchr(path, '/');
    GR_AUTO_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    GR_AUTO_CLOSE int dir_fd = -1;
    int r = dir ? gr_fs_open_dir(dir, &dir_fd) : -ENOMEM;
    return r < 0 ? r : gr_fs_read(dir_fd, slash ? slash + 1 : path, ret);
}

static int read_password(const struct gr_etcd *c, struct gr_buf *ret, struct gr_error *e)
{
    if (!c->password_file) {
        const char *p = c->password ? c->password : "";
        return gr_buf_append(ret, p, strlen(p));
    }
    int r = read_path(c->password_file, ret);
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_SOURCE_UNREACHABLE,
                                      "The password file %s of etcd user \"%s\" could not be read: "
                                      "%s. Make it a regular file that the service may read.",
                                      c->password_file, c->user, strerror(-r));
    if (ret->len && ret->data[ret->len - 1] == '\n')
        ret->data[--ret->len] = '\0';
    return 0;
}

int gr_etcd_log_in(struct gr_etcd *c, struct gr_error *e)
{
    if (c->login)
        return 0;
    GR_AUTO_BUF struct gr_buf password = GR_BUF(PASSWORD_BYTES_MAX);
    int r = read_password(c, &password, e);
    if (r < 0)
        return r;
    char *body = gr_etcd_format_login(c->user, password.len ? password.data : "");
    if (password.len)
        explicit_bzero(password.data, password.len);
    return gr_etcd_call_new(c, GR_ETCD_CALL_LOGIN, "/v3/auth/authenticate", body, 0, on_login, c,
                            &c->login, e);
}

int gr_etcd_set_target(struct gr_etcd *c, const char *path, bool with_token,
                       const char *ret_headers[4], struct gr_buf *url, struct gr_buf *authorization,
                       struct gr_transfer_options *o)
{
    size_t n = 0;
    ret_headers[n++] = "Content-Type: application/json";
    ret_headers[n++] = "Grpc-Metadata-hasleader: true"; // a partitioned member must not answer
    int r = gr_buf_printf(url, "%s%s", c->endpoints[c->current], path);
    if (r >= 0 && with_token && c->token) {
        r = gr_buf_printf(authorization, "Authorization: %s", c->token);
        ret_headers[n++] = authorization->data;
    }
    ret_headers[n] = NULL;
    o->url = url->data;
    o->headers = ret_headers;
    o->protocols = "http,https";
    o->http1_only = true; // over HTTP/2 a dead connection is used again (FACTS-ETCD, trap 12)
    o->ca_file = c->ca_file;
    o->cert_file = c->cert_file;
    o->key_file = c->key_file;
    return r;
}

int gr_etcd_open_stream(struct gr_etcd *c, const char *path, const char *body,
                        const struct gr_transfer_options *callbacks, struct gr_transfer **ret,
                        struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf url = GR_BUF(4096), authorization = GR_BUF(16384);
    const char *headers[4];
    struct gr_transfer_options o = *callbacks;
    if (gr_etcd_set_target(c, path, true, headers, &url, &authorization, &o) < 0)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    o.body = body;
    o.body_len = strlen(body);
    o.fresh_connection = true;
    return gr_transfer_start(c->transport, &o, ret, e);
}

int gr_etcd_range(struct gr_etcd *c, const struct gr_etcd_range *r, gr_etcd_done done,
                  void *userdata, struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_REPEATABLE, "/v3/kv/range", gr_etcd_format_range(r),
                            r->timeout_usec, done, userdata, ret, e);
}

int gr_etcd_put(struct gr_etcd *c, struct gr_bytes key, struct gr_bytes value, int64_t lease,
                gr_etcd_done done, void *userdata, struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_ONCE, "/v3/kv/put",
                            gr_etcd_format_put(key, value, lease), 0, done, userdata, ret, e);
}

int gr_etcd_delete(struct gr_etcd *c, struct gr_bytes key, bool prefix, gr_etcd_done done,
                   void *userdata, struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_ONCE, "/v3/kv/deleterange",
                            gr_etcd_format_delete(key, prefix), 0, done, userdata, ret, e);
}

int gr_etcd_txn(struct gr_etcd *c, const struct gr_etcd_compare *compares, size_t n_compares,
                const struct gr_etcd_op *ops, size_t n_ops, gr_etcd_done done, void *userdata,
                struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_ONCE, "/v3/kv/txn",
                            gr_etcd_format_txn(compares, n_compares, ops, n_ops), 0, done, userdata,
                            ret, e);
}

int gr_etcd_lease_grant(struct gr_etcd *c, int64_t ttl_sec, gr_etcd_done done, void *userdata,
                        struct gr_etcd_call **ret, struct gr_error *e)
{
    // Granting twice leaves a lease that nobody keeps; it ends by itself.
    return gr_etcd_call_new(c, GR_ETCD_CALL_REPEATABLE, "/v3/lease/grant",
                            gr_etcd_format_lease(0, ttl_sec), 0, done, userdata, ret, e);
}

int gr_etcd_lease_keepalive(struct gr_etcd *c, int64_t lease, gr_etcd_done done, void *userdata,
                            struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_KEEPALIVE, "/v3/lease/keepalive",
                            gr_etcd_format_lease(lease, 0), 0, done, userdata, ret, e);
}

int gr_etcd_lease_revoke(struct gr_etcd *c, int64_t lease, gr_etcd_done done, void *userdata,
                         struct gr_etcd_call **ret, struct gr_error *e)
{
    return gr_etcd_call_new(c, GR_ETCD_CALL_REPEATABLE, "/v3/lease/revoke",
                            gr_etcd_format_lease(lease, 0), 0, done, userdata, ret, e);
}

void gr_etcd_pin(struct gr_etcd *c)
{
    c->pinned = true;
}

const char *gr_etcd_endpoint(const struct gr_etcd *c)
{
    return c->endpoints[c->current];
}

size_t gr_etcd_count_endpoints(const struct gr_etcd *c)
{
    return c->n_endpoints;
}

void gr_etcd_next_endpoint(struct gr_etcd *c)
{
    c->current = (c->current + 1) % c->n_endpoints;
}
