// Foreign bytes through all that reads them: stream cutter in two chunkings, watch lines, answers,
// complaints, base64. The chunking must not matter, and base64 must come back as it was.
#include "watchers/etcd-codec.h"
#include "watchers/etcd-stream.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_object(void *userdata, const char *text, size_t len)
{
    GR_CLEANUP(gr_etcd_watch_line_done) struct gr_etcd_watch_line line = {0};
    uint64_t *seen = userdata;
    *seen = *seen * 31 + len;
    if (gr_etcd_watch_line_parse(text, len, &line, NULL) >= 0)
        *seen = *seen * 31 + line.n_events + (line.n_events && line.events[0].deleted);
    return 0;
}

static uint64_t cut(const char *bytes, size_t size, size_t chunk)
{
    struct gr_etcd_stream s = GR_ETCD_STREAM;
    uint64_t seen = 1;
    int r = 0;
    for (size_t at = 0; r >= 0 && at < size; at += chunk)
        r = gr_etcd_stream_feed(&s, bytes + at, size - at < chunk ? size - at : chunk, on_object,
                                &seen);
    seen = seen * 31 + (r < 0 ? 2 : gr_etcd_stream_is_whole(&s));
    gr_etcd_stream_done(&s);
    return seen;
}

static void round_trip(const char *bytes, size_t size)
{
    char *back = NULL;
    size_t len;
    if (gr_base64_decode(bytes, size, &back, &len) < 0)
        return;
    char *again = gr_base64_encode(gr_bytes(back, len));
    if (again && (strlen(again) != size || memcmp(again, bytes, size) != 0))
        abort();
    free(again);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct gr_etcd_result r;
    struct gr_etcd_complaint c;
    char *token = NULL;
    if (cut(bytes, size, 1) != cut(bytes, size, size ? size : 1))
        abort();
    if (gr_etcd_answer_parse(bytes, size, &r, &token, NULL) >= 0)
        gr_etcd_result_done(&r);
    free(token);
    gr_etcd_complaint_parse(bytes, size, &c);
    round_trip(bytes, size);
    return 0;
}
