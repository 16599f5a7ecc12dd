// The desired state as grayctl writes it: documents by module, in etcd or in a directory, changed
// as a compare-and-swap.
#pragma once
#include "base/name.h"
#include "cli/cli.h"

struct gr_docstore_entry {
    struct gr_name module; // set by the caller
    bool present;
    int64_t revision; // 0: not present
    char *value;      // NUL-terminated; owned; NULL: not present
};
struct gr_docstore_change {
    struct gr_name module;
    int64_t expected; // revision that was read; 0: must not exist
    char *value;      // borrowed by the store, owned by whoever made it
};
struct gr_docstore;
struct gr_docstore_ops {
    int (*get)(struct gr_docstore *s, struct gr_docstore_entry *entries, size_t n,
               struct gr_error *e);
    int (*put)(struct gr_docstore *s, const struct gr_docstore_change *changes, size_t n,
               int64_t *ret_revision, struct gr_error *e);
    void (*free)(struct gr_docstore *s);
};
struct gr_docstore { // first member of each kind
    const struct gr_docstore_ops *ops;
    char place[256]; // "etcd http://127.0.0.1:2379", "directory /etc/grayling/modules.d"
};
// The source that the daemon follows, as its configuration says (gr_cli_settings()); --etcd
// replaces the endpoints. Fails: as gr_cli_settings().
GR_MUST_CHECK int gr_docstore_open(struct gr_cli *cli, struct gr_docstore **ret,
                                   struct gr_error *e);
// The same for operators' intents. *ret NULL: the source is a directory, which carries none.
GR_MUST_CHECK int gr_docstore_open_intents(struct gr_cli *cli, struct gr_docstore **ret,
                                           struct gr_error *e);
// The same for the fleet's quarantine, by digest in hex.
GR_MUST_CHECK int gr_docstore_open_quarantine(struct gr_cli *cli, struct gr_docstore **ret,
                                              struct gr_error *e);
void gr_docstore_free(struct gr_docstore *s);
static inline void gr_docstore_freep(struct gr_docstore **s)
{
    gr_docstore_free(*s);
}
// All entries at one revision (etcd). Fails: SourceUnreachable.
GR_MUST_CHECK int gr_docstore_get(struct gr_docstore *s, struct gr_docstore_entry *entries,
                                  size_t n, struct gr_error *e);
// All or nothing (etcd: one transaction). Fails: -EBUSY when one changed meanwhile (the sentence
// says who, when and with what), SourceUnreachable; an ambiguous end is said in the sentence.
GR_MUST_CHECK int gr_docstore_put(struct gr_docstore *s, const struct gr_docstore_change *changes,
                                  size_t n, int64_t *ret_revision, struct gr_error *e);
void gr_docstore_entry_done(struct gr_docstore_entry *entry);
// For implementations: the sentence of a lost race; `now` is what stands there.
int gr_docstore_conflict(const struct gr_docstore_entry *now, int64_t expected, struct gr_error *e);

struct gr_etcd_config;
struct gr_source_keys;
GR_MUST_CHECK int gr_docstore_etcd_new(const struct gr_etcd_config *config,
                                       const struct gr_source_keys *keys, struct gr_docstore **ret,
                                       struct gr_error *e);
GR_MUST_CHECK int gr_docstore_directory_new(const char *path, struct gr_docstore **ret,
                                            struct gr_error *e);
