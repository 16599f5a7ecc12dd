// An artifact server of a throw-away instance, which misbehaves on request: GET /HOW/FILE.
#pragma once
#include "base/error.h"

struct gr_misserver;
// Serves the files of `directory` on 127.0.0.1, in threads of its own. HOW is whole, truncated
// (half of it, then the connection closes), shorter (half of it, and says so), reset, endless,
// huge, missing, broken, stalled, private (redirects to a private address) or circle (to itself).
// *ret_url is "http://127.0.0.1:PORT", of 64 bytes. Fails: -ENOMEM, -EADDRINUSE.
GR_MUST_CHECK int gr_misserver_new(const char *directory, struct gr_misserver **ret,
                                   char ret_url[64], struct gr_error *e);
void gr_misserver_free(struct gr_misserver *s); // NULL is fine
