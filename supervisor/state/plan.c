// Owns the plan: a pure function of wishes, the committed table and the quarantine.
#include "state/plan.h"
#include "base/buf.h"
#include <errno.h>
#include <string.h>

static const struct gr_wish *find_wish(const struct gr_wishes *w, const struct gr_name *module)
{
    for (size_t i = 0; w && i < w->n; i++)
        if (gr_name_equal(&w->wishes[i].module, module))
            return &w->wishes[i];
    return NULL;
}

static const struct gr_desired *in_force(const struct gr_table_rows *t,
                                         const struct gr_name *module)
{
    for (size_t i = 0; i < t->n; i++)
        if (gr_name_equal(&t->rows[i].module, module))
            return t->rows[i].release;
    return NULL;
}

// The code, or the code with this configuration.
static int convicted(const struct gr_conviction *c, size_t n, const struct gr_desired *d,
                     const struct gr_conviction **ret)
{
    struct gr_digest both;
    int k = n ? gr_desired_fingerprint(d, &both) : 0;
    *ret = NULL;
    for (size_t i = 0; k == 0 && i < n && !*ret; i++)
        if (gr_digest_equal(&c[i].digest, &d->digest) || gr_digest_equal(&c[i].digest, &both))
            *ret = &c[i];
    return k;
}

static void refuse_quarantined(struct gr_plan_item *it, const struct gr_conviction *c)
{
    char hex[GR_DIGEST_TEXT_MAX];
    bool code = gr_digest_equal(&c->digest, &it->to->digest);
    it->kind = GR_PLAN_REFUSE;
    gr_error_set(&it->refusal, -EKEYREJECTED, GR_REASON_QUARANTINED,
                 "%s %s is quarantined%s (%s: %.300s); expected %s without a conviction. "
                 "Publish a mended %s, or lift it: "
                 "grayctl quarantine lift %s --reason TEXT",
                 it->module.s, it->to->version.text, code ? "" : " with this configuration",
                 gr_reason_name(c->reason), c->evidence, code ? "a digest" : "a configuration",
                 code ? "build" : "configuration", gr_digest_format(&c->digest, hex));
}

// 1: there is something to do for this wish; 0: nothing. Fails: -ENOMEM.
static int item_of(const struct gr_wish *w, const struct gr_desired *from,
                   const struct gr_conviction *c, size_t n, struct gr_plan_item *it)
{
    *it = (struct gr_plan_item){.module = w->module, .to = w->desired, .from = from};
    if (!w->desired) {
        it->kind = GR_PLAN_REFUSE;
        it->refusal = w->error;
        return 1;
    }
    if (from && gr_desired_same_release(from, w->desired))
        return 0;
    it->kind = !from                                                 ? GR_PLAN_DEPLOY
               : gr_digest_equal(&from->digest, &w->desired->digest) ? GR_PLAN_RECONFIGURE
                                                                     : GR_PLAN_REPLACE;
    const struct gr_conviction *guilty;
    int k = convicted(c, n, w->desired, &guilty);
    if (guilty)
        refuse_quarantined(it, guilty);
    return k < 0 ? k : 1;
}

int gr_plan_make(const struct gr_wishes *before, const struct gr_wishes *now,
                 const struct gr_table_rows *actual, const struct gr_conviction *convictions,
                 size_t n_convictions, struct gr_plan **ret)
{
    struct gr_plan *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->rollout = now->revision;
    p->items = calloc(now->n + actual->n + 1, sizeof *p->items);
    if (!p->items) {
        free(p);
        return -ENOMEM;
    }
    for (size_t i = 0; i < now->n; i++) {
        const struct gr_wish *w = &now->wishes[i], *old = find_wish(before, &w->module);
        if (old && old->mod_revision == w->mod_revision)
            continue;
        int k =
            item_of(w, in_force(actual, &w->module), convictions, n_convictions, &p->items[p->n]);
        if (k < 0) {
            gr_plan_free(p);
            return k;
        }
        if (k > 0)
            p->refused |= p->items[p->n++].kind == GR_PLAN_REFUSE;
    }
    for (size_t i = 0; i < actual->n; i++) {
        const struct gr_name *module = &actual->rows[i].module;
        if (!find_wish(now, module) && (!before || find_wish(before, module)))
            p->items[p->n++] = (struct gr_plan_item){
                .kind = GR_PLAN_REMOVE, .module = *module, .from = actual->rows[i].release};
    }
    *ret = p;
    return 0;
}

void gr_plan_free(struct gr_plan *p)
{
    if (!p)
        return;
    free(p->items);
    free(p);
}

char *gr_plan_format(const struct gr_plan *p)
{
    static const char *const kinds[] = {"deploy", "replace", "reconfigure", "remove", "refused"};
    struct gr_buf b GR_AUTO_BUF = GR_BUF(1u << 20);
    int k = p->n ? 0 : gr_buf_printf(&b, "nothing to do\n");
    for (size_t i = 0; k == 0 && i < p->n; i++) {
        const struct gr_plan_item *it = &p->items[i];
        k = gr_buf_printf(&b, "%s %s -> %s (%s)%s%s\n", it->module.s,
                          it->from ? it->from->version.text : "none",
                          it->to ? it->to->version.text : "none", kinds[it->kind],
                          it->kind == GR_PLAN_REFUSE ? ": " : "", it->refusal.message);
    }
    return k < 0 ? NULL : gr_buf_take(&b, NULL);
}
