// Who may speak to the admin address: pure judgements of a request's head.
#pragma once
#include <stdbool.h>

// Whether a Host header names this host. A page from elsewhere whose name was made to point here
// (DNS rebinding) asks with that name; so names count only when they are known: localhost, the
// host's own, the one that `listen` has, and those in `allowed` (separated by spaces; NULL: none).
// Addresses count always, and so does NULL, since a browser never leaves the header out.
bool gr_admin_host_is_ours(const char *host, const char *listen, const char *allowed);
// Whether a request comes from a page of this host: Origin and Sec-Fetch-Site as browsers send
// them, beside its Host. NULL: absent, as programs leave them.
bool gr_admin_is_same_origin(const char *origin, const char *site, const char *host);
// A page of another host can send a form's types without asking, but not this one.
bool gr_admin_is_json(const char *content_type);
