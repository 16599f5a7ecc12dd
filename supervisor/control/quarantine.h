// The fleet's quarantine: the keys /grayling/v1/{service}/quarantine/{sha256} are followed, what
// other hosts convicted is honoured here and kept in the journal, so that it counts while etcd is
// away, too; what this host convicted or lifted is written there when it is missing. A lift stays
// in its key as a record of who and why, so that whoever was down meanwhile learns of it.
#pragma once
#include "state/journal.h"
#include "watchers/source.h"

struct gr_quarantine_ops { // the journal has it already
    void (*learned)(void *u, const struct gr_conviction *c);
    void (*lifted)(void *u, const struct gr_conviction *c, const struct gr_lift *lift);
    void *userdata;
};
struct gr_quarantine;
// `instance` is this host, whose convictions are written. The journal is borrowed. transport NULL:
// nothing is followed or written (tests). Fails: as gr_etcd_new() and gr_source_etcd_new().
GR_MUST_CHECK int gr_quarantine_new(sd_event *event, struct gr_transport *t,
                                    const struct gr_etcd_config *config,
                                    const struct gr_name *service, const struct gr_name *instance,
                                    struct gr_journal *journal, const struct gr_quarantine_ops *ops,
                                    struct gr_quarantine **ret, struct gr_error *e);
void gr_quarantine_free(struct gr_quarantine *q);
// What etcd holds now.
void gr_quarantine_take(struct gr_quarantine *q, const struct gr_snapshot *s);
// The journal has changed: writes what etcd lacks. NULL is fine.
void gr_quarantine_touch(struct gr_quarantine *q);
void gr_quarantine_accept_rewind(struct gr_quarantine *q); // NULL is fine
