// One read of a directory of documents as a snapshot. Reads files, keeps nothing.
#pragma once
#include "watchers/source-internal.h"

// Visible names that end with ".json"; all others are no business of ours.
bool gr_directory_is_document(const char *file);
// `previous` (may be NULL) is the snapshot before: a document with the same bytes keeps its
// revisions, and a changed one gets a greater one. A file that cannot be used becomes an entry with
// an error. Owns: *ret by the caller. Fails: the directory cannot be read, or holds more than
// GR_MODULES_MAX documents.
GR_MUST_CHECK int gr_directory_read(const char *path, const struct gr_snapshot *previous,
                                    struct gr_snapshot **ret, struct gr_error *e);
