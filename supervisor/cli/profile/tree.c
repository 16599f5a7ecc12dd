// Names each frame by the file that it is of, and merges stacks from their outermost frame on.
#include "cli/profile/tree.h"
#include "cli/profile/symbols.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN "[unknown]"

struct naming { // what building needs of each image
    const struct gr_recording *r;
    struct gr_symbols **symbols;
    char (*labels)[GR_SYMBOL_TEXT_MAX]; // "pay-1.1.0"; of an image ""
};

// --- names ---------------------------------------------------------------------------------------

// "pay-1.1.0-0123456789abcdef.so", also with the number of a copy, is "pay-1.1.0".
static void label_of(const char *file, char ret[GR_SYMBOL_TEXT_MAX])
{
    snprintf(ret, GR_SYMBOL_TEXT_MAX, "%s", file);
    char *dash = strrchr(ret, '-'), *so = strstr(ret, ".so");
    if (dash && strspn(dash + 1, "0123456789abcdef") == 16 && dash[17] == '.')
        *dash = '\0';
    else if (so)
        *so = '\0';
}

// What separates in a folded stack, or does not belong in a line of text, is replaced.
static char *clean(const char *text)
{
    char *copy = strndup(text, GR_SYMBOL_TEXT_MAX);
    for (char *c = copy; c && *c; c++)
        if (*c == ';' || *c == ' ' || (unsigned char)*c < 0x20 || *c == 0x7f)
            *c = *c == ';' ? ':' : '_';
    return copy;
}

static int note_unread(struct gr_call_tree *t, const struct gr_recorded_image *m, int code)
{
    const char *why = code == -ESTALE    ? "it is another file by now (build-id)"
                      : code == -ENODATA ? "it names no function"
                                         : strerror(-code);
    char **grown = reallocarray(t->unread, t->n_unread + 1, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    t->unread = grown;
    return asprintf(&t->unread[t->n_unread++], "%s: %s", *m->path ? m->path : m->name, why) < 0
               ? (t->n_unread--, -ENOMEM)
               : 0;
}

static int prepare(struct naming *g, const struct gr_recording *r, struct gr_call_tree *t)
{
    g->r = r;
    g->symbols = calloc(r->n_images + 1, sizeof *g->symbols);
    g->labels = calloc(r->n_images + 1, sizeof *g->labels);
    int k = g->symbols && g->labels ? 0 : -ENOMEM;
    for (size_t i = 0; i < r->n_images && k == 0; i++) {
        const struct gr_recorded_image *m = &r->images[i];
        if (m->serial)
            label_of(m->name, g->labels[i]);
        int loaded =
            *m->path == '/' ? gr_symbols_load(m->path, m->build_id, &g->symbols[i]) : -ENOENT;
        // what is mapped without a file (linux-vdso.so.1) has none to read
        if (loaded < 0 && (m->serial || *m->path == '/'))
            k = note_unread(t, m, loaded);
    }
    return k;
}

static void forget(struct naming *g)
{
    for (size_t i = 0; g->symbols && i < g->r->n_images; i++)
        gr_symbols_free(g->symbols[i]);
    free(g->symbols);
    free(g->labels);
}

struct named {
    const char *function, *module;
    char text[GR_SYMBOL_TEXT_MAX + 2];
};

static void name_frame(const struct naming *g, const struct gr_recorded_frame *f, struct named *ret)
{
    const struct gr_recorded_image *m = gr_recording_find(g->r, f);
    *ret = (struct named){.function = UNKNOWN, .module = ""};
    if (!m)
        return;
    size_t i = (size_t)(m - g->r->images);
    ret->module = g->labels[i];
    uint64_t at = f->serial ? f->address : f->address - m->base;
    const char *function = g->symbols[i] ? gr_symbols_find(g->symbols[i], at) : NULL;
    if (!function && (*ret->module || *m->name)) {
        snprintf(ret->text, sizeof ret->text, "[%.*s]", GR_SYMBOL_TEXT_MAX - 1,
                 *ret->module ? ret->module : m->name);
        function = ret->text;
    }
    if (function)
        ret->function = function;
}

// "pay" is in "pay-1.1.0", and not in "pay-later-1.0.0".
static bool is_of(const char *label, const char *module)
{
    size_t n = strlen(module);
    return !strncmp(label, module, n) && label[n] == '-' && label[n + 1] >= '0' &&
           label[n + 1] <= '9';
}

// --- the tree ------------------------------------------------------------------------------------

static int child(struct gr_call_tree *t, struct gr_call_node *parent, const struct named *what,
                 struct gr_call_node **ret)
{
    struct gr_call_node **p = &parent->children;
    GR_AUTO_FREE char *function = clean(what->function), *module = clean(what->module);
    if (!function || !module)
        return -ENOMEM;
    for (; *p; p = &(*p)->next) {
        int order = strcmp((*p)->function, function);
        order = order ? order : strcmp((*p)->module, module);
        if (order == 0) {
            *ret = *p;
            return 0;
        }
        if (order > 0)
            break;
    }
    if (t->n >= GR_PROFILE_NODES_MAX)
        return -E2BIG;
    struct gr_call_node *new = calloc(1, sizeof *new);
    if (!new)
        return -ENOMEM;
    new->function = gr_steal(function);
    new->module = gr_steal(module);
    new->next = *p;
    *ret = *p = new;
    t->n++;
    return 0;
}

static bool has_module(const struct naming *g, const struct gr_recorded_stack *s,
                       const char *module)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct gr_recorded_image *m = gr_recording_find(g->r, &g->r->frames[s->first + i]);
        if (m && is_of(g->labels[m - g->r->images], module))
            return true;
    }
    return false;
}

static int add_stack(struct gr_call_tree *t, const struct naming *g,
                     const struct gr_recorded_stack *s)
{
    struct gr_call_node *path[GR_PROFILE_FRAMES_MAX + 1], *at = &t->root;
    size_t depth = 0;
    for (size_t i = s->n; i-- > 0 && depth < GR_PROFILE_FRAMES_MAX;) {
        struct named what;
        name_frame(g, &g->r->frames[s->first + i], &what);
        int k = child(t, at, &what, &at);
        if (k == -E2BIG) {
            t->dropped += s->count;
            return 0;
        }
        if (k < 0)
            return k;
        path[depth++] = at;
    }
    t->root.total += s->count;
    for (size_t i = 0; i < depth; i++)
        path[i]->total += s->count;
    at->self += s->count;
    return 0;
}

int gr_call_tree_build(const struct gr_recording *r, const char *module, struct gr_call_tree *ret)
{
    struct gr_call_tree t = {.root = {.function = strdup("grayling-worker"), .module = strdup("")}};
    struct naming g = {.r = r};
    int k = t.root.function && t.root.module ? prepare(&g, r, &t) : -ENOMEM;
    for (size_t i = 0; i < r->n_stacks && k == 0; i++)
        if (!module || has_module(&g, &r->stacks[i], module))
            k = add_stack(&t, &g, &r->stacks[i]);
    forget(&g);
    if (k < 0) {
        gr_call_tree_done(&t);
        return k;
    }
    *ret = t;
    return 0;
}

static void free_nodes(struct gr_call_node *n) // as deep as a stack may be
{
    for (struct gr_call_node *next; n; n = next) {
        next = n->next;
        free_nodes(n->children);
        free(n->function);
        free(n->module);
        free(n);
    }
}

void gr_call_tree_done(struct gr_call_tree *t)
{
    free_nodes(t->root.children);
    free(t->root.function);
    free(t->root.module);
    for (size_t i = 0; i < t->n_unread; i++)
        free(t->unread[i]);
    free(t->unread);
    *t = (struct gr_call_tree){0};
}

// --- folded stacks -------------------------------------------------------------------------------

struct path {
    const struct gr_call_node *node[GR_PROFILE_FRAMES_MAX + 2];
    size_t n;
};

static void fold(struct path *p, const struct gr_call_node *n, FILE *to)
{
    p->node[p->n++] = n;
    if (n->self > 0) {
        for (size_t i = 0; i < p->n; i++)
            fprintf(to, "%s%s%s%s", i ? ";" : "", p->node[i]->function,
                    *p->node[i]->module ? "@" : "", p->node[i]->module);
        fprintf(to, " %llu\n", (unsigned long long)n->self);
    }
    for (const struct gr_call_node *c = n->children; c; c = c->next)
        fold(p, c, to);
    p->n--;
}

void gr_call_tree_fold(const struct gr_call_tree *t, FILE *to)
{
    fold(&(struct path){.n = 0}, &t->root, to);
}

// --- functions -----------------------------------------------------------------------------------

static bool same(const struct gr_hot_function *f, const struct gr_call_node *n)
{
    return !strcmp(f->function, n->function) && !strcmp(f->module, n->module);
}

// Every node; the total of one that is inside itself is in the outer one already.
static void collect(struct path *p, const struct gr_call_node *n, struct gr_hot_function *all,
                    size_t *count)
{
    struct gr_hot_function one = {n->function, n->module, n->self, n->total};
    for (size_t i = 0; i < p->n; i++)
        if (same(&one, p->node[i]))
            one.total = 0;
    all[(*count)++] = one;
    p->node[p->n++] = n;
    for (const struct gr_call_node *c = n->children; c; c = c->next)
        collect(p, c, all, count);
    p->n--;
}

static int by_name(const void *a_, const void *b_)
{
    const struct gr_hot_function *a = a_, *b = b_;
    int order = strcmp(a->function, b->function);
    return order ? order : strcmp(a->module, b->module);
}

static int by_self(const void *a_, const void *b_)
{
    const struct gr_hot_function *a = a_, *b = b_;
    if (a->self != b->self)
        return a->self > b->self ? -1 : 1;
    if (a->total != b->total)
        return a->total > b->total ? -1 : 1;
    return by_name(a, b);
}

int gr_call_tree_functions(const struct gr_call_tree *t, struct gr_hot_function **ret,
                           size_t *ret_n)
{
    struct gr_hot_function *all = calloc(t->n + 1, sizeof *all);
    size_t n = 0, kept = 0;
    if (!all)
        return -ENOMEM;
    for (const struct gr_call_node *c = t->root.children; c; c = c->next)
        collect(&(struct path){.n = 0}, c, all, &n);
    if (n)
        qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++)
        if (kept && by_name(&all[kept - 1], &all[i]) == 0) {
            all[kept - 1].self += all[i].self;
            all[kept - 1].total += all[i].total;
        } else {
            all[kept++] = all[i];
        }
    if (kept)
        qsort(all, kept, sizeof *all, by_self);
    *ret = all;
    *ret_n = kept;
    return 0;
}
