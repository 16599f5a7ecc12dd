// The desired state as grayctl writes it: documents by module, in etcd or in a directory, changed as a compare-and-swap.
#pragma once
#include "base/name.h"
#include "cli/cli.h"

struct gr_store_entry {
    struct gr_name module; // set by the caller
    bool present;
    int64_t revision; // 0: not present
    char *value;      // NUL-terminated; owned; NULL: not present
};
struct gr_store_change {
    struct gr_name module;
    int64_t expected; // revision that was read; 0: must not exist
    char *value;      // borrowed by the store, owned by whoever made it
};
struct gr_store;
struct gr_store_ops {
    int (*get)(struct gr_store *s, struct gr_store_entry *entries, size_t n, struct gr_error *e);
    int (*put)(struct gr_store *s, const struct gr_store_change *changes, size_t n, int64_t *ret_revision, struct gr_error *e);
    void (*free)(struct gr_store *s);
};
struct gr_store { // first member of each kind
    const struct gr_store_ops *ops;
    char place[256]; // "etcd http://127.0.0.1:2379", "directory /etc/grayling/modules.d"
};
// --etcd, else the configuration's source, else the one that the daemon names. Fails: as gr_cli_config(); -EINVAL when none is known.
GR_MUST_CHECK int gr_store_open(struct gr_cli *cli, struct gr_store **ret, struct gr_error *e);
void gr_store_free(struct gr_store *s);
static inline void gr_store_freep(struct gr_store **s) { gr_store_free(*s); }
// All entries at one revision (etcd). Fails: SourceUnreachable.
GR_MUST_CHECK int gr_store_get(struct gr_store *s, struct gr_store_entry *entries, size_t n, struct gr_error *e);
// All or nothing (etcd: one transaction). Fails: -EBUSY when one changed meanwhile (the sentence says who, when and with what), SourceUnreachable;
// an ambiguous end is said in the sentence.
GR_MUST_CHECK int gr_store_put(struct gr_store *s, const struct gr_store_change *changes, size_t n, int64_t *ret_revision,
                               struct gr_error *e);
void gr_store_entry_done(struct gr_store_entry *entry);
// For implementations: the sentence of a lost race; `now` is what stands there.
int gr_store_conflict(const struct gr_store_entry *now, int64_t expected, struct gr_error *e);

struct gr_etcd_config;
GR_MUST_CHECK int gr_store_etcd_new(const struct gr_etcd_config *config, const struct gr_name *service, struct gr_store **ret, struct gr_error *e);
GR_MUST_CHECK int gr_store_directory_new(const char *path, struct gr_store **ret, struct gr_error *e);
