// Packs, seals and unpacks. A memory object goes as a copy, and is a memory object again where it
// arrives: the module sees no difference.
#include "dispatch/carry.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>

_Static_assert(GR_CARRY_WHY_MAX == GR_HOOK_WHERE_MAX, "passed on whole");

static int put(int fd, const void *data, uint64_t size, char why[GR_CARRY_WHY_MAX])
{
    int r = gr_parcel_put(fd, data, size);
    if (r == -EFBIG)
        snprintf(why, GR_CARRY_WHY_MAX,
                 "says %llu bytes, and at most %llu go from one process to another",
                 (unsigned long long)size, (unsigned long long)GR_STATE_BYTES_MAX);
    else if (r == -EFAULT)
        snprintf(why, GR_CARRY_WHY_MAX, "says %llu bytes, and not all of them are there",
                 (unsigned long long)size);
    else if (r < 0)
        snprintf(why, GR_CARRY_WHY_MAX, "gave %llu bytes that cannot be written: %s",
                 (unsigned long long)size, strerror(-r));
    return r;
}

static int pack_object(struct gr_instance *from, const struct grayling_state *given, int fd,
                       struct gr_parcel_label *ret, char why[GR_CARRY_WHY_MAX])
{
    struct gr_memory *m;
    struct grayling_bytes all;
    int own;
    int r = gr_memory_borrow(from, given->memory, given->memory_size, &m, why);
    if (r < 0)
        return r;
    gr_memory_describe(m, &all, &own);
    r = put(fd, all.data, given->memory_size, why);
    gr_memory_return(from, m);
    ret->size = given->memory_size;
    ret->object = all.size;
    return r;
}

int gr_carry_pack(struct gr_instance *from, const struct grayling_state *given, int fd,
                  struct gr_parcel_label *ret, char why[GR_CARRY_WHY_MAX])
{
    *ret = (struct gr_parcel_label){.schema = given->schema, .size = given->bytes.size};
    if (given->memory >= 0)
        return pack_object(from, given, fd, ret, why);
    if (!given->bytes.data && given->bytes.size > 0) {
        snprintf(why, GR_CARRY_WHY_MAX, "says %llu bytes and gives none",
                 (unsigned long long)given->bytes.size);
        return -EPROTO;
    }
    return put(fd, given->bytes.data, given->bytes.size, why);
}

int gr_carry_seal(int fd, char why[GR_CARRY_WHY_MAX])
{
    int r = gr_parcel_seal(fd);
    if (r < 0)
        snprintf(why, GR_CARRY_WHY_MAX,
                 "gave state that its process can still change: it cannot be sealed (%s)",
                 strerror(-r));
    return r;
}

static int into_object(struct gr_instance *to, const struct gr_parcel_label *l,
                       struct gr_carried *c)
{
    struct grayling_bytes all;
    int fd;
    int r = gr_memory_new(to, l->object, &c->memory);
    if (r < 0)
        return r;
    gr_memory_describe(c->memory, &all, &fd);
    if (l->size > 0)
        memcpy((void *)all.data, c->view.data, l->size);
    gr_parcel_close(&c->view);
    c->state.bytes = (struct grayling_bytes){all.data, l->size};
    c->state.memory = fd;
    c->state.memory_size = l->size;
    return 0;
}

int gr_carry_unpack(struct gr_instance *to, int fd, const struct gr_parcel_label *l,
                    struct gr_carried *ret, char why[GR_CARRY_WHY_MAX])
{
    *ret = (struct gr_carried){0};
    int r = gr_parcel_open(fd, l, &ret->view);
    if (r == 0) {
        ret->state = (struct grayling_state){.struct_size = sizeof(ret->state),
                                             .schema = l->schema,
                                             .bytes = ret->view,
                                             .memory = -1};
        r = l->object > 0 ? into_object(to, l, ret) : 0;
    }
    if (r < 0) {
        gr_parcel_close(&ret->view);
        snprintf(why, GR_CARRY_WHY_MAX, "gave state that cannot be taken out of its parcel: %s",
                 r == -EPROTO ? "it is shorter than was said" : strerror(-r));
    }
    return r;
}

void gr_carry_done(struct gr_instance *to, struct gr_carried *c, bool taken_over)
{
    struct grayling_bytes all;
    int fd;
    gr_parcel_close(&c->view);
    if (c->memory && !taken_over) {
        gr_memory_describe(c->memory, &all, &fd);
        gr_memory_let_go(to, all.data);
    }
    c->memory = NULL;
}
