// Which keys of etcd are documents, and which of those can be used. Pure.
#pragma once
#include "watchers/source.h"

// Makes an entry of a key below the prefix: 1 filled (perhaps with an error in it; the value is
// taken out of kv), 0: the key has another shape than prefix, name, suffix and is none of ours.
int gr_etcd_entry_from_kv(const struct gr_source_keys *keys, struct gr_etcd_kv *kv,
                          struct gr_entry *ret);
