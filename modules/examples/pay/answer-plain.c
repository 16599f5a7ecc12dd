// The answer of 1.0.0.
#include "pay.h"

int32_t pay_answer(const struct pay *pay, struct grayling_call *call,
                   const struct grayling_request *request, const struct pay_charge *charge)
{
    (void)request;
    return respond_text(pay->host, call,
                        "{\"charge_id\":\"%s\",\"amount_cents\":%lld,\"currency\":\"%s\","
                        "\"status\":\"charged\"}",
                        charge->id, (long long)charge->amount_cents, charge->currency);
}
