// Reads the two clocks; parses and prints instants and durations.
#include "base/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct gr_mono gr_mono_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct gr_mono){(uint64_t)t.tv_sec * GR_USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000};
}

struct gr_wall gr_wall_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (struct gr_wall){t.tv_sec * (int64_t)GR_USEC_PER_SEC + t.tv_nsec / 1000};
}

const char *gr_wall_format(struct gr_wall t, char buf[GR_WALL_TEXT_MAX])
{
    int64_t second = t.usec / (int64_t)GR_USEC_PER_SEC, rest = t.usec % (int64_t)GR_USEC_PER_SEC;
    if (rest < 0) { // before the epoch: the fraction still counts forwards
        rest += (int64_t)GR_USEC_PER_SEC;
        second--;
    }
    time_t when = second;
    struct tm utc;
    gmtime_r(&when, &utc);
    size_t n = strftime(buf, GR_WALL_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buf + n, GR_WALL_TEXT_MAX - n, ".%06" PRId64 "Z", rest);
    return buf;
}

// Digits only, so many of them.
static bool take_digits(const char **text, int n, int *ret)
{
    int value = 0;
    for (; n; n--, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = 10 * value + (**text - '0');
    }
    *ret = value;
    return true;
}

int gr_wall_parse(const char *text, struct gr_wall *ret)
{
    static const struct {
        int digits;
        char before;
    } parts[] = {{4, 0}, {2, '-'}, {2, '-'}, {2, 'T'}, {2, ':'}, {2, ':'}};
    int v[6];
    int64_t fraction = 0, unit = GR_USEC_PER_SEC;
    for (size_t i = 0; i < GR_COUNT(parts); i++)
        if ((parts[i].before && *text++ != parts[i].before) ||
            !take_digits(&text, parts[i].digits, &v[i]))
            return -EINVAL;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9' && unit > 1; text++)
            fraction += (*text - '0') * (unit /= 10);
    struct tm utc = {.tm_year = v[0] - 1900,
                     .tm_mon = v[1] - 1,
                     .tm_mday = v[2],
                     .tm_hour = v[3],
                     .tm_min = v[4],
                     .tm_sec = v[5]};
    if (strcmp(text, "Z") != 0 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 || v[3] > 23 ||
        v[4] > 59 || v[5] > 60)
        return -EINVAL;
    ret->usec = timegm(&utc) * (int64_t)GR_USEC_PER_SEC + fraction;
    return 0;
}

static const struct unit {
    const char *suffix;
    uint64_t usec;
} units[] = {
    // from large to small; a duration names each at most once, in this order
    {"h", 3600 * GR_USEC_PER_SEC},
    {"m", 60 * GR_USEC_PER_SEC},
    {"s", GR_USEC_PER_SEC},
    {"ms", GR_USEC_PER_MSEC},
    {"us", 1},
};

static const char *parse_number(const char *text, uint64_t *ret, int *ret_error)
{
    uint64_t n = 0;
    const char *p = text;
    *ret_error = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            *ret_error = -ERANGE;
    if (p == text)
        *ret_error = -EINVAL;
    *ret = n;
    return p;
}

int gr_duration_parse(const char *text, uint64_t *ret_usec)
{
    if (strcmp(text, "0") == 0) {
        *ret_usec = 0;
        return 0;
    }
    uint64_t sum = 0;
    size_t next_unit = 0; // units before this one were named already
    bool overflow = false;
    do {
        uint64_t n;
        int error;
        text = parse_number(text, &n, &error);
        if (error == -EINVAL)
            return error;
        overflow |= error == -ERANGE;
        size_t letters = strspn(text, "abcdefghijklmnopqrstuvwxyz"), u = next_unit;
        while (u < GR_COUNT(units) &&
               (strlen(units[u].suffix) != letters || memcmp(units[u].suffix, text, letters) != 0))
            u++;
        if (u == GR_COUNT(units))
            return -EINVAL;
        overflow |=
            __builtin_mul_overflow(n, units[u].usec, &n) || __builtin_add_overflow(sum, n, &sum);
        text += letters;
        next_unit = u + 1;
    } while (*text);
    if (overflow || sum == GR_USEC_INFINITY)
        return -ERANGE;
    *ret_usec = sum;
    return 0;
}

const char *gr_duration_format(uint64_t usec, char buf[32])
{
    if (usec == 0 || usec == GR_USEC_INFINITY) {
        snprintf(buf, 32, "%s", usec ? "infinity" : "0");
        return buf;
    }
    size_t u = 0;
    while (usec < units[u].usec)
        u++;
    int n = snprintf(buf, 32, "%" PRIu64 "%s", usec / units[u].usec, units[u].suffix);
    uint64_t rest = usec % units[u].usec;
    if (rest == 0)
        return buf;
    while (rest % units[u].usec != 0) // the largest unit that holds the rest exactly
        u++;
    snprintf(buf + n, 32 - (size_t)n, "%" PRIu64 "%s", rest / units[u].usec, units[u].suffix);
    return buf;
}
