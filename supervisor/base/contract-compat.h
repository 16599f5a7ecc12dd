// What a caller of one version of a module meets in another: two contracts compared. Pure.
// docs/COMPATIBILITY.md has the rules and their reasons.
#pragma once
#include "base/contract.h"

#define GR_COMPAT_KINDS(X)                                                                         \
    X(MODULE_RENAMED, "ModuleRenamed")                                                             \
    X(VERSION_KEPT, "VersionKept")                                                                 \
    X(VERSION_BACK, "VersionBack")                                                                 \
    X(INTERFACE_REMOVED, "InterfaceRemoved")                                                       \
    X(INTERFACE_ADDED, "InterfaceAdded")                                                           \
    X(INTERFACE_MAJOR, "InterfaceMajor")                                                           \
    X(INTERFACE_RAISED, "InterfaceRaised")                                                         \
    X(INTERFACE_BACK, "InterfaceBack")                                                             \
    X(METHOD_REMOVED, "MethodRemoved")                                                             \
    X(METHOD_ADDED, "MethodAdded")                                                                 \
    X(METHOD_RETYPED, "MethodRetyped")                                                             \
    X(TYPE_DECLARED, "TypeDeclared")                                                               \
    X(CODEC_ADDED, "CodecAdded")                                                                   \
    X(IDEMPOTENCE_LOST, "IdempotenceLost")                                                         \
    X(IDEMPOTENCE_GAINED, "IdempotenceGained")                                                     \
    X(DEADLINE_CHANGED, "DeadlineChanged")                                                         \
    X(NEED_ADDED, "NeedAdded")                                                                     \
    X(NEED_DROPPED, "NeedDropped")                                                                 \
    X(NEED_CHANGED, "NeedChanged")                                                                 \
    X(LOCK_CHANGED, "LockChanged")                                                                 \
    X(SLA_CHANGED, "SlaChanged")                                                                   \
    X(EXECUTION_CHANGED, "ExecutionChanged")                                                       \
    X(ABI_CHANGED, "AbiChanged")                                                                   \
    X(STATE_LOST, "StateLost")                                                                     \
    X(STATE_ONE_WAY, "StateOneWay")                                                                \
    X(MACHINE_CHANGED, "MachineChanged")                                                           \
    X(NOT_ADMISSIBLE, "NotAdmissible")                                                             \
    X(CONTRACT_MISSING, "ContractMissing")                                                         \
    X(SYMBOL_REMOVED, "SymbolRemoved")                                                             \
    X(SYMBOL_ADDED, "SymbolAdded")                                                                 \
    X(LIBRARY_ADDED, "LibraryAdded")                                                               \
    X(LIBRARY_DROPPED, "LibraryDropped")                                                           \
    X(ELF_CHANGED, "ElfChanged")

enum gr_compat_kind {
#define X(id, text) GR_COMPAT_##id,
    GR_COMPAT_KINDS(X)
#undef X
        GR_COMPAT_KIND_COUNT
};
enum gr_compat_severity {
    GR_COMPAT_NOTE, // callers need not care
    // Callers of the old one break, and a version that no range of theirs holds says so: they are
    // refused instead of surprised.
    GR_COMPAT_ANNOUNCED,
    GR_COMPAT_BREAKING, // callers break, and by the versions nobody could know
};

#define GR_COMPAT_SUBJECT_MAX 255
#define GR_COMPAT_SENTENCE_MAX 1023
struct gr_compat_finding {
    enum gr_compat_kind kind;
    enum gr_compat_severity severity;
    char subject[GR_COMPAT_SUBJECT_MAX + 1]; // "com.example.pay.PayService/Refund"; longer ones cut
    char sentence[GR_COMPAT_SENTENCE_MAX + 1];
};
struct gr_compat { // in the order of the older contract
    size_t n;
    struct gr_compat_finding *findings;
};
// Owns: *ret by caller (gr_compat_free). State is not judged here but by base/handover.h. Fails:
// -ENOMEM.
GR_MUST_CHECK int gr_contract_compare(const struct gr_contract *from, const struct gr_contract *to,
                                      struct gr_compat **ret);
void gr_compat_free(struct gr_compat *c);
static inline void gr_compat_freep(struct gr_compat **c)
{
    gr_compat_free(*c);
}
// Appends what the caller of the comparison found besides. Fails: -ENOMEM.
GR_MUST_CHECK int gr_compat_add(struct gr_compat *c, enum gr_compat_kind kind,
                                enum gr_compat_severity severity, const char *subject,
                                const char *format, ...) GR_PRINTF(5, 6);
// The first finding of that severity; NULL: none.
const struct gr_compat_finding *gr_compat_first(const struct gr_compat *c,
                                                enum gr_compat_severity severity);
const char *gr_compat_kind_name(enum gr_compat_kind kind);             // "MethodRemoved"
const char *gr_compat_severity_name(enum gr_compat_severity severity); // "breaking"

// How an interface's version went: what its number promises to callers of the older one.
enum gr_version_step {
    GR_VERSION_SAME,
    GR_VERSION_UP,     // "^older" holds it: callers are bridged to it
    GR_VERSION_ACROSS, // the left-most number that is not zero grew: callers are refused
    GR_VERSION_BACK,   // lower
};
enum gr_version_step gr_version_step_between(const struct gr_version *from,
                                             const struct gr_version *to);
