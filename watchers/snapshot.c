// Snapshots as values: copied, compared, searched, freed. Pure.
#include "base/limits.h"
#include "watchers/source-internal.h"
#include <errno.h>
#include <string.h>

void gr_entry_done(struct gr_entry *e)
{
    free(e->value);
    e->value = NULL;
}

void gr_snapshot_free(struct gr_snapshot *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        gr_entry_done(&s->entries[i]);
    free(s->entries);
    free(s->gone);
    free(s);
}

struct gr_entry *gr_snapshot_add(struct gr_snapshot *s)
{
    struct gr_entry *entries = reallocarray(s->entries, s->n + 1, sizeof *entries);
    if (!entries)
        return NULL;
    s->entries = entries;
    entries[s->n] = (struct gr_entry){0};
    return &entries[s->n++];
}

static struct gr_gone *find_gone(struct gr_snapshot *s, const struct gr_name *module)
{
    for (size_t i = 0; i < s->n_gone; i++)
        if (gr_name_equal(&s->gone[i].module, module))
            return &s->gone[i];
    return NULL;
}

// Where one more note goes: behind the others, or in place of the oldest.
static struct gr_gone *room_for_gone(struct gr_snapshot *s)
{
    if (s->n_gone == GR_MODULES_MAX) {
        struct gr_gone *oldest = s->gone;
        for (size_t i = 1; i < s->n_gone; i++)
            if (s->gone[i].revision < oldest->revision)
                oldest = &s->gone[i];
        return oldest;
    }
    struct gr_gone *more = reallocarray(s->gone, s->n_gone + 1, sizeof *more);
    if (!more)
        return NULL;
    s->gone = more;
    return &more[s->n_gone++];
}

void gr_snapshot_note_gone(struct gr_snapshot *s, const struct gr_name *module, int64_t revision)
{
    struct gr_gone *g = find_gone(s, module);
    if (g && g->revision >= revision)
        return;
    if (!g)
        g = room_for_gone(s);
    if (g)
        *g = (struct gr_gone){.module = *module, .revision = revision};
}

void gr_snapshot_inherit_gone(struct gr_snapshot *s, const struct gr_snapshot *from)
{
    for (size_t i = 0; i < from->n_gone; i++)
        if (!gr_snapshot_find(s, &from->gone[i].module))
            gr_snapshot_note_gone(s, &from->gone[i].module, from->gone[i].revision);
}

void gr_snapshot_forget_gone(struct gr_snapshot *s, const struct gr_snapshot *held)
{
    for (size_t i = 0; i < s->n_gone;) {
        const struct gr_entry *e = gr_snapshot_find(held, &s->gone[i].module);
        if (e && e->mod_revision > s->gone[i].revision)
            s->gone[i] = s->gone[--s->n_gone];
        else
            i++;
    }
}

int gr_snapshot_copy(const struct gr_snapshot *s, struct gr_snapshot **ret)
{
    GR_CLEANUP(gr_snapshot_freep) struct gr_snapshot *copy = calloc(1, sizeof *copy);
    if (!copy)
        return -ENOMEM;
    copy->cluster_id = s->cluster_id;
    copy->revision = s->revision;
    gr_snapshot_inherit_gone(copy, s);
    for (size_t i = 0; i < s->n; i++) {
        const struct gr_entry *from = &s->entries[i];
        struct gr_entry *to = gr_snapshot_add(copy);
        if (!to)
            return -ENOMEM;
        *to = *from;
        to->value = NULL;
        if (!from->value)
            continue;
        to->value = malloc(from->value_len + 1);
        if (!to->value)
            return -ENOMEM;
        memcpy(to->value, from->value, from->value_len);
        to->value[from->value_len] = '\0';
    }
    *ret = gr_steal(copy);
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct gr_entry *x = a, *y = b;
    int c = strcmp(x->module.s, y->module.s);
    return c ? c : strcmp(x->error.message, y->error.message);
}

void gr_snapshot_sort(struct gr_snapshot *s)
{
    if (s->n)
        qsort(s->entries, s->n, sizeof *s->entries, compare_entries);
}

bool gr_snapshot_same(const struct gr_snapshot *a, const struct gr_snapshot *b)
{
    if (a->cluster_id != b->cluster_id || a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct gr_entry *x = &a->entries[i], *y = &b->entries[i];
        if (!gr_name_equal(&x->module, &y->module) || x->mod_revision != y->mod_revision ||
            x->create_revision != y->create_revision || strcmp(x->error.message, y->error.message))
            return false;
    }
    return true;
}

const struct gr_entry *gr_snapshot_find(const struct gr_snapshot *s, const struct gr_name *module)
{
    for (size_t i = 0; i < s->n; i++)
        if (gr_name_equal(&s->entries[i].module, module))
            return &s->entries[i];
    return NULL;
}
