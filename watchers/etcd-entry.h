// Which keys of etcd are documents, and which of those can be used. Pure.
#pragma once
#include "base/buf.h"
#include "watchers/source.h"

// "/modules/{service}/". Fails: -ENOMEM.
GR_MUST_CHECK int gr_etcd_service_prefix(const struct gr_name *service, struct gr_buf *ret);
// Makes an entry of a key below the prefix: 1 filled (perhaps with an error in it; the value is
// taken out of kv), 0: the key has another shape than {module}/v2 and is none of ours.
int gr_etcd_entry_from_kv(struct gr_bytes prefix, struct gr_etcd_kv *kv, struct gr_entry *ret);
