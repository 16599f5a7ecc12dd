// A request that is sent to the pool: what of it travels, and how it comes back. Its connection is
// suspended meanwhile, so that the lane goes on with the others.
#pragma once
#include "worker/exchange.h"
#include "worker/metadata.h"
#include "worker/pool.h"

struct gr_errand;
// Copies what the lane's thread will not keep: names and fields of `q`, whose metadata is `m`.
// NULL: out of memory.
struct gr_errand *gr_errand_new(struct gr_exchange *x, const struct grayling_request *q,
                                const struct gr_metadata *m);
// Takes it; the exchange's connection is suspended, its place has room. Any thread.
void gr_errand_send(struct gr_errand *e);
// For the service's pool, whose userdata is the gr_service.
void gr_errand_work(void *service, struct gr_thread *seat, struct gr_task *t);
void gr_errand_done(void *service, struct gr_thread *seat, struct gr_task *t, bool given_up);
void gr_errand_late(void *service, struct gr_task *t);
void gr_errand_sent_back(void *service, struct gr_task *t); // its lane finds it another place
struct gr_exchange *gr_errand_exchange(struct gr_task *t);
