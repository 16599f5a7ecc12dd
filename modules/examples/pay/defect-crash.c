// 1.2.0: every 50th charge writes through a NULL pointer, in the module's own text.
#include "pay.h"

#define CRASH_EVERY 50

int32_t pay_defect(const struct pay *pay, struct grayling_call *call, uint64_t number)
{
    (void)pay;
    (void)call;
    // read at run time: a pointer that the compiler sees to be NULL becomes a trap instead
    static volatile uint64_t *volatile nowhere;
    if (number % CRASH_EVERY == 0)
        *nowhere = number;
    return GRAYLING_OK;
}
