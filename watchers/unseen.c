// See unseen.h. The cap bounds how much is compared: every change with every other.
#include "watchers/unseen.h"

void gr_unseen_note(struct gr_unseen *u, const struct gr_name *module, int64_t revision)
{
    if (revision > u->newest)
        u->newest = revision;
    if (u->n == GR_ETCD_UNSEEN_MAX)
        u->too_many = true;
    else
        u->changes[u->n++] = (struct gr_change){.module = *module, .revision = revision};
}

static bool is_hidden(const struct gr_unseen *u, const struct gr_change *c)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->changes[i].revision > c->revision &&
            gr_name_equal(&u->changes[i].module, &c->module))
            return true;
    return false;
}

static bool is_torn(const struct gr_unseen *u, int64_t revision)
{
    bool hidden = false, shown = false;
    for (size_t i = 0; i < u->n && !(hidden && shown); i++)
        if (u->changes[i].revision == revision)
            *(is_hidden(u, &u->changes[i]) ? &hidden : &shown) = true;
    return hidden && shown;
}

int64_t gr_unseen_torn(const struct gr_unseen *u)
{
    int64_t asked = 0;
    for (size_t i = 0; i < u->n && !u->too_many; i++) {
        int64_t revision = u->changes[i].revision;
        if (revision != asked && is_torn(u, revision))
            return revision;
        asked = revision;
    }
    return 0;
}

void gr_unseen_forget(struct gr_unseen *u, int64_t revision)
{
    size_t kept = 0;
    for (size_t i = 0; i < u->n; i++)
        if (u->changes[i].revision > revision)
            u->changes[kept++] = u->changes[i];
    u->n = kept;
    u->too_many = u->too_many && u->newest > revision;
}
