// The verifier's own life: configuration, and what the store may forget.
#include "base/limits.h"
#include "verifier/verifier-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int open_program(const char *name, struct gr_program *ret, struct gr_error *e)
{
    int r = gr_program_open(name, ret);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL,
                                "the program %s is neither beside this one nor installed: %s; "
                                "install it or set GRAYLING_LIBEXEC",
                                name, strerror(-r))
                 : 0;
}

int gr_verifier_reconfigure(struct gr_verifier *v, const struct gr_verifier_config *c,
                            struct gr_error *e)
{
    struct gr_policy *policy;
    if (strcmp(c->store_dir, v->store_dir) != 0)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "the store cannot move from %s to %s while the service runs; restart "
                            "it",
                            v->store_dir, c->store_dir);
    if (c->max_bytes == 0 || c->max_bytes > GR_ARTIFACT_BYTES_CEILING)
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "MaxBytes= in [Artifacts] is %" PRIu64 "; 1 to %llu are possible",
                            c->max_bytes, GR_ARTIFACT_BYTES_CEILING);
    GR_AUTO_FREE char *ca_file = NULL;
    if (c->ca_file && !(ca_file = strdup(c->ca_file)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for the verifier");
    int r = gr_policy_new(c->allow_schemes, c->allow_hosts, c->file_roots, &policy, e);
    if (r < 0)
        return r;
    gr_policy_unref(v->policy);
    free(v->ca_file);
    v->policy = policy;
    v->ca_file = gr_steal(ca_file);
    v->max_bytes = c->max_bytes;
    v->sealed = c->sealed_modules;
    return 0;
}

int gr_verifier_new(sd_event *event, struct gr_transport *t, const struct gr_verifier_config *c,
                    struct gr_verifier **ret, struct gr_error *e)
{
    struct gr_verifier *v = calloc(1, sizeof *v);
    if (!v || !(v->store_dir = strdup(c->store_dir))) {
        free(v);
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for the verifier");
    }
    v->event = sd_event_ref(event);
    v->transport = t;
    v->preflight.fd = v->writer.fd = -1;
    int r = open_program("grayling-preflight", &v->preflight, e);
    if (r == 0)
        r = open_program("grayling-store", &v->writer, e);
    if (r == 0)
        r = gr_verifier_reconfigure(v, c, e);
    if (r == 0)
        r = gr_store_open(c->store_dir, &v->store, e);
    if (r < 0) {
        gr_verifier_free(v);
        return r;
    }
    *ret = v;
    return 0;
}

void gr_verifier_free(struct gr_verifier *v)
{
    if (!v)
        return;
    gr_store_close(v->store);
    gr_policy_unref(v->policy);
    gr_program_done(&v->preflight);
    gr_program_done(&v->writer);
    free(v->store_dir);
    free(v->ca_file);
    sd_event_unref(v->event);
    free(v);
}

int gr_verifier_collect(struct gr_verifier *v, const struct gr_digest *keep, size_t n_keep)
{
    return gr_store_collect(v->store, keep, n_keep);
}
