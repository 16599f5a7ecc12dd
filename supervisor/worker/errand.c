// The fields' values are the connection's, which stays; everything else is copied.
#include "worker/errand.h"
#include "worker/lane.h"
#include "worker/route.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gr_errand {
    struct gr_task task; // first
    struct gr_exchange *exchange;
    struct grayling_request request;
    enum gr_call_result result;
    char interface_name[GR_INTERFACE_MAX + 1], method_name[GR_METHOD_MAX + 1];
    struct grayling_header headers[]; // then their names
};

struct gr_errand *gr_errand_new(struct gr_exchange *x, const struct grayling_request *q,
                                const struct gr_metadata *m)
{
    size_t fields = q->n_headers * sizeof(struct grayling_header);
    struct gr_errand *e = malloc(sizeof *e + fields + m->used);
    if (!e)
        return NULL;
    char *names = (char *)e->headers + fields;
    memcpy(names, m->names, m->used);
    e->task = (struct gr_task){.slot = x->place.slot, .until_usec = q->deadline_usec};
    e->exchange = x;
    e->request = *q;
    snprintf(e->interface_name, sizeof e->interface_name, "%s", q->interface_name);
    snprintf(e->method_name, sizeof e->method_name, "%s", q->method_name);
    for (uint32_t i = 0; i < q->n_headers; i++) {
        e->headers[i] = q->headers[i];
        uintptr_t at = (uintptr_t)q->headers[i].name - (uintptr_t)m->names;
        if (at < m->used) // else a constant
            e->headers[i].name = names + at;
    }
    e->request.interface_name = e->interface_name;
    e->request.method_name = e->method_name;
    e->request.headers = e->headers;
    return e;
}

static struct gr_errand *errand_of(struct gr_task *t)
{
    return (struct gr_errand *)(void *)t;
}

struct gr_exchange *gr_errand_exchange(struct gr_task *t)
{
    return errand_of(t)->exchange;
}

void gr_errand_send(struct gr_errand *e)
{
    gr_pool_put(e->exchange->service->pool, &e->task);
}

static void answer_without_seat(struct gr_errand *e)
{
    struct gr_response *r = &e->exchange->response;
    *r = (struct gr_response){.code = GRAYLING_UNAVAILABLE};
    snprintf(r->message, sizeof r->message, "no dispatch thread is free; try again");
    e->result = GR_CALL_DONE;
}

void gr_errand_work(void *service, struct gr_thread *seat, struct gr_task *t)
{
    struct gr_errand *e = errand_of(t);
    struct gr_exchange *x = e->exchange;
    (void)service;
    if (seat)
        e->result = gr_dispatch_call_placed(seat, &e->request, &x->place, &x->response);
    else
        answer_without_seat(e);
}

void gr_errand_done(void *service, struct gr_thread *seat, struct gr_task *t, bool given_up)
{
    struct gr_errand *e = errand_of(t);
    (void)service;
    gr_route_settle(e->exchange, seat, &e->request, e->result, given_up);
    free(e);
}

void gr_errand_late(void *service, struct gr_task *t)
{
    struct gr_errand *e = errand_of(t);
    struct gr_exchange *x = e->exchange;
    (void)service;
    x->late = true;
    free(e);
    gr_lane_resume(x);
}

void gr_errand_sent_back(void *service, struct gr_task *t)
{
    struct gr_errand *e = errand_of(t);
    struct gr_exchange *x = e->exchange;
    (void)service;
    free(e);
    gr_lane_resume(x);
}
