// Where a drill writes what it wants: keys of etcd, under a lease when the instance is a running
// one, or one file of a directory source. Only the modules that a drill names are ever touched.
#pragma once
#include "base/error.h"
#include "watchers/source.h"
#include <cjson/cJSON.h>

struct gr_drill_store;
// ttl_sec 0: without a lease. With one, all keys vanish by themselves that long after the last
// gr_drill_store_keep(). Fails: -EINVAL, -ENOMEM, SourceUnreachable.
GR_MUST_CHECK int gr_drill_store_etcd(const struct gr_etcd_config *config,
                                      const struct gr_source_keys *keys, int64_t ttl_sec,
                                      struct gr_drill_store **ret, struct gr_error *e);
// `file` is made in `directory`. Fails: -ENOMEM.
GR_MUST_CHECK int gr_drill_store_directory(const char *directory, const char *file,
                                           struct gr_drill_store **ret, struct gr_error *e);
// {module: document, null to remove, or a string to write as it is} in one transaction. Blocks.
// Fails: SourceUnreachable, negative errno; -ENOSYS: a directory takes no text that is no document.
GR_MUST_CHECK int gr_drill_store_write(struct gr_drill_store *s, const cJSON *changes,
                                       struct gr_error *e);
// Keeps the lease, if it is due. Blocks. Fails: the lease is lost, and with it the keys.
GR_MUST_CHECK int gr_drill_store_keep(struct gr_drill_store *s, struct gr_error *e);
// Removes all that was written. Blocks. Fails: as gr_drill_store_write().
GR_MUST_CHECK int gr_drill_store_clear(struct gr_drill_store *s, struct gr_error *e);
// The same, and lets go of the lease: nothing is written after that. Fails: as above.
GR_MUST_CHECK int gr_drill_store_end(struct gr_drill_store *s, struct gr_error *e);
// Writes nothing. NULL is fine.
void gr_drill_store_free(struct gr_drill_store *s);
