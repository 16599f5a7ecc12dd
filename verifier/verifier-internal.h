// The verifier behind verify.h: what all verifications share. Private to this directory.
#pragma once
#include "base/child.h"
#include "verifier/policy.h"
#include "verifier/store.h"
#include "verifier/verify.h"

struct gr_verifier {
    sd_event *event;
    struct gr_transport *transport;
    struct gr_store *store;
    struct gr_policy *policy;            // each fetch keeps the one that it began with
    struct gr_program preflight, writer; // grayling-preflight, grayling-store
    char *store_dir, *ca_file;
    uint64_t max_bytes;
    bool sealed;
};
