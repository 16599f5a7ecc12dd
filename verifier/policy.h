// Where artifacts may come from: schemes, hosts, addresses and directories that the operator
// allows. Pure: a parsed configuration and the questions put to it; no I/O, no clock.
#pragma once
#include "base/error.h"
#include <sys/socket.h>

struct gr_policy;

// The lists are separated by white space; NULL is the empty list.
// Owns: *ret by caller. Fails: -EINVAL (a scheme, range or directory that is none; *e names the
// key), -ENOMEM.
GR_MUST_CHECK int gr_policy_new(const char *allow_schemes, const char *allow_hosts,
                                const char *file_roots, struct gr_policy **ret, struct gr_error *e);
struct gr_policy *gr_policy_ref(struct gr_policy *p);
void gr_policy_unref(struct gr_policy *p); // NULL is fine

struct gr_source {
    char *label;      // for sentences: the address without user, password and query
    char *url;        // as curl normalised it, without its fragment; NULL for a file
    char *scheme;     // "https", "http", "file"
    char *host;       // "" for a file
    const char *root; // file: the directory of FileRoots (the policy's)
    char *path;       // file: the path below the root
};
// Takes one source apart and judges what is judged before a connection: form, scheme, user names,
// host, directory. `from` is the source that redirected here, or NULL. Owns: *ret by caller
// (gr_source_done). Fails: SourceRefused.
GR_MUST_CHECK int gr_policy_parse(const struct gr_policy *p, const char *text,
                                  const struct gr_source *from, struct gr_source *ret,
                                  struct gr_error *e);
void gr_source_done(struct gr_source *s);

// Judges the address that the name resolved to, before connecting: this is what a rebinding name
// server cannot go around. Fails: -EACCES with SourceRefused.
GR_MUST_CHECK int gr_policy_check_address(const struct gr_policy *p, const struct gr_source *s,
                                          const struct sockaddr *sa, socklen_t len,
                                          struct gr_error *e);
