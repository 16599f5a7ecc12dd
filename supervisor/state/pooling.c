// Follows what contracts need to who provides it, nearest first.
#include "state/pooling.h"
#include "base/macros.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

struct search {
    const struct gr_contract *const *set;
    size_t n, n_queue, queue[GR_MODULES_MAX];
    bool seen[GR_MODULES_MAX];
    // The step with which the way to a module begins.
    const struct gr_contract_need *first[GR_MODULES_MAX];
    size_t neighbour[GR_MODULES_MAX];
};

static bool provides(const struct gr_contract *c, const struct gr_contract_need *need)
{
    for (size_t i = 0; c && i < c->n_provides; i++)
        if (strcmp(c->provides[i].name, need->interface) == 0)
            return gr_range_matches(&need->range, &c->provides[i].version);
    return false;
}

static void follow(struct search *s, size_t from, const struct gr_contract_need *needs, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t to = 0; to < s->n; to++) {
            if (s->seen[to] || !provides(s->set[to], &needs[k]))
                continue;
            bool near = from == s->queue[0];
            s->seen[to] = true;
            s->first[to] = near ? &needs[k] : s->first[from];
            s->neighbour[to] = near ? to : s->neighbour[from];
            s->queue[s->n_queue++] = to;
        }
}

// The nearest module of the pool that set[at] can call, or the one at `wanted`; s->n: none.
static size_t reach(struct search *s, size_t at, size_t wanted)
{
    s->seen[at] = true;
    s->queue[s->n_queue++] = at;
    for (size_t i = 0; i < s->n_queue; i++) {
        size_t here = s->queue[i];
        const struct gr_contract *c = s->set[here];
        if (here != at && c->execution_pool && (wanted == s->n || wanted == here))
            return here;
        follow(s, here, c->requires, c->n_requires);
        follow(s, here, c->optional, c->n_optional);
    }
    return s->n;
}

static void say(const struct search *s, size_t at, size_t found, char ret[GR_MESSAGE_MAX])
{
    const struct gr_contract *caller = s->set[at], *next = s->set[s->neighbour[found]],
                             *pool = s->set[found];
    char way[160] = "";
    if (next != pool)
        snprintf(way, sizeof way, " (and through it %s %.48s)", pool->module.s, pool->version.text);
    // each as long as it may be, and the whole still fits
    snprintf(ret, GR_MESSAGE_MAX,
             "%s %.48s declares execution: inline and can call %s of %s %.48s%s, which declares "
             "execution: pool: each request to %s, whether it makes that call or not, is handed "
             "to the pool's threads, by a share of its own (PoolThreads at once, PoolQueue "
             "waiting), and the call stays on its caller's thread. Let %s declare execution: pool, "
             "or do without the call",
             caller->module.s, caller->version.text, s->first[found]->interface, next->module.s,
             next->version.text, way, caller->module.s, caller->module.s);
}

static bool say_of(const struct gr_contract *const *set, size_t n, size_t at, size_t wanted,
                   char ret[GR_MESSAGE_MAX])
{
    struct search s = {.set = set, .n = n};
    size_t found = reach(&s, at, wanted);
    if (found == n)
        return false;
    say(&s, at, found, ret);
    return true;
}

bool gr_pooling_say(const struct gr_contract *const *set, size_t n, size_t at,
                    char ret[GR_MESSAGE_MAX])
{
    assert(n <= GR_MODULES_MAX);
    ret[0] = '\0';
    if (!set[at])
        return false;
    if (!set[at]->execution_pool)
        return say_of(set, n, at, n, ret);
    for (size_t i = 0; i < n; i++)
        if (i != at && set[i] && !set[i]->execution_pool && say_of(set, n, i, at, ret))
            return true;
    return false;
}
