// The dashboard's files, as they were built into this program (supervisor/dashboard). Anybody may
// read them; what they show comes from the routes beside them. Clients keep them and ask whether
// they are still the same.
#include "base/embedded.h"
#include "control/control-routes.h"
#include "control/http-negotiate.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

extern const struct gr_embedded_file gr_dashboard_files[];
extern const size_t gr_n_dashboard_files;

// Nothing but what this host serves is loaded, run or spoken to; nobody frames it. Charts set their
// elements' styles by script, which style-src does not speak of.
static const struct gr_http_field fields[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Vary", "Accept-Encoding"},
};

static const char *type_of(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < GR_COUNT(types); i++)
        if (!strcmp(dot, types[i].suffix))
            return types[i].type;
    return "text/plain; charset=utf-8";
}

// The plain and the compressed file are different bytes, and have different tags.
static void reply_file(const struct gr_embedded_file *f, bool packed, struct gr_http_reply *ret)
{
    *ret = (struct gr_http_reply){.status = 200,
                                  .content_type = type_of(f->name),
                                  .fixed = packed ? f->gzip : f->text,
                                  .body_len = packed ? f->gzip_len : f->len,
                                  .coding = packed ? "gzip" : NULL,
                                  .fields = fields,
                                  .n_fields = GR_COUNT(fields)};
    snprintf(ret->etag, sizeof ret->etag, "\"%s%s\"", f->sha256, packed ? "-gzip" : "");
}

void gr_get_dashboard_file(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                           struct gr_http_reply *ret)
{
    (void)c;
    for (size_t i = 0; i < gr_n_dashboard_files; i++) {
        const struct gr_embedded_file *f = &gr_dashboard_files[i];
        if (!strcmp(f->name, arg)) {
            // one that gzip makes no smaller goes as it is
            bool packed = f->gzip_len < f->len &&
                          gr_http_accepts_coding(gr_http_header(q, "Accept-Encoding"), "gzip");
            reply_file(f, packed, ret);
            return;
        }
    }
    gr_route_refuse(ret, -ENOENT, "there is no %.200s here; the dashboard is at /", q->path);
}

void gr_get_dashboard(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                      struct gr_http_reply *ret)
{
    (void)arg;
    gr_get_dashboard_file(c, q, "index.html", ret);
}
