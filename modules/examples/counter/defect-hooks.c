// export_state() and import_state() fail at random: {"hook_failures_permille": 300, "seed": 7}.
#include "counter.h"

bool defect_configure(struct counter *c, const struct grayling_bytes *config,
                      char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "hook_failures_permille", .type = JSON_INTEGER},
                                  {.name = "seed", .type = JSON_INTEGER}};
    if (!json_read(config->data, config->size, fields, 2, JSON_REFUSE_UNKNOWN, why))
        return false;
    c->permille = (uint64_t)fields[0].integer;
    c->chance = (uint64_t)fields[1].integer * 2 + 1; // xorshift needs a start other than zero
    return true;
}

int32_t defect_of_hook(struct counter *c, struct grayling_state *out)
{
    (void)out;
    c->chance ^= c->chance << 13;
    c->chance ^= c->chance >> 7;
    c->chance ^= c->chance << 17;
    return (c->chance >> 20) % 1000 < c->permille ? GRAYLING_UNAVAILABLE : GRAYLING_OK;
}

int32_t defect_of_call(struct counter *c)
{
    (void)c;
    return GRAYLING_OK;
}
