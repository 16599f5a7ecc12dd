// The content-addressed store: `<module>-<version>-<16 hex of the digest>.so`, 0444, written once
// and never again, because the loader knows libraries by their path and a rewritten file crashes
// those who have it mapped. For the same reason a second load of the same bytes into one process
// needs a file of its own: `<module>-<version>-<16 hex>.<n>.so`, a copy under another inode.
#pragma once
#include "base/name.h"
#include "base/version.h"
#include "verifier/bytes.h"

struct gr_store;
struct gr_store_key {
    const struct gr_name *module;
    const struct gr_version *version;
    const struct gr_digest *digest;
    unsigned copy; // 0: the artifact itself; to GR_STORE_COPIES_MAX - 1: its copies
};

// Creates the directory (0755) and removes what a crash left half-written. Fails: errno; *e names
// the directory.
GR_MUST_CHECK int gr_store_open(const char *dir, struct gr_store **ret, struct gr_error *e);
void gr_store_close(struct gr_store *s); // NULL is fine

// Absolute or relative as the directory was given. Fails: -ENOMEM. Owns: *ret by caller (free).
GR_MUST_CHECK int gr_store_path(const struct gr_store *s, const struct gr_store_key *k, char **ret);
// Opens for reading; judges nothing. Fails: -ENOENT, -ELOOP, errno.
GR_MUST_CHECK int gr_store_get(const struct gr_store *s, const struct gr_store_key *k, int *ret_fd);
// Writes sealed bytes, or finds them there; either way what is in the file was hashed through
// *ret_fd. A file of that name with other content is set aside. Fails: DiskFull, Internal; nothing
// half-written stays.
GR_MUST_CHECK int gr_store_put(const struct gr_store *s, const struct gr_store_key *k,
                               const struct gr_bytes *b, int *ret_fd, struct gr_error *e);
// What was found there lasts from then on, whoever wrote it. Fails: errno.
GR_MUST_CHECK int gr_store_settle(const struct gr_store *s);
// Keeps a damaged file as evidence (".damaged" after its name) and frees the name. Fails: errno.
GR_MUST_CHECK int gr_store_set_aside(const struct gr_store *s, const struct gr_store_key *k);
// See gr_verifier_collect().
GR_MUST_CHECK int gr_store_collect(const struct gr_store *s, const struct gr_digest *keep,
                                   size_t n_keep);
