// Growth of a resource over requests: least squares and its anytime-valid interval. Must not know
// which resource, nor what is much.
#include "rollout/analysis-internal.h"
#include <errno.h>

#define POINTS_MIN 4
#define UNIT_REQUESTS 1000.0 // growth of one standard deviation in so many requests is expected

static double clamp(double x)
{
    return x < -GR_SLOPE_UNBOUNDED  ? -GR_SLOPE_UNBOUNDED
           : x > GR_SLOPE_UNBOUNDED ? GR_SLOPE_UNBOUNDED
                                    : x;
}

// Largest t squared that the mixture likelihood ratio does not refute; negative: none is refuted.
// With r = 1 / (1 + Sxx): sqrt(r) ((1 + t2 / nu) / (1 + r t2 / nu))^((nu + 1) / 2) < 1 / alpha.
static double t_squared_max(double sxx, double nu, double alpha)
{
    double r = 1 / (1 + sxx);
    double a = gr_exact_exp((-2 * gr_exact_log(alpha) - gr_exact_log(r)) / (nu + 1));
    return r * a < 1 ? nu * (a - 1) / (1 - r * a) : -1;
}

int gr_slope_fit(const struct gr_slope_point *p, size_t n, double alpha, struct gr_slope *ret)
{
    double mean_x = 0, mean_y = 0, sxx = 0, sxy = 0, residual = 0;
    if (!(alpha > 0 && alpha < 1))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        double x = p[i].requests / UNIT_REQUESTS, y = p[i].value;
        if (!(x - x == 0) || !(y - y == 0))
            return -EINVAL;
        mean_x += x / (double)n;
        mean_y += y / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double x = p[i].requests / UNIT_REQUESTS - mean_x;
        sxx += x * x;
        sxy += x * (p[i].value - mean_y);
    }
    struct gr_slope s = {.points = n, .low = -GR_SLOPE_UNBOUNDED, .high = GR_SLOPE_UNBOUNDED};
    if (sxx > 0) {
        double slope = sxy / sxx;
        s.per_request = clamp(slope / UNIT_REQUESTS);
        for (size_t i = 0; i < n; i++) {
            double x = p[i].requests / UNIT_REQUESTS - mean_x;
            double e = p[i].value - mean_y - slope * x;
            residual += e * e;
        }
        double nu = (double)n - 2, t2 = n >= POINTS_MIN ? t_squared_max(sxx, nu, alpha) : -1;
        if (t2 >= 0) {
            double radius = __builtin_sqrt(t2 * residual / nu / sxx) / UNIT_REQUESTS;
            s.low = clamp(s.per_request - radius);
            s.high = clamp(s.per_request + radius);
        }
    }
    *ret = s;
    return 0;
}
