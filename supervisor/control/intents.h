// Operators' intents (INTERFACES §4): follows the service's intent keys, hands each new one over as
// an order, once, and keeps what came of it. What an order means is the manager's business; a
// source of intents that is away delays orders and nothing else.
#pragma once
#include "base/limits.h"
#include "state/journal.h"
#include "state/order.h"
#include "watchers/source.h"

struct gr_intents_ops { // called from the event loop
    // 0: obeyed; -EAGAIN: it cannot be said yet, and gr_intents_look_again() or, after some
    // seconds, a timer tries once more; else refused, with a sentence. `late`: it was waited for.
    int (*obey)(void *u, const struct gr_name *module, int64_t revision, const struct gr_order *o,
                bool late, struct gr_error *e);
    // It was obeyed or refused. `o` NULL: it could not be read.
    void (*answered)(void *u, const struct gr_intent_row *row, const struct gr_order *o);
    void *userdata;
};
struct gr_intents;
// Takes up from the journal what was answered before. Fails: as the journal.
GR_MUST_CHECK int gr_intents_new(struct gr_journal *j, const struct gr_intents_ops *ops,
                                 struct gr_intents **ret, struct gr_error *e);
// Follows the keys from now on. Fails: as gr_source_etcd_new().
GR_MUST_CHECK int gr_intents_follow(struct gr_intents *in, sd_event *event, struct gr_transport *t,
                                    const struct gr_etcd_config *config,
                                    const struct gr_name *service, struct gr_error *e);
void gr_intents_free(struct gr_intents *in); // NULL is fine; not from inside an operation
// All intents at one revision: obeys those that are new, in the order in which they were written.
void gr_intents_take(struct gr_intents *in, const struct gr_snapshot *s);
void gr_intents_look_again(struct gr_intents *in); // what was put off; NULL is fine
// The operator says that the restored or foreign etcd is right.
void gr_intents_accept_rewind(struct gr_intents *in); // NULL is fine
// Results of a module's newest intents, newest first; borrowed until the next turn of the loop.
size_t gr_intents_results(const struct gr_intents *in, const struct gr_name *module,
                          const struct gr_intent_row **ret);
// Why no intents come; NULL: they do.
const char *gr_intents_trouble(const struct gr_intents *in);
