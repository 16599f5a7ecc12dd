// What goes over the wire to and from etcd's JSON gateway, as values: requests become text, answers
// become structs. Pure: no I/O, no clock, no log. Every answer is foreign text (FACTS-ETCD: 64-bit
// numbers are strings, zeros are left out).
#pragma once
#include "base/buf.h"
#include "watchers/etcd.h"

// Standard alphabet with padding. Caller frees; NULL: out of memory.
char *gr_base64_encode(struct gr_bytes b);
// Owns: *ret by the caller, NUL-terminated after *ret_len. Fails: -EINVAL (alphabet, padding),
// -ENOMEM.
GR_MUST_CHECK int gr_base64_decode(const char *text, size_t len, char **ret, size_t *ret_len);

// First key after all that begin with the prefix; one NUL byte means "to the end". Fails: -ENOMEM.
GR_MUST_CHECK int gr_etcd_prefix_end(struct gr_bytes prefix, struct gr_buf *ret);

// Request bodies; caller frees. NULL: out of memory.
char *gr_etcd_format_range(const struct gr_etcd_range *r);
char *gr_etcd_format_put(struct gr_bytes key, struct gr_bytes value, int64_t lease);
char *gr_etcd_format_delete(struct gr_bytes key, bool prefix);
char *gr_etcd_format_txn(const struct gr_etcd_compare *compares, size_t n_compares,
                         const struct gr_etcd_op *ops, size_t n_ops);
char *gr_etcd_format_lease(int64_t lease, int64_t ttl_sec); // 0: left out
char *gr_etcd_format_login(const char *user, const char *password);
char *gr_etcd_format_watch(struct gr_bytes prefix, int64_t start_revision);

// Any unary answer. Owns: *ret is filled on success and given back with gr_etcd_result_done;
// *ret_token (may be NULL) is the caller's. Fails: -EINVAL, -E2BIG, -ENOMEM.
GR_MUST_CHECK int gr_etcd_answer_parse(const char *bytes, size_t len, struct gr_etcd_result *ret,
                                       char **ret_token, struct gr_error *e);
void gr_etcd_result_done(struct gr_etcd_result *r);

// What an error body says, whatever its shape (three are known, and plain text); never fails.
#define GR_ETCD_COMPLAINT_BYTES_MAX (64u * 1024)
struct gr_etcd_complaint {
    int grpc_code; // 0: not said
    char message[512];
};
void gr_etcd_complaint_parse(const char *bytes, size_t len, struct gr_etcd_complaint *ret);
// The token is missing, unknown or older than the last change of users: log in again.
bool gr_etcd_complaint_wants_login(long http_status, const struct gr_etcd_complaint *c);

struct gr_etcd_event { // which key, and when; what is in it is read
    char *key;         // NUL-terminated after key_len bytes
    size_t key_len;
    int64_t mod_revision;
    bool deleted;
};
struct gr_etcd_watch_line { // one message of a watch
    uint64_t cluster_id;
    int64_t revision; // of the store, no proof that all before it was delivered
    bool created, canceled, fragment;
    bool failed; // in-band error: the stream is over
    int64_t compact_revision;
    size_t n_events;
    struct gr_etcd_event *events; // in the order of their revisions
    int64_t max_mod_revision;
    struct gr_etcd_complaint complaint; // of canceled and failed
};
// Owns: *ret is filled on success and given back with gr_etcd_watch_line_done. Fails: -EINVAL,
// -E2BIG, -ENOMEM.
GR_MUST_CHECK int gr_etcd_watch_line_parse(const char *bytes, size_t len,
                                           struct gr_etcd_watch_line *ret, struct gr_error *e);
void gr_etcd_watch_line_done(struct gr_etcd_watch_line *l);
