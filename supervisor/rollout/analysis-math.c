// Elementary functions from basic IEEE 754 operations, for verdicts that replay bit for bit
// anywhere. Must never call the C library's (their last digit depends on the processor), and must
// be compiled without contraction (-ffp-contract=off).
#include "rollout/analysis-internal.h"
#include <string.h>

#define LN2_HIGH 0x1.62e42fefa3800p-1 // leading digits, so that k * LN2_HIGH is exact
#define LN2_LOW 0x1.ef35793c76730p-45
#define LOG2_E 0x1.71547652b82fep+0
#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#define EXP_MAX 700.0
#define LOG_OF_ZERO (-1e5)

static const double inverse[] = {0,        1,        1.0 / 2,  1.0 / 3,  1.0 / 4,  1.0 / 5,
                                 1.0 / 6,  1.0 / 7,  1.0 / 8,  1.0 / 9,  1.0 / 10, 1.0 / 11,
                                 1.0 / 12, 1.0 / 13, 1.0 / 14, 1.0 / 15, 1.0 / 16, 1.0 / 17,
                                 1.0 / 18, 1.0 / 19, 1.0 / 20, 1.0 / 21, 1.0 / 22, 1.0 / 23};

static uint64_t bits_of(double x)
{
    uint64_t b;
    memcpy(&b, &x, sizeof b);
    return b;
}

static double power_of_two(int k) // -1022..1023
{
    uint64_t b = (uint64_t)(k + 1023) << 52;
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

// x = m * 2^k with m around 1; log m = 2 artanh((m - 1) / (m + 1)) by its series.
double gr_exact_log(double x)
{
    if (!(x >= 0x1p-1022))
        return LOG_OF_ZERO;
    int k = (int)(bits_of(x) >> 52) - 1023;
    double m = x * power_of_two(-k / 2) * power_of_two(-k + k / 2);
    if (m > 2 * SQRT_HALF) {
        m *= 0.5;
        k++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int i = 23; i >= 3; i -= 2)
        sum = (sum + inverse[i]) * s2;
    return k * LN2_HIGH + (2 * s + (2 * s * sum + k * LN2_LOW));
}

double gr_exact_exp(double x)
{
    if (x < -EXP_MAX)
        return 0;
    if (x > EXP_MAX)
        x = EXP_MAX;
    int k = (int)(x * LOG2_E + (x < 0 ? -0.5 : 0.5));
    double r = (x - k * LN2_HIGH) - k * LN2_LOW, sum = 1;
    for (int i = 14; i >= 1; i--)
        sum = 1 + sum * (r * inverse[i]);
    return k < -1000 || k > 1000 ? sum * power_of_two(k / 2) * power_of_two(k - k / 2)
                                 : sum * power_of_two(k);
}

// Stirling's series (Abramowitz and Stegun 6.1.41) from 16 on; below by the recurrence.
double gr_exact_lgamma(double x)
{
    double product = 1;
    while (x < 16) {
        product *= x;
        x += 1;
    }
    double i = 1 / x, i2 = i * i;
    double series = i * (1.0 / 12 - i2 * (1.0 / 360 - i2 * (1.0 / 1260 - i2 * (1.0 / 1680))));
    return (x - 0.5) * gr_exact_log(x) - x + 0.91893853320467274178 + series -
           gr_exact_log(product);
}
