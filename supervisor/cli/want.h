// Writing documents and telling about it, shared by apply, publish and undo.
#pragma once
#include "cli/document.h"
#include "state/desired.h"

// Files of -f and all words, in order. Fails: as gr_documents_read(); -EINVAL: none is named.
GR_MUST_CHECK int gr_want_read(const struct gr_args *args, struct gr_documents *d,
                               struct gr_error *e);
// Signs, compares (--if-revision), writes unless --dry-run, shows what changed and the next
// command.
enum gr_exit gr_want(struct gr_cli *cli, const struct gr_args *args, struct gr_documents *d,
                     struct gr_docstore *store);

// --- warnings.c
// ------------------------------------------------------------------------------------------------
// What is allowed and probably not meant goes to cli->err, a line each.
void gr_want_warn(struct gr_cli *cli, const char *module, const char *text);
// What the host that serves here would make of these documents (POST /v1/plan), with the contracts
// of the files that are at hand. The caller's; NULL: out of memory.
cJSON *gr_want_question(const struct gr_documents *d);
// Warns of modules whose requests would go to the pool unasked: by what this host knows, or when
// none answers by the contracts of the files at hand alone.
void gr_want_warn_of_pooling(struct gr_cli *cli, const struct gr_documents *d);
// The same for the answer of a question.
void gr_want_print_warnings(struct gr_cli *cli, const cJSON *plan);
