// Owns which intents were answered. An intent stays in its key when what it meant has passed:
// whether it is new is told by its revision, which is journaled once it was answered; whether it
// still fits, by the rollout and the step that it names. So an intent that is met again after a
// start that came between effect and journal is refused, and nothing happens twice.
#include "control/intents.h"
#include "base/fault.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answers { // of one module
    struct gr_name module;
    size_t n;
    struct gr_intent_row rows[GR_INTENTS_KEPT]; // newest first
    bool forgotten;                             // they count no more: another etcd was accepted
};
#define PATIENCE_USEC (5 * GR_USEC_PER_SEC) // for a document that an intent has overtaken

struct gr_intents {
    sd_event *event; // NULL: nothing is followed
    sd_event_source *patience;
    bool late; // what is put off now was waited for
    struct gr_journal *journal;
    struct gr_intents_ops ops;
    struct gr_source *source;
    struct gr_snapshot *last; // for what was put off; NULL: nothing was
    char trouble[GR_MESSAGE_MAX];
    size_t n;
    struct answers *modules;
};

// --- what was answered
// ----------------------------------------------------------------------------

static struct answers *find(const struct gr_intents *in, const struct gr_name *module)
{
    for (size_t i = 0; i < in->n; i++)
        if (gr_name_equal(&in->modules[i].module, module))
            return &in->modules[i];
    return NULL;
}

static struct answers *make(struct gr_intents *in, const struct gr_name *module)
{
    struct answers *a = find(in, module);
    if (a || in->n == 2 * GR_MODULES_MAX)
        return a;
    struct answers *more = reallocarray(in->modules, in->n + 1, sizeof *more);
    if (!more)
        return NULL;
    in->modules = more;
    in->modules[in->n] = (struct answers){.module = *module};
    return &in->modules[in->n++];
}

static void keep(struct gr_intents *in, const struct gr_intent_row *row)
{
    struct answers *a = make(in, &row->module);
    if (!a)
        return;
    if (a->n == GR_INTENTS_KEPT)
        a->n--;
    memmove(&a->rows[1], &a->rows[0], a->n * sizeof a->rows[0]);
    a->rows[0] = *row;
    a->n++;
    a->forgotten = false;
}

static bool is_answered(const struct gr_intents *in, const struct gr_snapshot *s,
                        const struct gr_entry *en)
{
    const struct answers *a = find(in, &en->module);
    return a && a->n && !a->forgotten && a->rows[0].cluster_id == s->cluster_id &&
           a->rows[0].revision >= en->mod_revision;
}

// --- answering
// ------------------------------------------------------------------------------------

static void answer(struct gr_intents *in, struct gr_intent_row *row, const struct gr_order *o,
                   const struct gr_error *why)
{
    struct gr_error e = {0};
    GR_INSTANT("intent.obeyed");
    row->at = gr_wall_now();
    row->applied = !why;
    snprintf(row->verb, sizeof row->verb, "%s", o ? gr_order_verb_name(o->verb) : "");
    snprintf(row->actor, sizeof row->actor, "%s", o ? o->actor : "");
    if (why)
        snprintf(row->message, sizeof row->message, "%s", why->message);
    else
        snprintf(row->message, sizeof row->message,
                 "%s of rollout %" PRId64 " at step %" PRId64 " was obeyed", row->verb, o->rollout,
                 o->step + 1);
    if (gr_journal_put_intent(in->journal, row, &e) < 0)
        gr_log(GR_LOG_WARNING, "the result of %s's intent could not be journaled: %s",
               row->module.s, e.message);
    GR_INSTANT("intent.journaled");
    keep(in, row);
    in->ops.answered(in->ops.userdata, row, o);
}

// Whether it has to be looked at again.
static bool take_one(struct gr_intents *in, const struct gr_snapshot *s, const struct gr_entry *en)
{
    struct gr_intent_row row = {
        .module = en->module, .cluster_id = s->cluster_id, .revision = en->mod_revision};
    struct gr_error e = en->error;
    struct gr_order o;
    if (is_answered(in, s, en))
        return false;
    if (e.reason != GR_REASON_NONE || gr_order_parse(en->value, en->value_len, &o, &e) < 0) {
        gr_error_wrap(&e, "the intent cannot be read");
        answer(in, &row, NULL, &e);
        return false;
    }
    GR_INSTANT("intent.read");
    int k = in->ops.obey(in->ops.userdata, &en->module, en->mod_revision, &o, in->late, &e);
    if (k == -EAGAIN)
        return true;
    if (k < 0 && !e.message[0])
        gr_error_set(&e, k, GR_REASON_INTERNAL, "%s of %s failed: %s", gr_order_verb_name(o.verb),
                     en->module.s, strerror(-k));
    answer(in, &row, &o, k < 0 ? &e : NULL);
    return false;
}

static int by_revision(const void *a, const void *b)
{
    const struct gr_entry *const *x = a, *const *y = b;
    return ((*x)->mod_revision > (*y)->mod_revision) - ((*x)->mod_revision < (*y)->mod_revision);
}

static int on_late(sd_event_source *s, uint64_t usec, void *u)
{
    struct gr_intents *in = u;
    (void)s, (void)usec;
    in->patience = sd_event_source_disable_unref(in->patience);
    in->late = true;
    gr_intents_look_again(in);
    in->late = false;
    return 0;
}

// While the source is held there is nothing to wait for but a person.
static void wait_a_while(struct gr_intents *in)
{
    if (in->event && !in->patience && !in->late &&
        sd_event_add_time_relative(in->event, &in->patience, CLOCK_MONOTONIC, PATIENCE_USEC, 0,
                                   on_late, in) < 0)
        gr_log(GR_LOG_ERROR, "no timer for intents that were put off");
}

void gr_intents_take(struct gr_intents *in, const struct gr_snapshot *s)
{
    GR_AUTO_FREE const struct gr_entry **order = calloc(s->n + 1, sizeof *order);
    struct gr_snapshot *again = NULL;
    bool put_off = false;
    size_t n = 0;
    for (size_t i = 0; order && i < s->n; i++)
        if (s->entries[i].module.s[0])
            order[n++] = &s->entries[i];
    if (n)
        qsort(order, n, sizeof *order, by_revision);
    for (size_t i = 0; i < n; i++)
        put_off |= take_one(in, s, order[i]);
    if (!order || (put_off && gr_snapshot_copy(s, &again) < 0))
        gr_log(GR_LOG_ERROR, "out of memory: intents wait for the next one");
    gr_snapshot_free(in->last);
    in->last = again;
    if (again)
        wait_a_while(in);
}

void gr_intents_look_again(struct gr_intents *in)
{
    GR_CLEANUP(gr_snapshot_freep) struct gr_snapshot *s = in ? gr_steal(in->last) : NULL;
    if (s)
        gr_intents_take(in, s);
}

// --- the source
// -----------------------------------------------------------------------------------

static void on_snapshot(void *u, const struct gr_snapshot *s)
{
    gr_intents_take(u, s);
}

static void on_health(void *u, const struct gr_source_health *h)
{
    struct gr_intents *in = u;
    bool told = in->trouble[0];
    snprintf(in->trouble, sizeof in->trouble, "%s", h->up ? "" : h->message);
    if (in->trouble[0] && !told)
        gr_log(GR_LOG_WARNING, "operators' intents are not followed now: %s", in->trouble);
}

int gr_intents_follow(struct gr_intents *in, sd_event *event, struct gr_transport *t,
                      const struct gr_etcd_config *config, const struct gr_name *service,
                      struct gr_error *e)
{
    const struct gr_source_callbacks cb = {
        .snapshot = on_snapshot, .health = on_health, .userdata = in};
    const struct gr_source_keys keys = gr_source_keys_intents(service);
    in->event = event; // which outlives it
    int k = gr_source_etcd_new(event, t, config, &keys, &cb, (struct gr_source_floor){0},
                               &in->source, e);
    return k < 0 ? k : gr_source_start(in->source, e);
}

void gr_intents_accept_rewind(struct gr_intents *in)
{
    if (!in)
        return;
    for (size_t i = 0; i < in->n; i++)
        in->modules[i].forgotten = true;
    if (in->source)
        gr_source_accept_rewind(in->source);
}

// --- life
// -----------------------------------------------------------------------------------------

int gr_intents_new(struct gr_journal *j, const struct gr_intents_ops *ops, struct gr_intents **ret,
                   struct gr_error *e)
{
    GR_AUTO_FREE struct gr_intent_row *rows = NULL;
    size_t n = 0;
    int k = gr_journal_intents(j, &rows, &n, e);
    if (k < 0)
        return k;
    struct gr_intents *in = calloc(1, sizeof *in);
    if (!in)
        return -ENOMEM;
    in->journal = j;
    in->ops = *ops;
    for (size_t i = 0; i < n; i++)
        keep(in, &rows[i]);
    *ret = in;
    return 0;
}

void gr_intents_free(struct gr_intents *in)
{
    if (!in)
        return;
    gr_source_free(in->source);
    sd_event_source_disable_unref(in->patience);
    gr_snapshot_free(in->last);
    free(in->modules);
    free(in);
}

size_t gr_intents_results(const struct gr_intents *in, const struct gr_name *module,
                          const struct gr_intent_row **ret)
{
    const struct answers *a = in ? find(in, module) : NULL;
    *ret = a ? a->rows : NULL;
    return a ? a->n : 0;
}

const char *gr_intents_trouble(const struct gr_intents *in)
{
    return in && in->trouble[0] ? in->trouble : NULL;
}
