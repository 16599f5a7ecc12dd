// Hooks of state in the process of an isolated version. Whoever hands the state over waits here, on
// a thread of its own, for an answer or for the process's end; how long, the exchange decides.
#include "base/channel.h"
#include "worker/hook-message.h"
#include "worker/ward.h"
#include <errno.h>

static void finish(struct ward *w, int r)
{
    if (!w->hook || w->hook->done)
        return;
    w->hook->done = true;
    w->hook->r = r;
    pthread_cond_broadcast(&w->nursery->changed);
}

int gr_ward_hook(struct ward *w, struct gr_state_hook *h)
{
    struct gr_nursery *n = w->nursery;
    if (w->state != WARD_SERVING || w->channel < 0 || w->late.is || w->given_up || w->hook ||
        n->stopping)
        return -ENOTCONN;
    struct ward_hook mine = {.id = ++n->last_hook, .of = h};
    GR_AUTO_JSON cJSON *m = gr_hook_order(h, mine.id);
    int r = m ? gr_channel_send(w->channel, m, &h->fd, 1) : -ENOMEM;
    if (r < 0)
        return r;
    w->hook = &mine;
    n->waiting++;
    while (!mine.done && !n->stopping)
        pthread_cond_wait(&n->changed, &n->lock);
    w->hook = NULL;
    n->waiting--;
    pthread_cond_broadcast(&n->changed); // who stops the nursery waits for this thread
    return mine.done ? mine.r : -EPIPE;
}

void gr_ward_hooked(struct ward *w, const cJSON *m)
{
    if (!w->hook || w->hook->done)
        return;
    int r = gr_hook_read_answer(m, w->hook->id, w->hook->of);
    if (r != -ENOENT)
        finish(w, r);
}

void gr_ward_hook_lost(struct ward *w)
{
    finish(w, -EPIPE);
}
