// Reads by position: every field has its length.
#include "worker/traceparent.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SPAN_AT 36
#define FLAGS_AT 53
#define LENGTH 55

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// false: a character is no lower-case hex digit, or the text ends before.
static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (digit(text[i]) < 0)
            return false;
    return true;
}

static bool is_id(const char *text, size_t len)
{
    return is_hex(text, len) && strspn(text, "0") < len;
}

int gr_traceparent_parse(const char *text, struct gr_traceparent *ret)
{
    if (strnlen(text, LENGTH) < LENGTH || !is_hex(text, 2) || strncmp(text, "ff", 2) == 0 ||
        text[2] != '-' || text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-' ||
        !is_id(text + 3, GR_TRACE_ID_HEX) || !is_id(text + SPAN_AT, GR_SPAN_ID_HEX) ||
        !is_hex(text + FLAGS_AT, 2))
        return -EINVAL;
    bool known = strncmp(text, "00", 2) == 0;
    if (text[LENGTH] != '\0' && (known || text[LENGTH] != '-'))
        return -EINVAL;
    memcpy(ret->trace_id, text + 3, GR_TRACE_ID_HEX);
    ret->trace_id[GR_TRACE_ID_HEX] = '\0';
    memcpy(ret->span_id, text + SPAN_AT, GR_SPAN_ID_HEX);
    ret->span_id[GR_SPAN_ID_HEX] = '\0';
    ret->flags =
        (uint8_t)((unsigned)digit(text[FLAGS_AT]) << 4 | (unsigned)digit(text[FLAGS_AT + 1]));
    return 0;
}

const char *gr_traceparent_format(const struct gr_traceparent *t, char buf[GR_TRACEPARENT_TEXT_MAX])
{
    snprintf(buf, GR_TRACEPARENT_TEXT_MAX, "00-%s-%s-%02x", t->trace_id, t->span_id,
             t->flags & GR_TRACE_SAMPLED);
    return buf;
}

// Ids are no secrets: where the kernel has no random numbers the time has to do.
static uint64_t draw(void)
{
    uint64_t n = 0;
    while (n == 0)
        if (getrandom(&n, sizeof n, 0) != sizeof n)
            n = gr_mono_now().usec * 0x9e3779b97f4a7c15u;
    return n;
}

void gr_traceparent_begin(struct gr_traceparent *ret, uint64_t *ret_draw)
{
    uint64_t low = draw();
    snprintf(ret->trace_id, sizeof ret->trace_id, "%016jx%016jx", (uintmax_t)draw(),
             (uintmax_t)low);
    memset(ret->span_id, '0', GR_SPAN_ID_HEX); // nobody is above it
    ret->span_id[GR_SPAN_ID_HEX] = '\0';
    ret->flags = 0;
    *ret_draw = low;
}

void gr_span_id_draw(char ret[GR_SPAN_ID_HEX + 1])
{
    snprintf(ret, GR_SPAN_ID_HEX + 1, "%016jx", (uintmax_t)draw());
}
