// The usual way: the state is the module's own, and goes as a copy.
#include "counter.h"

int32_t counter_keep(struct counter *c)
{
    (void)c;
    return GRAYLING_OK;
}

int32_t counter_export(struct counter *c, struct grayling_state *out)
{
    struct snapshot s = {atomic_load(&c->kept->count), atomic_load(&c->kept->largest)};
    return snapshot_write(c->host, &s, COUNTER_SCHEMA, out);
}

// Reads all before it changes anything.
int32_t counter_import(struct counter *c, const struct grayling_state *in)
{
    struct snapshot s;
    if (!snapshot_read(in, &s))
        return GRAYLING_DATA_LOSS;
    atomic_store(&c->kept->count, s.count);
    atomic_store(&c->kept->largest, s.largest);
    return GRAYLING_OK;
}
