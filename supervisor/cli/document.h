// Documents as operators hand them to grayctl: files or standard input, checked as the daemon will
// check them, and compared with what stands there.
#pragma once
#include "cli/docstore.h"

struct gr_document {
    struct gr_name module;
    cJSON *json;                  // owned
    struct gr_docstore_entry now; // what stands there; filled by gr_documents_compare()
    bool changed;
};
struct gr_documents {
    size_t n;
    struct gr_document *items;
};
void gr_documents_done(struct gr_documents *d);
// Adds what a file ("-": standard input) holds: {"module":"pay",...}, a document named by its file
// (pay.json), or {"modules":{...}}. Fails: -ENOENT, -EINVAL DocumentInvalid (file, module and
// field's path are named), -E2BIG.
GR_MUST_CHECK int gr_documents_read(struct gr_documents *d, const char *file, struct gr_error *e);
// Takes json. Checks it by the daemon's own decoder. Fails: -EINVAL DocumentInvalid, -EEXIST: that
// module is there already.
GR_MUST_CHECK int gr_documents_add(struct gr_documents *d, const struct gr_name *module,
                                   cJSON *take, struct gr_error *e);
// Sets actor (when there is none) and reason (when given).
GR_MUST_CHECK int gr_document_sign(struct gr_document *d, const char *actor, const char *reason,
                                   struct gr_error *e);
// Reads what stands in the store and notes what differs (actor and reason apart). if_revision < 0:
// any; else -EBUSY when one is newer.
GR_MUST_CHECK int gr_documents_compare(struct gr_documents *d, struct gr_docstore *s,
                                       int64_t if_revision, struct gr_error *e);
// "  version: "1.0.0" -> "1.1.0"" per differing field.
void gr_document_print_diff(FILE *to, const cJSON *before, const cJSON *after);
// Writes those that changed as one change. *ret_revision is 0 when none did.
GR_MUST_CHECK int gr_documents_write(struct gr_documents *d, struct gr_docstore *s,
                                     int64_t *ret_revision, struct gr_error *e);
