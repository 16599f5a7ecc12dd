// Two inspected files side by side. Callers reach a module through its contract and the host
// through one entry function, so symbols and libraries are told and judged only by what a host
// would refuse.
#include "verifier/abi-diff.h"
#include "base/handover.h"
#include <errno.h>
#include <string.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_r_ = (call);                                                                       \
        if (try_r_ < 0)                                                                            \
            return try_r_;                                                                         \
    } while (0)

enum gr_abi_verdict gr_abi_verdict_of(const struct gr_compat *c)
{
    if (gr_compat_first(c, GR_COMPAT_BREAKING))
        return GR_ABI_BREAKING;
    if (gr_compat_first(c, GR_COMPAT_ANNOUNCED))
        return GR_ABI_ANNOUNCED;
    return c->n > 0 ? GR_ABI_COMPATIBLE : GR_ABI_SAME;
}

const char *gr_abi_verdict_name(enum gr_abi_verdict v)
{
    static const char *const names[] = {"same", "compatible", "announced", "breaking"};
    return names[v];
}

static int compare_machine(struct gr_compat *c, const struct gr_inspection *from,
                           const struct gr_inspection *to)
{
    if (strcmp(from->machine, to->machine) == 0 || !*to->machine) // no ELF file: told otherwise
        return 0;
    return gr_compat_add(c, GR_COMPAT_MACHINE_CHANGED, GR_COMPAT_BREAKING, "machine",
                         "is for %s and not for %s: hosts of the one cannot load the other; "
                         "compare two files for one machine",
                         to->machine, from->machine);
}

// Each file is judged for its own machine, so that a foreign one is not refused for being foreign.
static int compare_admission(struct gr_compat *c, const struct gr_inspection *to)
{
    const struct gr_error *why = &to->own_verdict;
    if (!to->contract)
        return gr_compat_add(c, GR_COMPAT_CONTRACT_MISSING, GR_COMPAT_BREAKING, "contract",
                             "has no readable contract: %s", why->message);
    if (why->reason == GR_REASON_NONE)
        return 0;
    return gr_compat_add(c, GR_COMPAT_NOT_ADMISSIBLE, GR_COMPAT_BREAKING,
                         gr_reason_name(why->reason), "would be refused: %s", why->message);
}

static int append(struct gr_compat *c, const struct gr_compat *more)
{
    for (size_t i = 0; i < more->n; i++)
        TRY(gr_compat_add(c, more->findings[i].kind, more->findings[i].severity,
                          more->findings[i].subject, "%s", more->findings[i].sentence));
    return 0;
}

static int compare_state(struct gr_compat *c, const struct gr_contract *from,
                         const struct gr_contract *to)
{
    struct gr_error why = {0};
    if (!gr_name_equal(&from->module, &to->module))
        return 0;
    if (gr_handover_between(from, to, &why) == GR_HANDOVER_IMPOSSIBLE)
        return gr_compat_add(c, GR_COMPAT_STATE_LOST, GR_COMPAT_BREAKING, "state", "%s",
                             why.message);
    if (gr_handover_is_one_way(from, to))
        return gr_compat_add(c, GR_COMPAT_STATE_ONE_WAY, GR_COMPAT_NOTE, "state",
                             "%s %s cannot take back the state of %s: the step is one way, and "
                             "promotion asks for --one-way",
                             from->module.s, from->version.text, to->version.text);
    return 0;
}

static int compare_contracts(struct gr_compat *c, const struct gr_inspection *from,
                             const struct gr_inspection *to)
{
    GR_CLEANUP(gr_compat_freep) struct gr_compat *contracts = NULL;
    TRY(gr_contract_compare(from->contract, to->contract, &contracts));
    TRY(append(c, contracts));
    return compare_state(c, from->contract, to->contract);
}

// --- what the linker wrote

// What one sorted or short list has and the other has not.
struct list {
    const char *const *names;
    size_t n;
};

static bool has(const struct list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->names[i], name) == 0)
            return true;
    return false;
}

static int compare_traits(struct gr_compat *c, const struct gr_inspection *from,
                          const struct gr_inspection *to)
{
    const struct list a = {from->traits, from->n_traits}, b = {to->traits, to->n_traits};
    for (size_t i = 0; i < a.n; i++)
        if (!has(&b, a.names[i]))
            TRY(gr_compat_add(c, GR_COMPAT_ELF_CHANGED, GR_COMPAT_NOTE, a.names[i],
                              "no longer has %s", a.names[i]));
    for (size_t i = 0; i < b.n; i++)
        if (!has(&a, b.names[i]))
            TRY(gr_compat_add(c, GR_COMPAT_ELF_CHANGED, GR_COMPAT_NOTE, b.names[i], "has %s now",
                              b.names[i]));
    return 0;
}

static bool needs(const struct gr_inspection *i, const char *library)
{
    for (size_t k = 0; k < i->n_needed; k++)
        if (strcmp(i->needed[k], library) == 0)
            return true;
    return false;
}

static int compare_libraries(struct gr_compat *c, const struct gr_inspection *from,
                             const struct gr_inspection *to)
{
    for (size_t i = 0; i < from->n_needed; i++)
        if (!needs(to, from->needed[i]))
            TRY(gr_compat_add(c, GR_COMPAT_LIBRARY_DROPPED, GR_COMPAT_NOTE, from->needed[i],
                              "no longer needs %s", from->needed[i]));
    for (size_t i = 0; i < to->n_needed; i++)
        if (!needs(from, to->needed[i]))
            TRY(gr_compat_add(c, GR_COMPAT_LIBRARY_ADDED, GR_COMPAT_NOTE, to->needed[i],
                              "needs %s now", to->needed[i]));
    if (strcmp(from->glibc, to->glibc) != 0)
        TRY(gr_compat_add(c, GR_COMPAT_ELF_CHANGED, GR_COMPAT_NOTE, "glibc",
                          "needs the C library's version %s, before %s",
                          *to->glibc ? to->glibc : "(any)", *from->glibc ? from->glibc : "(any)"));
    if (strcmp(from->soname, to->soname) != 0)
        TRY(gr_compat_add(c, GR_COMPAT_ELF_CHANGED, GR_COMPAT_NOTE, "soname",
                          "has the SONAME %s, before %s", *to->soname ? to->soname : "(none)",
                          *from->soname ? from->soname : "(none)"));
    return 0;
}

// Both lists are sorted.
static int compare_symbols(struct gr_compat *c, const struct gr_inspection *from,
                           const struct gr_inspection *to)
{
    size_t differ = 0;
    for (size_t i = 0, k = 0; i < from->n_exports || k < to->n_exports;) {
        const char *a = i < from->n_exports ? from->exports[i] : NULL;
        const char *b = k < to->n_exports ? to->exports[k] : NULL;
        int order = !a ? 1 : !b ? -1 : strcmp(a, b);
        i += order <= 0;
        k += order >= 0;
        if (order == 0 || ++differ > GR_ABI_SYMBOLS_TOLD)
            continue;
        if (order < 0)
            TRY(gr_compat_add(c, GR_COMPAT_SYMBOL_REMOVED, GR_COMPAT_NOTE, a,
                              "no longer exports %s", a));
        else
            TRY(gr_compat_add(c, GR_COMPAT_SYMBOL_ADDED, GR_COMPAT_NOTE, b, "exports %s now", b));
    }
    if (differ > GR_ABI_SYMBOLS_TOLD)
        TRY(gr_compat_add(c, GR_COMPAT_ELF_CHANGED, GR_COMPAT_NOTE, "symbols",
                          "differs in %zu exported symbols more", differ - GR_ABI_SYMBOLS_TOLD));
    return 0;
}

static int compare_bytes(struct gr_compat *c, const struct gr_inspection *from,
                         const struct gr_inspection *to)
{
    if (gr_digest_equal(&from->digest, &to->digest) ||
        !gr_name_equal(&from->contract->module, &to->contract->module) ||
        strcmp(from->contract->version.text, to->contract->version.text) != 0)
        return 0;
    return gr_compat_add(c, GR_COMPAT_VERSION_KEPT, GR_COMPAT_NOTE, to->contract->module.s,
                         "both are %s %s, with different bytes; a release gets a version of its "
                         "own",
                         to->contract->module.s, to->contract->version.text);
}

static int compare(struct gr_compat *c, const struct gr_inspection *from,
                   const struct gr_inspection *to)
{
    TRY(compare_machine(c, from, to));
    TRY(compare_admission(c, to));
    if (!to->contract)
        return 0;
    TRY(compare_contracts(c, from, to));
    TRY(compare_bytes(c, from, to));
    TRY(compare_libraries(c, from, to));
    TRY(compare_symbols(c, from, to));
    return compare_traits(c, from, to);
}

int gr_abi_diff(const struct gr_inspection *from, const struct gr_inspection *to,
                struct gr_compat **ret, struct gr_error *e)
{
    if (!from->contract)
        return gr_error_set(e, -EINVAL, GR_REASON_NOT_A_MODULE,
                            "the older file is no module whose contract can be read, so that "
                            "nothing is known that the newer one should keep: %s",
                            from->own_verdict.message);
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = calloc(1, sizeof *c);
    if (!c || compare(c, from, to) < 0)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "out of memory while two files were compared");
    *ret = gr_steal(c);
    return 0;
}
