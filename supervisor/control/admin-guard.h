// Who may speak to the admin address: pure judgements of a request's head.
#pragma once
#include <stdbool.h>

// Whether a Host header names this host. A page from elsewhere whose name was made to point here
// (DNS rebinding) asks with that name; so names count only when they are known: localhost, the
// host's own, the one that `listen` has, and those in `allowed` (separated by spaces; NULL: none).
// Addresses count always, and so does NULL, since a browser never leaves the header out.
bool gr_admin_host_is_ours(const char *host, const char *listen, const char *allowed);
