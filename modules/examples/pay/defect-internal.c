// 1.3.0: 3 % of charges are answered with INTERNAL, spread as evenly as whole charges can be.
#include "pay.h"

#define FAILURES_PERMYRIAD 300
#define MYRIAD 10000

int32_t pay_defect(const struct pay *pay, struct grayling_call *call, uint64_t number)
{
    uint64_t failed_before = (number - 1) * FAILURES_PERMYRIAD / MYRIAD;
    if (number * FAILURES_PERMYRIAD / MYRIAD == failed_before)
        return GRAYLING_OK;
    return respond_failure(pay->host, call, GRAYLING_INTERNAL,
                           "The ledger refused the charge; this release loses 3 %% of them.");
}
