// One thread-specific value whose destructor detaches.
#include "worker/seat.h"
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void give_back(void *seat)
{
    gr_thread_detach(seat);
}

static void make_key(void)
{
    if (pthread_key_create(&key, give_back) != 0)
        abort();
}

struct gr_thread *gr_seat_take(struct gr_dispatch *d)
{
    pthread_once(&once, make_key);
    struct gr_thread *seat = pthread_getspecific(key);
    if (!seat && gr_thread_attach(d, &seat) == 0)
        pthread_setspecific(key, seat);
    return seat;
}
