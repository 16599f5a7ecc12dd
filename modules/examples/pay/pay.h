// What the releases of pay share, and the two places where they differ: a release is pay.c with one
// answer-*.c and one defect-*.c.
#pragma once
#include "../common/json-in.h"
#include "../common/respond.h"
#include <grayling/module.h>
#include <stdatomic.h>

#define PAY_CURRENCY_LEN 3

struct pay {
    const struct grayling_host *host;
    char currency[PAY_CURRENCY_LEN + 1]; // config "currency": of requests that name none
    uint64_t work_usec;                  // config "work_us": processor time that a call takes
    _Atomic uint64_t charges, refunds;   // counted from 1, over all threads
};

struct pay_charge {
    char id[24];
    int64_t amount_cents;
    char currency[PAY_CURRENCY_LEN + 1];
};

// Uses the processor for so long, as a computation would; it does not block.
void pay_work(uint64_t usec);

// answer-*.c: sends the answer to a charge that was accepted.
int32_t pay_answer(const struct pay *pay, struct grayling_call *call,
                   const struct grayling_request *request, const struct pay_charge *charge);
// defect-*.c: what is wrong with this release. Called with the number of each charge before it is
// looked at; another code than OK ends it.
int32_t pay_defect(const struct pay *pay, struct grayling_call *call, uint64_t number);
