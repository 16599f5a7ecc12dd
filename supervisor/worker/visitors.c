// A list under a lock for arrival and departure; one atomic word each for what happens in between.
#include "worker/visitors.h"
#include "base/limits.h"
#include <stdlib.h>
#include <sys/socket.h>

#define VISIT_BITS 3 // the low bits of the word; the second stands above them

static const uint32_t seconds_allowed[] = {
    [GR_VISIT_NEW] = GR_HEAD_SEC_MAX,  [GR_VISIT_HEAD] = GR_HEAD_SEC_MAX,
    [GR_VISIT_BODY] = GR_BODY_SEC_MAX, [GR_VISIT_BUSY] = UINT32_MAX, // the deadline's affair
    [GR_VISIT_IDLE] = GR_IDLE_SEC_MAX, [GR_VISIT_GIVEN_UP] = UINT32_MAX,
};

void gr_visitors_init(struct gr_visitors *v)
{
    *v = (struct gr_visitors){0};
    pthread_mutex_init(&v->lock, NULL);
}

struct gr_visitor *gr_visitors_add(struct gr_visitors *v, int fd, const void *lane)
{
    struct gr_visitor *n = malloc(sizeof *n);
    if (!n)
        return NULL;
    *n = (struct gr_visitor){.fd = fd, .lane = lane};
    gr_visitor_set(v, n, GR_VISIT_NEW);
    pthread_mutex_lock(&v->lock);
    n->next = v->first;
    if (n->next)
        n->next->previous = n;
    v->first = n;
    v->open++;
    v->total++;
    pthread_mutex_unlock(&v->lock);
    return n;
}

static enum gr_visit read_state(const struct gr_visitor *visitor, uint32_t *ret_since)
{
    uint32_t state = atomic_load_explicit(&visitor->state, memory_order_relaxed);
    *ret_since = state >> VISIT_BITS;
    return (enum gr_visit)(state & ((1u << VISIT_BITS) - 1));
}

bool gr_visitors_remove(struct gr_visitors *v, struct gr_visitor *visitor)
{
    uint32_t since;
    if (!visitor)
        return true;
    bool counted = read_state(visitor, &since) != GR_VISIT_GIVEN_UP;
    pthread_mutex_lock(&v->lock);
    if (visitor->next)
        visitor->next->previous = visitor->previous;
    if (visitor->previous)
        visitor->previous->next = visitor->next;
    else
        v->first = visitor->next;
    v->open -= counted;
    pthread_mutex_unlock(&v->lock);
    free(visitor);
    return counted;
}

void gr_visitors_cut_stalled(struct gr_visitors *v, const void *lane, void (*tell)(int fd))
{
    uint32_t since;
    char unread;
    pthread_mutex_lock(&v->lock);
    for (struct gr_visitor *i = v->first; i; i = i->next)
        if (i->lane == lane && read_state(i, &since) == GR_VISIT_BODY &&
            recv(i->fd, &unread, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
            tell(i->fd);
            shutdown(i->fd, SHUT_RDWR);
        }
    pthread_mutex_unlock(&v->lock);
}

bool gr_visitors_give_up(struct gr_visitors *v, struct gr_visitor *visitor)
{
    if (!visitor)
        return false;
    pthread_mutex_lock(&v->lock);
    gr_visitor_set(v, visitor, GR_VISIT_GIVEN_UP);
    v->open--;
    pthread_mutex_unlock(&v->lock);
    return true;
}

void gr_visitor_set(struct gr_visitors *v, struct gr_visitor *visitor, enum gr_visit visit)
{
    if (!visitor)
        return;
    uint32_t second = atomic_load_explicit(&v->second, memory_order_relaxed);
    atomic_store_explicit(&visitor->state, second << VISIT_BITS | visit, memory_order_relaxed);
}

void gr_visitors_tick(struct gr_visitors *v)
{
    uint32_t now = atomic_fetch_add(&v->second, 1) + 1, since;
    pthread_mutex_lock(&v->lock);
    for (struct gr_visitor *i = v->first; i; i = i->next) {
        enum gr_visit visit = read_state(i, &since);
        if (now - since > seconds_allowed[visit])
            shutdown(i->fd, SHUT_RDWR); // its thread sees the end and closes it
    }
    pthread_mutex_unlock(&v->lock);
}

void gr_visitors_count(struct gr_visitors *v, uint64_t *ret_open, uint64_t *ret_total,
                       uint64_t *ret_busy)
{
    uint32_t since;
    *ret_busy = 0;
    pthread_mutex_lock(&v->lock);
    for (struct gr_visitor *i = v->first; i; i = i->next) {
        enum gr_visit visit = read_state(i, &since);
        *ret_busy += visit == GR_VISIT_HEAD || visit == GR_VISIT_BODY || visit == GR_VISIT_BUSY;
    }
    *ret_open = v->open;
    *ret_total = v->total;
    pthread_mutex_unlock(&v->lock);
}
