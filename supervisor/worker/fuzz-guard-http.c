// Any bytes, cut up at any places: the guard reads nothing outside of them, and what it finds sound
// holds the properties that a second reader relies on.
#undef NDEBUG // what it asserts is the test, in an optimised build too
#include "worker/guard-http.h"
#include <assert.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Cuts as libmicrohttpd 0.9.75 does: a line ends at CR LF or LF, a name at the first colon, a value
// at the first NUL, each overwritten.
static size_t cut_line(char *raw, size_t len, size_t at)
{
    char *lf = memchr(raw + at, '\n', len - at);
    if (!lf)
        return len + 1;
    if (lf > raw + at && lf[-1] == '\r')
        lf[-1] = '\0';
    *lf = '\0';
    return (size_t)(lf - raw) + 1;
}

static void check(const struct gr_head *h, const struct gr_framing *framing)
{
    unsigned lengths = 0, encodings = 0;
    for (size_t i = 0; i < h->n_fields; i++) {
        assert(!memchr(h->fields[i].value, '\r', h->fields[i].value_len));
        assert(!memchr(h->fields[i].name, ' ', h->fields[i].name_len));
        lengths += strcasecmp(h->fields[i].name, "content-length") == 0;
        encodings += strcasecmp(h->fields[i].name, "transfer-encoding") == 0;
    }
    assert(lengths + encodings <= 1);
    assert(framing->has_length == (lengths == 1) && framing->chunked == (encodings == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gr_head_field fields[FIELDS_MAX];
    char *raw = malloc(size + 1);
    if (!raw)
        return 0;
    memcpy(raw, data, size);
    raw[size] = '\0'; // the library's buffer always ends in one
    struct gr_head head = {.raw = raw, .fields = fields};
    size_t at = cut_line(raw, size, 0);
    char *target = memchr(raw, ' ', size), *version = strrchr(raw, ' ');
    if (at <= size && target && version > target) {
        *target++ = *version++ = '\0';
        head.target = target;
        head.target_len = strlen(target);
        head.version = version;
        while (at < size && raw[at] != '\r' && raw[at] != '\n' && head.n_fields < FIELDS_MAX) {
            size_t next = cut_line(raw, size, at);
            char *colon = next <= size ? strchr(raw + at, ':') : NULL;
            if (!colon)
                break;
            *colon++ = '\0';
            colon += strspn(colon, " \t");
            fields[head.n_fields++] =
                (struct gr_head_field){raw + at, strlen(raw + at), colon, strlen(colon)};
            at = next;
        }
        at = at < size ? cut_line(raw, size, at) : at;
        head.raw_len = at <= size ? at : size;
        struct gr_framing framing;
        (void)gr_guard_target(head.target, head.target_len);
        if (!gr_guard_head(&head, &framing))
            check(&head, &framing);
    }
    free(raw);
    return 0;
}
