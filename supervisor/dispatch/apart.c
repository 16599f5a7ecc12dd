// One module's state between versions of which at least one is in a process of its own: what the
// thread of an exchange (transfer.c) does in place of calling both hooks here. Every failure is the
// end of the sentence "HOOK() of the VERSION version ...".
#include "dispatch/apart.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdio.h>

bool gr_pass_is_apart(const struct gr_pass *p)
{
    return p->from->away || p->to->away;
}

static int explain(int r, const struct gr_state_hook *h, const char **hook,
                   char what[GR_APART_WHAT_MAX])
{
    if (r == -ENOTCONN)
        snprintf(what, GR_APART_WHAT_MAX,
                 "was not called: it has no process just now, and gets another one");
    else if (r == -EPIPE)
        snprintf(what, GR_APART_WHAT_MAX, "did not return: its process ended");
    else if (r < 0)
        snprintf(what, GR_APART_WHAT_MAX, "was not called as it should be: %s", strerror(-r));
    if (r < 0)
        return r;
    if (h->end == GR_HOOK_CODE) {
        snprintf(what, GR_APART_WHAT_MAX, "returned code %d where 0 is expected", h->code);
        return -ECANCELED;
    }
    if (h->end == GR_HOOK_RELEASE_CRASHED)
        *hook = "release";
    bool wrong = h->end == GR_HOOK_WRONG;
    snprintf(what, GR_APART_WHAT_MAX, "%s%s", wrong ? "" : "crashed with ", h->what);
    return h->end == GR_HOOK_DONE ? 0 : wrong ? -EPROTO : -EFAULT;
}

int gr_apart_export(struct gr_apart *a, const char **hook, char what[GR_APART_WHAT_MAX])
{
    struct gr_state_hook h = {.fd = a->parcel};
    int r = explain(gr_away_hook(a->pass->from->away, &h), &h, hook, what);
    if (r < 0)
        return r;
    if (!gr_parcel_label_is_sound(&h.label)) {
        snprintf(what, GR_APART_WHAT_MAX, "says sizes that no state has");
        return -EPROTO;
    }
    a->label = h.label;
    return 0;
}

int gr_apart_carry(struct gr_apart *a, const struct grayling_state *given,
                   struct grayling_state *ret_taken, char why[GR_CARRY_WHY_MAX])
{
    const struct gr_pass *p = a->pass;
    int r = p->from->away ? 0 : gr_carry_pack(p->from, given, a->parcel, &a->label, why);
    if (r == 0)
        r = gr_carry_seal(a->parcel, why);
    if (r == 0 && !p->to->away)
        r = gr_carry_unpack(p->to, a->parcel, &a->label, &a->carried, why);
    *ret_taken = a->carried.state;
    ret_taken->bytes.size = a->label.size;
    return r;
}

int gr_apart_import(struct gr_apart *a, char what[GR_APART_WHAT_MAX])
{
    struct gr_away *away = a->pass->to->away;
    struct gr_state_hook h = {.import = true, .fd = a->parcel, .label = a->label};
    const char *hook = "import_state";
    int r = explain(gr_away_hook(away, &h), &h, &hook, what);
    if (r == -EFAULT)
        gr_away_give_up(away, "import_state() crashed in it");
    return r;
}

int gr_apart_init(struct gr_apart *a, const struct gr_pass *p)
{
    *a = (struct gr_apart){.pass = p, .parcel = -1};
    return gr_pass_is_apart(p) ? gr_parcel_new(&a->parcel) : 0;
}

void gr_apart_done(struct gr_apart *a, bool refused)
{
    gr_carry_done(a->pass->to, &a->carried, !refused);
    gr_closep(&a->parcel);
}
