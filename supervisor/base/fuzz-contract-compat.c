// Any two contracts, one a line: each finding has a sentence, what differs in neither order breaks
// nothing in the other, and a step that is one way is so in both directions.
#include "base/contract-compat.h"
#include "base/handover.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gr_compat *compare(const struct gr_contract *from, const struct gr_contract *to)
{
    struct gr_compat *c = NULL;
    if (gr_contract_compare(from, to, &c) < 0)
        return NULL;
    for (size_t i = 0; i < c->n; i++)
        if (!c->findings[i].sentence[0] || !c->findings[i].subject[0] ||
            (int)c->findings[i].kind >= (int)GR_COMPAT_KIND_COUNT)
            abort();
    return c;
}

// Of one interface that both provide: what a step to its version may be called.
static void check_steps(const struct gr_contract *from, const struct gr_contract *to)
{
    for (size_t i = 0; i < from->n_provides; i++)
        for (size_t k = 0; k < to->n_provides; k++) {
            const struct gr_version *a = &from->provides[i].version, *b = &to->provides[k].version;
            enum gr_version_step there = gr_version_step_between(a, b);
            enum gr_version_step back = gr_version_step_between(b, a);
            if ((there == GR_VERSION_SAME) != (back == GR_VERSION_SAME) ||
                (there != GR_VERSION_SAME &&
                 (there == GR_VERSION_BACK) == (back == GR_VERSION_BACK)))
                abort();
        }
}

static void judge(const struct gr_contract *from, const struct gr_contract *to)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *there = compare(from, to);
    GR_CLEANUP(gr_compat_freep) struct gr_compat *back = compare(to, from);
    if (!there || !back)
        return;
    if ((there->n == 0 && gr_compat_first(back, GR_COMPAT_BREAKING)) ||
        (back->n == 0 && gr_compat_first(there, GR_COMPAT_BREAKING)))
        abort();
    check_steps(from, to);
    struct gr_error why = {0};
    if ((gr_handover_between(from, to, &why) == GR_HANDOVER_IMPOSSIBLE) != (why.message[0] != '\0'))
        abort();
    if (gr_handover_is_one_way(from, to) != gr_handover_is_one_way(to, from))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GR_CLEANUP(gr_contract_freep) struct gr_contract *from = NULL;
    GR_CLEANUP(gr_contract_freep) struct gr_contract *to = NULL;
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end)
        return 0;
    size_t first = (size_t)(end - data);
    if (gr_contract_parse((const char *)data, first, &from, NULL) == 0 &&
        gr_contract_parse((const char *)end + 1, size - first - 1, &to, NULL) == 0)
        judge(from, to);
    return 0;
}
