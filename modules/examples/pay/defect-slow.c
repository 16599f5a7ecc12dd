// 1.4.0: one charge in 80 takes 40 % longer. 1.25 % of calls are slow, so the p99 of a call rises
// by 40 % and the median stays. A call's usual time is work_us; without work_us the base is 500 us,
// the p99 of a front door in light use, and the slow charges take 200 us more.
#include "pay.h"

#define SLOW_EVERY 80
#define SLOWER_PERCENT 40
#define BASE_USEC 500

int32_t pay_defect(const struct pay *pay, struct grayling_call *call, uint64_t number)
{
    (void)call;
    uint64_t base = pay->work_usec ? pay->work_usec : BASE_USEC;
    if (number % SLOW_EVERY == 0)
        pay_work(base * SLOWER_PERCENT / 100);
    return GRAYLING_OK;
}
