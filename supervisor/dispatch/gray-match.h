// The match rules of a gray, and how a request is asked for what rules and sticky keys name.
// Private to gray.c and its tests.
#pragma once
#include "base/contract.h"
#include "base/json.h"
#include "base/limits.h"
#include <grayling/module.h>

enum gr_subject { // where a text of a request stands
    GR_SUBJECT_HEADER,
    GR_SUBJECT_COOKIE,
    GR_SUBJECT_TENANT, // x-tenant-id
    GR_SUBJECT_PATH,   // "/interface/method"
    GR_SUBJECT_TRACE,  // trace-id of traceparent (W3C Trace Context)
};
struct gr_slice { // borrowed; s NULL: not there
    const char *s;
    size_t len;
};
struct gr_rules;

// `list` is borrowed for the call. Fails: DocumentInvalid, the sentence begins with the path.
GR_MUST_CHECK int gr_rules_parse(const cJSON *list, struct gr_rules **ret, struct gr_error *e);
void gr_rules_free(struct gr_rules *r);
static inline void gr_rules_freep(struct gr_rules **r)
{
    gr_rules_free(*r);
}
// Index of the first rule that fits; -1: none. *ret_given_up is raised for each pattern that met a
// bound of its cost.
int gr_rules_match(const struct gr_rules *r, const struct grayling_request *request,
                   bool *ret_candidate, unsigned *ret_given_up);

// The text that a sticky key names. `name` only for header (lower case) and cookie. An empty value
// is as good as none. Of repeated fields the first counts.
struct gr_slice gr_request_text(const struct grayling_request *request, enum gr_subject subject,
                                const char *name);
