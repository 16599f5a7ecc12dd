// The record of one verdict: what went in, what came out, by which rule. Pure text in and out; must
// never read a clock, a file or the journal.
#pragma once
#include "base/buf.h"
#include "base/limits.h"
#include "rollout/analysis.h"

struct gr_verdict_record {
    char rule[32];
    unsigned rule_version;
    struct gr_analysis_state before; // state that the look began with
    struct gr_analysis_input input;
    struct gr_analysis_verdict verdict;
};
// Judges as gr_analysis_judge() and keeps all of it.
void gr_verdict_record_make(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                            struct gr_verdict_record *ret);
// Canonical JSON: fixed order of members, doubles that read back exactly. Appends. Fails: -ENOMEM,
// -E2BIG.
GR_MUST_CHECK int gr_verdict_record_format(const struct gr_verdict_record *r, struct gr_buf *text);
// Fails: -EINVAL DocumentInvalid with path; *ret is untouched.
GR_MUST_CHECK int gr_verdict_record_parse(const char *text, size_t len,
                                          struct gr_verdict_record *ret, struct gr_error *e);
// The state alone, for the journal between looks; same text form as in the record.
GR_MUST_CHECK int gr_analysis_state_format(const struct gr_analysis_state *s, struct gr_buf *text);
GR_MUST_CHECK int gr_analysis_state_parse(const char *text, size_t len,
                                          struct gr_analysis_state *ret, struct gr_error *e);
// Recomputes the verdict from the stored numbers and compares bit for bit. 0: the same; fails:
// -ENOTSUP (made by another rule or version), -EBADE with the first difference in a sentence.
GR_MUST_CHECK int gr_verdict_replay(const struct gr_verdict_record *r, struct gr_error *e);
// For a person at three in the morning. One line (no line break), or several with every gate.
GR_MUST_CHECK int gr_verdict_explain(const struct gr_verdict_record *r, bool long_form,
                                     struct gr_buf *text);
