// Where a request would go, and why: asks dispatch's own decision with the rule of a rollout.
#pragma once
#include "base/error.h"
#include "cli/cli.h"
#include "state/desired.h"
#include <grayling/module.h>

struct gr_whereto { // one request
    char *texts[GR_ARGS_MAX];
    struct grayling_header headers[GR_ARGS_MAX];
    size_t n;
    char *interface, *method;
};
// `headers`: "name: value" each. `path`: "/interface/method", NULL: not said. Fails: -EINVAL.
GR_MUST_CHECK int gr_whereto_init(struct gr_whereto *w, const char *const *headers, size_t n,
                                  const char *path, struct gr_error *e);
void gr_whereto_done(struct gr_whereto *w);
// *ret (caller's): {"module","goes_to","version","rule","bucket","weight","why"}; goes_to is
// "candidate", "stable", "key" or "turn" (not to be said before: the key's bucket is not drawn yet,
// or whoever comes next). `module` as the control socket tells it. Fails: -EINVAL, -ENOMEM.
GR_MUST_CHECK int gr_whereto_module(const struct gr_whereto *w, const cJSON *module, cJSON **ret,
                                    struct gr_error *e);
// The same of a document that is not applied yet, at its first weight.
GR_MUST_CHECK int gr_whereto_document(const struct gr_whereto *w, const struct gr_desired *d,
                                      cJSON **ret, struct gr_error *e);
