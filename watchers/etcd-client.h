// The client's inner side, for the watch and the source: one endpoint for everything, and streams.
// Not for others.
#pragma once
#include "watchers/etcd-codec.h"

// From now on requests go to the present endpoint only; the owner moves on by itself.
void gr_etcd_pin(struct gr_etcd *c);
const char *gr_etcd_endpoint(const struct gr_etcd *c);
size_t gr_etcd_count_endpoints(const struct gr_etcd *c);
void gr_etcd_next_endpoint(struct gr_etcd *c);
// The next request logs in again.
void gr_etcd_forget_token(struct gr_etcd *c);

// A POST whose answer never ends, on a connection of its own. Needs a token already (any earlier
// request has one). max_bytes, url, headers and TLS are filled in; the caller sets callbacks.
GR_MUST_CHECK int gr_etcd_open_stream(struct gr_etcd *c, const char *path, const char *body,
                                      const struct gr_transfer_options *callbacks,
                                      struct gr_transfer **ret, struct gr_error *e);
