// Errors that an operator can act on: a stable reason, a full sentence, and whether trying again
// can help.
#pragma once
#include "base/macros.h"
#include <stdbool.h>

// The stable identifiers of INTERFACES §4, in its order. NONE is the empty string.
#define GR_REASONS(X)                                                                              \
    X(DOCUMENT_INVALID, "DocumentInvalid")                                                         \
    X(SOURCE_REFUSED, "SourceRefused")                                                             \
    X(FETCH_FAILED, "FetchFailed")                                                                 \
    X(FETCH_TIMEOUT, "FetchTimeout")                                                               \
    X(TOO_LARGE, "TooLarge")                                                                       \
    X(DIGEST_MISMATCH, "DigestMismatch")                                                           \
    X(SIGNATURE_INVALID, "SignatureInvalid")                                                       \
    X(DOWNGRADE_REFUSED, "DowngradeRefused")                                                       \
    X(NOT_A_MODULE, "NotAModule")                                                                  \
    X(ABI_INCOMPATIBLE, "AbiIncompatible")                                                         \
    X(CONTRACT_INCOMPATIBLE, "ContractIncompatible")                                               \
    X(DEPENDENCY_MISSING, "DependencyMissing")                                                     \
    X(UPGRADE_LOCK_INCOMPLETE, "UpgradeLockIncomplete")                                            \
    X(PREFLIGHT_CRASHED, "PreflightCrashed")                                                       \
    X(PREFLIGHT_TIMEOUT, "PreflightTimeout")                                                       \
    X(INIT_FAILED, "InitFailed")                                                                   \
    X(SELF_TEST_FAILED, "SelfTestFailed")                                                          \
    X(LOAD_FAILED, "LoadFailed")                                                                   \
    X(FREEZE_TIMEOUT, "FreezeTimeout")                                                             \
    X(STATE_HANDOVER_FAILED, "StateHandoverFailed")                                                \
    X(CRASHED, "Crashed")                                                                          \
    X(CALL_TIMEOUT, "CallTimeout")                                                                 \
    X(ERROR_RATE_REGRESSED, "ErrorRateRegressed")                                                  \
    X(LATENCY_REGRESSED, "LatencyRegressed")                                                       \
    X(RESOURCE_LEAK, "ResourceLeak")                                                               \
    X(HARM_BUDGET_SPENT, "HarmBudgetSpent")                                                        \
    X(INCONCLUSIVE, "Inconclusive")                                                                \
    X(DEADLINE_EXCEEDED, "DeadlineExceeded")                                                       \
    X(OPERATOR_ABORT, "OperatorAbort")                                                             \
    X(QUARANTINED, "Quarantined")                                                                  \
    X(DESIRED_STATE_REWOUND, "DesiredStateRewound")                                                \
    X(SOURCE_UNREACHABLE, "SourceUnreachable")                                                     \
    X(DISK_FULL, "DiskFull")                                                                       \
    X(INTERNAL, "Internal")

enum gr_reason {
    GR_REASON_NONE = 0,
#define X(id, text) GR_REASON_##id,
    GR_REASONS(X)
#undef X
        GR_REASON_COUNT
};

// The identifier as operators read it ("DigestMismatch"); "" for NONE. Static storage.
const char *gr_reason_name(enum gr_reason reason);
// The empty string is NONE. Fails: -EINVAL for an unknown identifier.
GR_MUST_CHECK int gr_reason_parse(const char *text, enum gr_reason *ret);

#define GR_MESSAGE_MAX 1024
struct gr_error {
    enum gr_reason reason;
    int code;       // negative errno
    bool retryable; // trying the same again may help
    char message[GR_MESSAGE_MAX];
};

// Fills *e (which may be NULL) and returns `code`, so that `return gr_error_set(...)` reads
// naturally. The sentence says what was asked, expected and actual, and the remedy.
int gr_error_set(struct gr_error *e, int code, enum gr_reason reason, const char *format, ...)
    GR_PRINTF(4, 5);
// The same with retryable = true.
int gr_error_set_retryable(struct gr_error *e, int code, enum gr_reason reason, const char *format,
                           ...) GR_PRINTF(4, 5);
// Puts a context before the sentence that is already there ("context: sentence"); keeps reason and
// code.
void gr_error_wrap(struct gr_error *e, const char *format, ...) GR_PRINTF(2, 3);
