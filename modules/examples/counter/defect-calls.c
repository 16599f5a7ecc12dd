// Increments fail at random, and what failed did not count: {"failures_permille": 500, "seed": 7}.
#include "counter.h"

bool defect_configure(struct counter *c, const struct grayling_bytes *config,
                      char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "failures_permille", .type = JSON_INTEGER},
                                  {.name = "seed", .type = JSON_INTEGER}};
    if (!json_read(config->data, config->size, fields, 2, JSON_REFUSE_UNKNOWN, why))
        return false;
    c->permille = (uint64_t)fields[0].integer;
    c->chance = (uint64_t)fields[1].integer;
    return true;
}

int32_t defect_of_hook(struct counter *c, struct grayling_state *out)
{
    (void)out;
    (void)c;
    return GRAYLING_OK;
}

// Calls run side by side: each takes a number of its own and mixes it.
int32_t defect_of_call(struct counter *c)
{
    uint64_t x = atomic_fetch_add(&c->calls, 1) + c->chance;
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return (x >> 40) % 1000 < c->permille ? GRAYLING_INTERNAL : GRAYLING_OK;
}
