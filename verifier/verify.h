// The way of untrusted bytes: fetch, digest, ELF facts, contract, store, preflight. Ends in a
// struct gr_verified, which only this directory can build: staging takes nothing else, so skipping
// verification does not compile.
#pragma once
#include "base/clock.h"
#include "base/contract.h"
#include "base/digest.h"
#include "base/error.h"
#include "watchers/transport/transport.h"
#include <systemd/sd-event.h>

struct gr_verifier;
struct gr_verified; // bytes that were proven to be what the document says, in the store, with an
                    // open descriptor

struct gr_verifier_config {    // strings are copied
    const char *store_dir;     // StateDirectory/store; created 0755
    const char *allow_schemes; // "https file"
    const char *allow_hosts;   // "" : any public host; private, loopback and link-local ranges only
                               // when named (host, IP or CIDR)
    const char *file_roots;    // space-separated absolute directories
    uint64_t max_bytes;
    bool sealed_modules; // stage a sealed memfd instead of the store file
    const char *ca_file; // for https; NULL: system's
};
GR_MUST_CHECK int gr_verifier_new(sd_event *event, struct gr_transport *t,
                                  const struct gr_verifier_config *c, struct gr_verifier **ret,
                                  struct gr_error *e);
void gr_verifier_free(struct gr_verifier *v);
// SIGHUP: the policy for what starts from now on.
GR_MUST_CHECK int gr_verifier_reconfigure(struct gr_verifier *v, const struct gr_verifier_config *c,
                                          struct gr_error *e);

enum gr_verify_station {
    GR_VERIFY_FETCH,
    GR_VERIFY_CHECK,
    GR_VERIFY_STORE,
    GR_VERIFY_PREFLIGHT,
    GR_VERIFY_STATIONS
};
struct gr_verify_request { // borrowed until gr_verification_start returns
    const struct gr_name *module;
    const struct gr_version *version;
    const struct gr_digest *digest;
    uint64_t size;              // 0: unknown; else the body must have exactly this many bytes
    const char *const *sources; // tried in order
    size_t n_sources;
    const char *config; // JSON text or NULL, given to preflight's init
    bool again;         // the same bytes run already and will be loaded beside themselves: a copy
                        // is stored as well (gr_verified_copy)
    uint64_t timeout_usec; // whole verification; 0: GR_FETCH_USEC_MAX + GR_PREFLIGHT_USEC_MAX
};
struct gr_verify_callbacks {
    void (*station)(void *userdata,
                    enum gr_verify_station
                        s); // entered; not told for FETCH, which begins with the start. May be NULL
    // Exactly once, never from inside gr_verification_start, never after cancel; the verification
    // is gone when it returns. Owns: v is the receiver's; NULL: *e says why (borrowed).
    void (*done)(void *userdata, struct gr_verified *v, const struct gr_error *e);
    void *userdata;
};
struct gr_verification;
// A digest that is in the store already is hashed again and not fetched. Fails at once:
// SourceRefused, TooLarge (declared size), -EINVAL.
GR_MUST_CHECK int gr_verification_start(struct gr_verifier *v, const struct gr_verify_request *r,
                                        const struct gr_verify_callbacks *cb,
                                        struct gr_verification **ret, struct gr_error *e);
void gr_verification_cancel(struct gr_verification *v); // kills the child, frees; NULL is fine

// At every load, also after a restart: opens the store file, hashes it through one descriptor,
// checks facts and contract again. No preflight, no network. Blocks (hash). Fails: -ENOENT (not in
// the store), DigestMismatch (bit rot: the file is moved aside as evidence), NotAModule, ...
GR_MUST_CHECK int gr_verified_reopen(struct gr_verifier *v, const struct gr_name *module,
                                     const struct gr_version *version,
                                     const struct gr_digest *digest, struct gr_verified **ret,
                                     struct gr_error *e);
// The same bytes under a path and inode of their own (copy 1 to GR_STORE_COPIES_MAX - 1), for a
// process that has `of` mapped: the dynamic loader would hand out the running instance for the same
// path or inode. Written from the verified descriptor when it is not in the store yet, and hashed
// through one descriptor as every file of the store. Blocks. Fails: -EINVAL for a sealed one, which
// is an inode of its own already; LoadFailed, DiskFull.
GR_MUST_CHECK int gr_verified_copy(struct gr_verifier *v, const struct gr_verified *of,
                                   unsigned copy, struct gr_verified **ret, struct gr_error *e);
void gr_verified_free(struct gr_verified *v);
static inline void gr_verified_freep(struct gr_verified **v)
{
    gr_verified_free(*v);
}
const struct gr_name *gr_verified_module(const struct gr_verified *v);
const struct gr_version *gr_verified_version(const struct gr_verified *v);
const struct gr_digest *gr_verified_digest(const struct gr_verified *v);
const char *gr_verified_path(const struct gr_verified *v);     // unique store path
const char *gr_verified_build_id(const struct gr_verified *v); // hex
int gr_verified_fd(const struct gr_verified *v); // the descriptor that was hashed (borrowed)
bool gr_verified_sealed(
    const struct gr_verified *v); // SealedModules: the descriptor is a sealed memfd; load
                                  // /proc/self/fd/N of it, not the path
const struct gr_contract *gr_verified_contract(const struct gr_verified *v);
uint64_t gr_verified_station_usec(const struct gr_verified *v,
                                  enum gr_verify_station s); // how long each took; 0: skipped

// Removes what the store holds beyond GR_STORE_KEEP_COUNT per module (oldest first), never one of
// `keep`. Returns how many were removed, or negative errno.
int gr_verifier_collect(struct gr_verifier *v, const struct gr_digest *keep, size_t n_keep);

// For grayctl verify, inspect and abi-diff: everything about one file without running any of it,
// for the machines whose files are known (x86-64, aarch64), whichever this host is. Blocks.
struct gr_inspection {
    struct gr_digest digest;
    uint64_t bytes;
    char machine[16], build_id[64], type[8];
    char glibc[32], soname[64];   // newest version of the C library that it needs; "": none
    struct gr_contract *contract; // NULL: none
    size_t n_needed;
    char (*needed)[64];
    size_t n_exports;
    char **exports; // sorted
    size_t n_traits;
    const char *traits[GR_ELF_TRAITS_MAX]; // what is uncommon about it: "static TLS", "RPATH"
    struct gr_error verdict;               // reason NONE: admissible on this host
    struct gr_error own_verdict;           // the same for a host of the file's machine
};
GR_MUST_CHECK int gr_inspect_file(const char *path, struct gr_inspection *ret, struct gr_error *e);
void gr_inspection_done(struct gr_inspection *i);
