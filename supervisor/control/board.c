// Owns the texts that are shown, and the numbers of their changes.
#include "control/board.h"
#include "base/json.h"
#include "base/limits.h"
#include "control/json-add.h"
#include "control/view-json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct gr_name module; // "": the host
    char *text;
    uint64_t changed;
};
struct gr_board {
    uint64_t change; // the newest one
    size_t n;
    struct entry entries[1 + 2 * GR_MODULES_MAX]; // the host first
};

int gr_board_new(struct gr_board **ret)
{
    struct gr_board *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->n = 1;
    *ret = b;
    return 0;
}

void gr_board_free(struct gr_board *b)
{
    for (size_t i = 0; b && i < b->n; i++)
        free(b->entries[i].text);
    free(b);
}

static int put(struct gr_board *b, struct entry *en, cJSON *take)
{
    char *text = take ? gr_json_format(take) : NULL;
    cJSON_Delete(take);
    if (!text)
        return -ENOMEM;
    if (en->text && strcmp(en->text, text) == 0) {
        free(text);
        return 0;
    }
    free(en->text);
    en->text = text;
    en->changed = ++b->change;
    return 0;
}

static const struct gr_view_module *in_view(const struct gr_view *v, const struct gr_name *name)
{
    for (size_t i = 0; i < v->n_modules; i++)
        if (gr_name_equal(&v->modules[i].module, name))
            return &v->modules[i];
    return NULL;
}

static void drop_gone(struct gr_board *b, const struct gr_view *v)
{
    for (size_t i = b->n; i-- > 1;)
        if (!in_view(v, &b->entries[i].module)) {
            free(b->entries[i].text);
            b->entries[i] = b->entries[--b->n];
        }
}

static struct entry *entry_of(struct gr_board *b, const struct gr_name *module)
{
    for (size_t i = 1; i < b->n; i++)
        if (gr_name_equal(&b->entries[i].module, module))
            return &b->entries[i];
    if (b->n == GR_COUNT(b->entries))
        return NULL;
    b->entries[b->n] = (struct entry){.module = *module};
    return &b->entries[b->n++];
}

static cJSON *host_json(const struct gr_view *v)
{
    cJSON *o = gr_view_host_to_json(v), *names = o ? cJSON_AddArrayToObject(o, "modules") : NULL;
    bool ok = names;
    for (size_t i = 0; ok && i < v->n_modules; i++)
        ok = gr_json_push(names, cJSON_CreateString(v->modules[i].module.s));
    return gr_json_whole(o, ok);
}

int gr_board_update(struct gr_board *b, const struct gr_view *v)
{
    drop_gone(b, v);
    int k = put(b, &b->entries[0], host_json(v));
    for (size_t i = 0; k == 0 && i < v->n_modules; i++) {
        struct entry *en = entry_of(b, &v->modules[i].module);
        if (en) // a view has no more modules than a board
            k = put(b, en, gr_board_module_json(&v->modules[i]));
    }
    return k;
}

static const struct entry *next_after(const struct gr_board *b, uint64_t seen)
{
    const struct entry *next = NULL;
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].text && b->entries[i].changed > seen &&
            (!next || b->entries[i].changed < next->changed))
            next = &b->entries[i];
    return next;
}

int gr_board_tell(const struct gr_board *b, uint64_t *seen, struct gr_buf *out)
{
    const struct entry *en;
    int k = 0;
    while (k == 0 && out->len < GR_STREAM_SAY_BYTES && (en = next_after(b, *seen))) {
        k = gr_buf_printf(out, "event: %s\ndata: %s\n\n", en == b->entries ? "host" : "module",
                          en->text);
        if (k == 0)
            *seen = en->changed;
    }
    return k;
}
