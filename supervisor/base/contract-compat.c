// Two contracts side by side. What breaks callers is a finding whose severity depends on whether
// the version of the interface announces it.
#include "base/contract-compat.h"
#include "base/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_r_ = (call);                                                                       \
        if (try_r_ < 0)                                                                            \
            return try_r_;                                                                         \
    } while (0)

const char *gr_compat_kind_name(enum gr_compat_kind kind)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_COMPAT_KINDS(X)
#undef X
    };
    return names[kind];
}

const char *gr_compat_severity_name(enum gr_compat_severity severity)
{
    static const char *const names[] = {"note", "announced", "breaking"};
    return names[severity];
}

int gr_compat_add(struct gr_compat *c, enum gr_compat_kind kind, enum gr_compat_severity severity,
                  const char *subject, const char *format, ...)
{
    struct gr_compat_finding *grown = realloc(c->findings, (c->n + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    c->findings = grown;
    struct gr_compat_finding *f = &grown[c->n++];
    *f = (struct gr_compat_finding){.kind = kind, .severity = severity};
    snprintf(f->subject, sizeof f->subject, "%s", subject);
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->sentence, sizeof f->sentence, format, ap);
    va_end(ap);
    return 0;
}

void gr_compat_free(struct gr_compat *c)
{
    if (!c)
        return;
    free(c->findings);
    free(c);
}

const struct gr_compat_finding *gr_compat_first(const struct gr_compat *c,
                                                enum gr_compat_severity severity)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->findings[i].severity == severity)
            return &c->findings[i];
    return NULL;
}

// --- versions

// Which number callers hold on to: the left-most that is not zero.
static unsigned held_place(const struct gr_version *v)
{
    return v->major ? 0 : v->minor ? 1 : 2;
}

enum gr_version_step gr_version_step_between(const struct gr_version *from,
                                             const struct gr_version *to)
{
    int c = gr_version_compare(from, to);
    if (c >= 0)
        return c == 0 ? GR_VERSION_SAME : GR_VERSION_BACK;
    bool across = from->major != to->major;
    if (held_place(from) >= 1)
        across |= from->minor != to->minor;
    if (held_place(from) >= 2)
        across |= from->patch != to->patch;
    return across ? GR_VERSION_ACROSS : GR_VERSION_UP;
}

// A break is announced when no caller of the older version gets to the newer one.
static enum gr_compat_severity severity_of_break(enum gr_version_step step)
{
    return step == GR_VERSION_ACROSS || step == GR_VERSION_BACK ? GR_COMPAT_ANNOUNCED
                                                                : GR_COMPAT_BREAKING;
}

// The version that would announce a break.
static const char *announcing(const struct gr_version *v, char buf[80])
{
    unsigned place = held_place(v);
    snprintf(buf, 80, "%" PRIu64 ".%" PRIu64 ".%" PRIu64, v->major + (place == 0),
             place == 0 ? 0 : v->minor + (place == 1), place < 2 ? 0 : v->patch + 1);
    return buf;
}

// --- methods

struct pair { // of one method, or of its interface while there is no method
    struct gr_compat *c;
    const struct gr_contract_interface *from, *to;
    enum gr_version_step step;
    enum gr_compat_severity if_broken;
    char subject[GR_INTERFACE_MAX + 1 + GR_METHOD_MAX + 1];
};

// Adds a break with the way out of it.
static int add_break(const struct pair *p, enum gr_compat_kind kind, const char *what)
{
    char next[80];
    if (p->if_broken == GR_COMPAT_ANNOUNCED)
        return gr_compat_add(p->c, kind, p->if_broken, p->subject,
                             "%s %s; the interface's version says so (%s, before %s)", p->subject,
                             what, p->to->version.text, p->from->version.text);
    char version[300];
    if (p->step == GR_VERSION_SAME)
        snprintf(version, sizeof version, "kept its version %s", p->from->version.text);
    else
        snprintf(version, sizeof version, "went from %s to %s", p->from->version.text,
                 p->to->version.text);
    return gr_compat_add(p->c, kind, p->if_broken, p->subject,
                         "%s %s, while the interface %s, which promises that callers go on "
                         "working; keep it as it was or give the interface version %s",
                         p->subject, what, version, announcing(&p->from->version, next));
}

static int compare_type(const struct pair *p, const char *which, const char *from, const char *to)
{
    char what[400];
    if (strcmp(from, to) == 0)
        return 0;
    if (!*from)
        return gr_compat_add(p->c, GR_COMPAT_TYPE_DECLARED, GR_COMPAT_NOTE, p->subject,
                             "%s declares its %s %s now", p->subject, which, to);
    if (*to)
        snprintf(what, sizeof what, "changes its %s from %s to %s", which, from, to);
    else
        snprintf(what, sizeof what, "no longer declares its %s, which was %s", which, from);
    return add_break(p, GR_COMPAT_METHOD_RETYPED, what);
}

// Whether every name of one list joined by commas is in the other; no list is any codec.
static bool codecs_within(const char *these, const char *those)
{
    if (!*those)
        return true;
    if (!*these)
        return false;
    for (;;) {
        size_t n = strcspn(these, ",");
        bool found = false;
        for (const char *p = those; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
            found |= strcspn(p, ",") == n && strncmp(p, these, n) == 0;
        if (!found)
            return false;
        if (!these[n])
            return true;
        these += n + 1;
    }
}

static int compare_codecs(const struct pair *p, const char *from, const char *to)
{
    char what[200];
    const char *from_text = *from ? from : "any", *to_text = *to ? to : "any";
    if (codecs_within(from, to))
        return codecs_within(to, from)
                   ? 0
                   : gr_compat_add(p->c, GR_COMPAT_CODEC_ADDED, GR_COMPAT_NOTE, p->subject,
                                   "%s takes codec %s, before only %s", p->subject, to_text,
                                   from_text);
    snprintf(what, sizeof what, "takes codec %s and no longer %s", to_text, from_text);
    return add_break(p, GR_COMPAT_METHOD_RETYPED, what);
}

static int compare_deadlines(const struct pair *p, uint64_t from, uint64_t to)
{
    char a[32], b[32];
    if (from == to)
        return 0;
    bool shorter = to && (!from || to < from);
    return gr_compat_add(p->c, GR_COMPAT_DEADLINE_CHANGED, GR_COMPAT_NOTE, p->subject,
                         "%s has the deadline %s, before %s%s", p->subject,
                         to ? gr_duration_format(to, a) : "none",
                         from ? gr_duration_format(from, b) : "none",
                         shorter ? ": slow calls that were answered may fail now" : "");
}

static int compare_method(const struct pair *p, const struct gr_contract_method *from,
                          const struct gr_contract_method *to)
{
    TRY(compare_type(p, "input", from->input, to->input));
    TRY(compare_type(p, "output", from->output, to->output));
    TRY(compare_codecs(p, from->codec, to->codec));
    TRY(compare_deadlines(p, from->deadline_usec, to->deadline_usec));
    if (from->idempotent && !to->idempotent)
        return add_break(p, GR_COMPAT_IDEMPOTENCE_LOST,
                         "is no longer idempotent, so that callers may not repeat it");
    if (!from->idempotent && to->idempotent)
        return gr_compat_add(p->c, GR_COMPAT_IDEMPOTENCE_GAINED, GR_COMPAT_NOTE, p->subject,
                             "%s is idempotent now", p->subject);
    return 0;
}

static const struct gr_contract_method *find_method(const struct gr_contract_interface *i,
                                                    const char *name)
{
    for (size_t k = 0; k < i->n_methods; k++)
        if (strcmp(i->methods[k].name, name) == 0)
            return &i->methods[k];
    return NULL;
}

static int compare_methods(struct pair *p)
{
    for (size_t i = 0; i < p->from->n_methods; i++) {
        const struct gr_contract_method *m = &p->from->methods[i];
        const struct gr_contract_method *other = find_method(p->to, m->name);
        snprintf(p->subject, sizeof p->subject, "%s/%s", p->from->name, m->name);
        TRY(other ? compare_method(p, m, other)
                  : add_break(p, GR_COMPAT_METHOD_REMOVED, "is removed"));
    }
    for (size_t i = 0; i < p->to->n_methods; i++) {
        if (find_method(p->from, p->to->methods[i].name))
            continue;
        snprintf(p->subject, sizeof p->subject, "%s/%s", p->to->name, p->to->methods[i].name);
        TRY(gr_compat_add(p->c, GR_COMPAT_METHOD_ADDED, GR_COMPAT_NOTE, p->subject, "%s is new%s",
                          p->subject,
                          p->step == GR_VERSION_SAME
                              ? ", while the interface kept its version: callers cannot ask for "
                                "it; raise the minor version"
                              : ""));
    }
    return 0;
}

// --- interfaces

static int compare_versions(struct gr_compat *c, const struct gr_contract_interface *from,
                            const struct gr_contract_interface *to, enum gr_version_step step)
{
    const char *a = from->version.text, *b = to->version.text;
    switch (step) {
    case GR_VERSION_SAME:
        return 0;
    case GR_VERSION_UP:
        return gr_compat_add(c, GR_COMPAT_INTERFACE_RAISED, GR_COMPAT_NOTE, from->name,
                             "%s goes from %s to %s: callers of ^%s are bridged to it", from->name,
                             a, b, a);
    case GR_VERSION_ACROSS:
        return gr_compat_add(c, GR_COMPAT_INTERFACE_MAJOR, GR_COMPAT_ANNOUNCED, from->name,
                             "%s goes from %s to %s: callers of ^%s are refused until they change "
                             "too; release them in the same transaction",
                             from->name, a, b, a);
    case GR_VERSION_BACK:
        return gr_compat_add(c, GR_COMPAT_INTERFACE_BACK, GR_COMPAT_ANNOUNCED, from->name,
                             "%s goes back from %s to %s: callers of ^%s are refused", from->name,
                             a, b, a);
    }
    return 0;
}

static const struct gr_contract_interface *find_interface(const struct gr_contract *c,
                                                          const char *name)
{
    for (size_t i = 0; i < c->n_provides; i++)
        if (strcmp(c->provides[i].name, name) == 0)
            return &c->provides[i];
    return NULL;
}

// A removed interface has no version left to tell of it, so that the module's has to.
static int add_removed(struct gr_compat *c, const struct gr_contract *from,
                       const struct gr_contract *to, const struct gr_contract_interface *i)
{
    char next[80];
    enum gr_compat_severity s =
        severity_of_break(gr_version_step_between(&from->version, &to->version));
    if (s == GR_COMPAT_ANNOUNCED)
        return gr_compat_add(c, GR_COMPAT_INTERFACE_REMOVED, s, i->name,
                             "%s is not provided by %s %s; the module's version says so (before "
                             "%s)",
                             i->name, to->module.s, to->version.text, from->version.text);
    return gr_compat_add(c, GR_COMPAT_INTERFACE_REMOVED, s, i->name,
                         "%s is not provided by %s %s, while %s provides it in version %s; keep it "
                         "or give the module version %s",
                         i->name, to->module.s, to->version.text, from->version.text,
                         i->version.text, announcing(&from->version, next));
}

static int compare_interfaces(struct gr_compat *c, const struct gr_contract *from,
                              const struct gr_contract *to)
{
    for (size_t i = 0; i < from->n_provides; i++) {
        struct pair p = {.c = c, .from = &from->provides[i]};
        p.to = find_interface(to, p.from->name);
        if (!p.to) {
            TRY(add_removed(c, from, to, p.from));
            continue;
        }
        p.step = gr_version_step_between(&p.from->version, &p.to->version);
        p.if_broken = severity_of_break(p.step);
        TRY(compare_versions(c, p.from, p.to, p.step));
        TRY(compare_methods(&p));
    }
    for (size_t i = 0; i < to->n_provides; i++)
        if (!find_interface(from, to->provides[i].name))
            TRY(gr_compat_add(c, GR_COMPAT_INTERFACE_ADDED, GR_COMPAT_NOTE, to->provides[i].name,
                              "%s %s is new", to->provides[i].name, to->provides[i].version.text));
    return 0;
}

// --- what the module asks of others, and how it is run

static const struct gr_contract_need *find_need(const struct gr_contract_need *needs, size_t n,
                                                const char *interface)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(needs[i].interface, interface) == 0)
            return &needs[i];
    return NULL;
}

static int compare_needs(struct gr_compat *c, const char *verb, const struct gr_contract_need *from,
                         size_t n_from, const struct gr_contract_need *to, size_t n_to)
{
    for (size_t i = 0; i < n_from; i++) {
        const char *name = from[i].interface;
        const struct gr_contract_need *other = find_need(to, n_to, name);
        if (!other)
            TRY(gr_compat_add(c, GR_COMPAT_NEED_DROPPED, GR_COMPAT_NOTE, name, "no longer %s %s %s",
                              verb, name, from[i].range.text));
        else if (strcmp(from[i].range.text, other->range.text) != 0)
            TRY(gr_compat_add(c, GR_COMPAT_NEED_CHANGED, GR_COMPAT_NOTE, name,
                              "%s %s %s, before %s", verb, name, other->range.text,
                              from[i].range.text));
    }
    for (size_t i = 0; i < n_to; i++)
        if (!find_need(from, n_from, to[i].interface))
            TRY(gr_compat_add(c, GR_COMPAT_NEED_ADDED, GR_COMPAT_NOTE, to[i].interface,
                              "%s %s %s now", verb, to[i].interface, to[i].range.text));
    return 0;
}

static const char *lock_text(const struct gr_contract *c)
{
    return !c->upgrade_lock ? "false" : *c->upgrade_group.s ? c->upgrade_group.s : "true";
}

static int compare_sla(struct gr_compat *c, const struct gr_contract *from,
                       const struct gr_contract *to)
{
    char a[32], b[32];
    if (from->sla_p99_usec != to->sla_p99_usec)
        TRY(gr_compat_add(c, GR_COMPAT_SLA_CHANGED, GR_COMPAT_NOTE, "sla.p99",
                          "declares the p99 %s, before %s",
                          to->sla_p99_usec ? gr_duration_format(to->sla_p99_usec, a) : "none",
                          from->sla_p99_usec ? gr_duration_format(from->sla_p99_usec, b) : "none"));
    snprintf(a, sizeof a, "%g", from->sla_error_rate);
    snprintf(b, sizeof b, "%g", to->sla_error_rate);
    if (strcmp(a, b) != 0)
        TRY(gr_compat_add(c, GR_COMPAT_SLA_CHANGED, GR_COMPAT_NOTE, "sla.error_rate",
                          "declares the error rate %s, before %s",
                          to->sla_error_rate < 0 ? "none" : b,
                          from->sla_error_rate < 0 ? "none" : a));
    return 0;
}

static int compare_running(struct gr_compat *c, const struct gr_contract *from,
                           const struct gr_contract *to)
{
    if (strcmp(lock_text(from), lock_text(to)) != 0)
        TRY(gr_compat_add(c, GR_COMPAT_LOCK_CHANGED, GR_COMPAT_NOTE, "upgrade_lock",
                          "upgrade_lock is %s, before %s", lock_text(to), lock_text(from)));
    TRY(compare_sla(c, from, to));
    if (from->execution_pool != to->execution_pool)
        TRY(gr_compat_add(c, GR_COMPAT_EXECUTION_CHANGED, GR_COMPAT_NOTE, "execution",
                          "execution is %s, before %s", to->execution_pool ? "pool" : "inline",
                          from->execution_pool ? "pool" : "inline"));
    if (from->isolation_process != to->isolation_process)
        TRY(gr_compat_add(c, GR_COMPAT_EXECUTION_CHANGED, GR_COMPAT_NOTE, "isolation",
                          "isolation is %s, before %s",
                          to->isolation_process ? "process" : "worker",
                          from->isolation_process ? "process" : "worker"));
    if (from->abi_major != to->abi_major || from->abi_minor != to->abi_minor)
        TRY(gr_compat_add(c, GR_COMPAT_ABI_CHANGED, GR_COMPAT_NOTE, "abi",
                          "is built for module ABI %u.%u, before %u.%u", to->abi_major,
                          to->abi_minor, from->abi_major, from->abi_minor));
    return 0;
}

static int compare_identity(struct gr_compat *c, const struct gr_contract *from,
                            const struct gr_contract *to)
{
    if (!gr_name_equal(&from->module, &to->module))
        return gr_compat_add(c, GR_COMPAT_MODULE_RENAMED, GR_COMPAT_BREAKING, to->module.s,
                             "is module %s and not %s: one does not take the other's place",
                             to->module.s, from->module.s);
    if (gr_version_compare(&from->version, &to->version) > 0)
        return gr_compat_add(c, GR_COMPAT_VERSION_BACK, GR_COMPAT_NOTE, to->module.s,
                             "%s goes back from %s to %s", to->module.s, from->version.text,
                             to->version.text);
    return 0;
}

int gr_contract_compare(const struct gr_contract *from, const struct gr_contract *to,
                        struct gr_compat **ret)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    TRY(compare_identity(c, from, to));
    TRY(compare_interfaces(c, from, to));
    TRY(compare_needs(c, "requires", from->requires, from->n_requires, to->requires,
                      to->n_requires));
    TRY(compare_needs(c, "uses, where it is provided,", from->optional, from->n_optional,
                      to->optional, to->n_optional));
    TRY(compare_running(c, from, to));
    *ret = gr_steal(c);
    return 0;
}
