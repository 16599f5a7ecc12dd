// The way for much state: it lives in a memory object of the host's, which changes hands as it is.
// Worth it from some megabytes on; here it shows how. Schema 3 is `struct object`.
#include "counter.h"

struct object {
    uint64_t mark;
    struct kept kept;
};
#define MARK UINT64_C(0x636f756e74657233)

static struct object *make_object(const struct counter *c, int32_t *ret_memory)
{
    struct grayling_memory m = {.struct_size = sizeof m};
    if (!GRAYLING_HAS(c->host, memory_free) ||
        c->host->memory_new(c->host, sizeof(struct object), &m) != GRAYLING_OK)
        return NULL;
    struct object *o = m.data;
    o->mark = MARK;
    *ret_memory = m.fd;
    return o;
}

static struct object *object_of(const struct counter *c)
{
    return (struct object *)((char *)c->kept - offsetof(struct object, kept));
}

int32_t counter_keep(struct counter *c)
{
    struct object *o = make_object(c, &c->memory);
    if (!o)
        return GRAYLING_RESOURCE_EXHAUSTED;
    c->kept = &o->kept;
    return GRAYLING_OK;
}

int32_t counter_export(struct counter *c, struct grayling_state *out)
{
    out->memory = c->memory;
    out->memory_size = sizeof(struct object);
    return GRAYLING_OK;
}

// From a release that keeps its state otherwise: into a new object, for the one that this instance
// has may be somebody else's by now.
static struct object *copy_in(const struct counter *c, const struct grayling_state *in,
                              int32_t *ret_memory)
{
    struct snapshot s;
    struct object *o = snapshot_read(in, &s) ? make_object(c, ret_memory) : NULL;
    if (!o)
        return NULL;
    atomic_store(&o->kept.count, s.count);
    atomic_store(&o->kept.largest, s.largest);
    return o;
}

// The object as it is. Reads only: the version before goes on with it when the exchange fails.
static struct object *take_over(const struct grayling_state *in)
{
    struct object *o = (void *)in->bytes.data;
    return in->bytes.size == sizeof *o && o->mark == MARK ? o : NULL;
}

int32_t counter_import(struct counter *c, const struct grayling_state *in)
{
    int32_t memory = in->memory;
    struct object *o = memory >= 0 ? take_over(in) : copy_in(c, in, &memory);
    if (!o)
        return GRAYLING_DATA_LOSS;
    struct object *before = object_of(c);
    c->kept = &o->kept;
    c->memory = memory;
    if (before != o)
        c->host->memory_free(c->host, before);
    return GRAYLING_OK;
}
