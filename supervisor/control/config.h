// graylingd's configuration: INI in systemd's dialect with FILE.d/*.conf drop-ins (INTERFACES §2).
// Unknown keys and bad values are refused with file and line.
#pragma once
#include "base/error.h"
#include "base/name.h"
#include "dispatch/breaker.h"
#include <stdint.h>

#define GR_LISTEN_MAX 8
#define GR_ENDPOINTS_MAX 16
#define GR_CONFIG_KEYS 34
struct gr_config {
    struct gr_name service;  // [Service] Name
    struct gr_name instance; // default: host name, lower-cased
    char *state_dir, *runtime_dir;
    uint64_t
        stable_after_usec; // [Service] StableAfter: a start that serves for so long has succeeded
    size_t n_endpoints;
    char *endpoints[GR_ENDPOINTS_MAX]; // [Source] Etcd
    char *directory;
    char *etcd_user, *etcd_password_file, *etcd_ca_file, *etcd_cert_file, *etcd_key_file;
    size_t n_listen;
    char *listen[GR_LISTEN_MAX]; // "127.0.0.1:8080", "[::1]:8080", "unix:/path"
    unsigned threads;            // 0: one per processor
    struct gr_breaker_policy breaker;
    uint64_t call_timeout_usec, call_grace_usec; // of a call without a deadline; on top of either
    uint64_t memory_limit_bytes;                 // [Dispatch] MemoryLimit; 0: none but the system's
    unsigned pool_threads, pool_queue;           // of one version with `execution: pool`
    bool access_log;                             // [Dispatch] AccessLog: a line for each request
    char *admin_listen;                          // NULL: none
    char *admin_token_file;                      // [Admin] TokenFile; NULL: no orders there
    char *admin_hosts; // [Admin] AllowHosts: names that its clients may use; NULL: only its own
    char *allow_schemes, *allow_hosts, *file_roots;
    uint64_t max_bytes;
    char *trust_root_file; // NULL: digest only
    bool sealed_modules;
    char *telemetry_endpoint;      // NULL: no spans
    unsigned sample_ppm;           // of traces that begin here, in millionths
    char *origins[GR_CONFIG_KEYS]; // where each key was last set, NULL: default; for printing
};
// path NULL: $GRAYLING_CONFIG, else /etc/grayling/grayling.conf when it is there. `sets` are
// "SECTION.KEY=VALUE" and win over files; relative directories are taken there as they are. A later
// value replaces an earlier one; only Listen adds up, until an empty one or --set begins anew.
// Fails: -EINVAL "FILE:LINE: ..."; -ENOENT and what else reading a file may give; -ENOMEM.
GR_MUST_CHECK int gr_config_load(const char *path, char *const *sets, size_t n_sets,
                                 struct gr_config **ret, struct gr_error *e);
// Reads what gr_config_format() printed, also that of another daemon. `where` names it in refusals.
// Fails: as gr_config_load().
GR_MUST_CHECK int gr_config_restore(const char *where, const char *text, struct gr_config **ret,
                                    struct gr_error *e);
void gr_config_free(struct gr_config *c);
static inline void gr_config_freep(struct gr_config **c)
{
    gr_config_free(*c);
}
// The merge with "# from FILE" before each part, for `grayctl config cat`; caller frees.
char *gr_config_format(const struct gr_config *c);
