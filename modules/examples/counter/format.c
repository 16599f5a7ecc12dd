// The state as bytes: words in the processor's own order, since both sides run on one machine, the
// last of them a check. Schema 1 is count and check, schema 2 has the largest step between them.
#include "counter.h"
#include <string.h>

#define MARK UINT64_C(0x636f756e74657221)

static uint64_t check_of(const uint64_t *words, size_t n)
{
    uint64_t check = MARK;
    for (size_t i = 0; i < n; i++)
        check = (check ^ words[i]) * UINT64_C(0x100000001b3);
    return check;
}

bool snapshot_read(const struct grayling_state *in, struct snapshot *ret)
{
    uint64_t words[3];
    size_t n = in->schema + 1;
    if (in->schema < 1 || in->schema > 2 || in->bytes.size != n * sizeof words[0])
        return false;
    memcpy(words, in->bytes.data, n * sizeof words[0]);
    *ret = (struct snapshot){.count = words[0], .largest = n == 3 ? words[1] : 0};
    return words[n - 1] == check_of(words, n - 1);
}

static void release(void *owner, const void *data, uint64_t size)
{
    const struct grayling_host *host = owner;
    (void)size;
    host->free(host, (void *)data);
}

int32_t snapshot_write(const struct grayling_host *host, const struct snapshot *s, uint32_t schema,
                       struct grayling_state *out)
{
    size_t n = schema + 1;
    uint64_t *words = host->alloc(host, n * sizeof words[0]);
    if (!words)
        return GRAYLING_RESOURCE_EXHAUSTED;
    words[0] = s->count;
    if (n == 3)
        words[1] = s->largest;
    words[n - 1] = check_of(words, n - 1);
    out->schema = schema;
    out->bytes = (struct grayling_bytes){words, n * sizeof words[0]};
    out->release = release;
    out->owner = (void *)host;
    return GRAYLING_OK;
}
