// The record of one verdict as text.
#include "rollout/analysis-record.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void gr_verdict_record_make(struct gr_analysis_state *s, const struct gr_analysis_input *in,
                            struct gr_verdict_record *ret)
{
    memset(ret, 0, sizeof *ret);
    snprintf(ret->rule, sizeof ret->rule, "%s", GR_ANALYSIS_RULE);
    ret->rule_version = GR_ANALYSIS_RULE_VERSION;
    ret->before = *s;
    ret->input = *in;
    gr_analysis_judge(s, in, &ret->verdict);
}

int gr_verdict_record_format(const struct gr_verdict_record *r, struct gr_buf *text)
{
    const unsigned char *p = (const unsigned char *)r;
    int k = gr_buf_printf(text, "\"");
    for (size_t i = 0; k == 0 && i < sizeof *r; i++)
        k = gr_buf_printf(text, "%02x", p[i]);
    return k < 0 ? k : gr_buf_printf(text, "\"");
}

int gr_verdict_record_parse(const char *text, size_t len, struct gr_verdict_record *ret,
                            struct gr_error *e)
{
    (void)e;
    unsigned char *p = (unsigned char *)ret;
    if (len != 2 * sizeof *ret + 2)
        return -EINVAL;
    for (size_t i = 0; i < sizeof *ret; i++) {
        unsigned v = 0;
        if (sscanf(text + 1 + 2 * i, "%2x", &v) != 1)
            return -EINVAL;
        p[i] = (unsigned char)v;
    }
    return 0;
}

int gr_verdict_explain(const struct gr_verdict_record *r, bool long_form, struct gr_buf *text)
{
    (void)long_form;
    return gr_buf_printf(text, "%" PRIu64 " of %" PRIu64 " requests failed",
                         r->input.candidate.errors, r->input.candidate.requests);
}
