// In which version others provide what a version needs, by the table in force: for one whose
// process begins anew.
#include "dispatch/internal.h"
#include <stdio.h>

static const struct gr_record *record_of(const struct gr_table *t, const struct gr_instance *i)
{
    const struct gr_record *r = gr_table_module(t, i->contract->module.s);
    return r && (r->member.stable == i || r->member.candidate == i) ? r : NULL;
}

static const struct gr_version *provided(const struct gr_contract *c,
                                         const struct gr_contract_need *need)
{
    for (size_t k = 0; c && k < c->n_provides; k++)
        if (strcmp(c->provides[k].name, need->interface) == 0 &&
            gr_range_matches(&need->range, &c->provides[k].version))
            return &c->provides[k].version;
    return NULL;
}

bool gr_instance_peer(struct gr_instance *i, const struct gr_contract_need *need,
                      char ret_version[GR_VERSION_MAX + 1])
{
    struct gr_dispatch *d = i->dispatch;
    pthread_mutex_lock(&d->lock);
    const struct gr_table *t = atomic_load(&d->current);
    const struct gr_record *own = record_of(t, i);
    const struct gr_gray *trial = own && own->member.candidate == i ? own->member.gray : NULL;
    const struct gr_version *v = NULL;
    for (size_t k = 0; own && k < t->n_records && !v; k++) {
        const struct gr_member *m = &t->records[k].member;
        v = provided(trial && m->gray == trial ? m->candidate_contract : m->contract, need);
    }
    snprintf(ret_version, GR_VERSION_MAX + 1, "%s", v ? v->text : "");
    pthread_mutex_unlock(&d->lock);
    return own != NULL;
}
