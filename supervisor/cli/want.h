// Writing documents and telling about it, shared by apply, publish and undo.
#pragma once
#include "cli/document.h"

// Files of -f and all words, in order. Fails: as gr_documents_read(); -EINVAL: none is named.
GR_MUST_CHECK int gr_want_read(const struct gr_args *args, struct gr_documents *d,
                               struct gr_error *e);
// Signs, compares (--if-revision), writes unless --dry-run, shows what changed and the next
// command.
enum gr_exit gr_want(struct gr_cli *cli, const struct gr_args *args, struct gr_documents *d,
                     struct gr_docstore *store);
