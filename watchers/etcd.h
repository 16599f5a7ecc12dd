// The etcd v3 client: asynchronous range, put, delete, txn and leases over the HTTP/JSON gateway,
// for the source, the status writer and grayctl alike. Keys and values are bytes. Fails over
// between endpoints, renews its token by itself.
#pragma once
#include "base/error.h"
#include "watchers/transport/transport.h"
#include <stdint.h>
#include <systemd/sd-event.h>

struct gr_etcd_config {
    size_t n_endpoints;
    const char *const *endpoints; // "http://host:2379", "https://..."
    const char *user;             // NULL: no authentication
    const char *password_file;    // read at each log-in; one trailing newline is cut
    const char *password;         // when there is no file
    const char *ca_file, *cert_file, *key_file;
};
struct gr_etcd;
struct gr_etcd_call; // one request under way

// Copies config; opens nothing yet. Fails: -EINVAL (no endpoint, not http or https), -ENOMEM.
GR_MUST_CHECK int gr_etcd_new(sd_event *event, struct gr_transport *t,
                              const struct gr_etcd_config *config, struct gr_etcd **ret,
                              struct gr_error *e);
// Cancels what is under way. Safe inside a callback. NULL is fine.
void gr_etcd_free(struct gr_etcd *c);
static inline void gr_etcd_freep(struct gr_etcd **c)
{
    gr_etcd_free(*c);
}

struct gr_bytes { // borrowed
    const void *data;
    size_t len;
};
static inline struct gr_bytes gr_bytes(const void *data, size_t len)
{
    return (struct gr_bytes){data, len};
}
struct gr_bytes gr_bytes_text(const char *text);

struct gr_etcd_kv {
    char *key, *value; // each NUL-terminated after its length
    size_t key_len, value_len;
    int64_t create_revision, mod_revision, version, lease;
};
#define GR_GRPC_NOT_FOUND 5
#define GR_GRPC_PERMISSION_DENIED 7
#define GR_GRPC_EXHAUSTED 8 // no space, or too large
#define GR_GRPC_UNAVAILABLE 14
#define GR_GRPC_UNAUTHENTICATED 16

struct gr_etcd_result { // borrowed, valid inside done only
    struct gr_error
        error;     // reason NONE: it worked; else DiskFull (etcd's), TooLarge, or SourceUnreachable
    int grpc_code; // etcd's own word, GR_GRPC_*; 0: none, nobody answered
    bool ambiguous; // a write failed after it was sent: it may have been applied
    uint64_t cluster_id, member_id;
    int64_t revision;
    bool succeeded; // txn: every comparison held
    size_t n_kvs;   // range; txn: all keys read by its range operations, in order
    struct gr_etcd_kv *kvs;
    int64_t count; // range: how many match, also beyond the limit
    bool more;
    int64_t deleted;
    int64_t lease, ttl_sec; // lease calls; a keepalive of a dead lease fails with GR_GRPC_NOT_FOUND
};
typedef void (*gr_etcd_done)(void *userdata, const struct gr_etcd_result *r);

// Every request below: done is called exactly once, never from inside the request, never after
// gr_etcd_cancel; ret may be NULL when nobody will cancel. The call is gone when done returns.
// Fails at once: -EINVAL, -ENOMEM. A read is tried on each endpoint; a write goes on to the next
// one only when it surely was not sent.
struct gr_etcd_range {
    struct gr_bytes key;
    bool prefix; // all keys that begin with `key`
    bool count_only;
    bool keys_only;
    bool newest_first;     // by mod_revision; else by key
    int64_t limit;         // 0: none
    int64_t revision;      // 0: newest, linearizable
    struct gr_bytes from;  // with prefix: first key of this page, len 0: from the start
    uint64_t timeout_usec; // 0: 10 s
};
GR_MUST_CHECK int gr_etcd_range(struct gr_etcd *c, const struct gr_etcd_range *r, gr_etcd_done done,
                                void *userdata, struct gr_etcd_call **ret, struct gr_error *e);
// lease 0: none (and an old one is detached).
GR_MUST_CHECK int gr_etcd_put(struct gr_etcd *c, struct gr_bytes key, struct gr_bytes value,
                              int64_t lease, gr_etcd_done done, void *userdata,
                              struct gr_etcd_call **ret, struct gr_error *e);
GR_MUST_CHECK int gr_etcd_delete(struct gr_etcd *c, struct gr_bytes key, bool prefix,
                                 gr_etcd_done done, void *userdata, struct gr_etcd_call **ret,
                                 struct gr_error *e);

struct gr_etcd_compare {
    struct gr_bytes key;
    int64_t mod_revision; // must be equal; 0: the key must not exist
};
enum gr_etcd_op_kind { GR_ETCD_OP_PUT, GR_ETCD_OP_DELETE, GR_ETCD_OP_RANGE };
struct gr_etcd_op {
    enum gr_etcd_op_kind kind;
    struct gr_bytes key, value;
    int64_t lease;
};
// All or nothing. When a comparison fails, nothing is written, succeeded is false and kvs holds the
// compared keys as they are.
GR_MUST_CHECK int gr_etcd_txn(struct gr_etcd *c, const struct gr_etcd_compare *compares,
                              size_t n_compares, const struct gr_etcd_op *ops, size_t n_ops,
                              gr_etcd_done done, void *userdata, struct gr_etcd_call **ret,
                              struct gr_error *e);

GR_MUST_CHECK int gr_etcd_lease_grant(struct gr_etcd *c, int64_t ttl_sec, gr_etcd_done done,
                                      void *userdata, struct gr_etcd_call **ret,
                                      struct gr_error *e);
GR_MUST_CHECK int gr_etcd_lease_keepalive(struct gr_etcd *c, int64_t lease, gr_etcd_done done,
                                          void *userdata, struct gr_etcd_call **ret,
                                          struct gr_error *e);
GR_MUST_CHECK int gr_etcd_lease_revoke(struct gr_etcd *c, int64_t lease, gr_etcd_done done,
                                       void *userdata, struct gr_etcd_call **ret,
                                       struct gr_error *e);
// Safe inside every callback. NULL is fine.
void gr_etcd_cancel(struct gr_etcd_call *call);

// A lease that is kept (free it before its client): granted, kept alive at a third of its time,
// granted again when lost.
struct gr_lease;
struct gr_lease_callbacks {
    // Write your leased keys now; again after each loss.
    void (*granted)(void *userdata, int64_t lease);
    // Your keys are gone or will be; a new grant is tried with back-off.
    void (*lost)(void *userdata, const struct gr_error *e);
    void *userdata;
};
GR_MUST_CHECK int gr_lease_new(sd_event *event, struct gr_etcd *c, int64_t ttl_sec,
                               const struct gr_lease_callbacks *cb, struct gr_lease **ret);
// Forgets it without revoking (keys go with the TTL). Safe inside a callback. NULL is fine.
void gr_lease_free(struct gr_lease *l);
static inline void gr_lease_freep(struct gr_lease **l)
{
    gr_lease_free(*l);
}
// 0: none now.
int64_t gr_lease_id(const struct gr_lease *l);
