// Owns the watchers' places in the events and on the board, and the timer that looks at the host.
#include "control/streams.h"
#include "base/clock.h"
#include "base/limits.h"
#include "control/board.h"
#include "control/journal-json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct gr_streams {
    struct gr_control *control;
    struct gr_board *board;
    sd_event_source *look;
    unsigned n;
    struct gr_mono looked;
};
struct stream {
    struct gr_streams *streams;
    uint64_t seen;       // change of the board
    int64_t seq;         // event; -1: has not begun
    struct gr_mono told; // when it said something last
};

static void arm(struct gr_streams *s, uint64_t usec)
{
    if (sd_event_source_set_time_relative(s->look, usec) >= 0)
        (void)sd_event_source_set_enabled(s->look, SD_EVENT_ONESHOT);
}

static void look(struct gr_streams *s)
{
    struct gr_control *c = s->control;
    s->looked = gr_mono_now();
    if (gr_board_update(s->board, c->ops.view(c->ops.userdata)) == 0)
        gr_http_server_wake(c->admin);
    arm(s, GR_STREAM_LOOK_USEC);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct gr_streams *s = userdata;
    (void)usec;
    if (s->n)
        look(s);
    else
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
    return 0;
}

int gr_streams_new(sd_event *event, struct gr_control *c, struct gr_streams **ret)
{
    struct gr_streams *s = calloc(1, sizeof *s);
    int k = s ? gr_board_new(&s->board) : -ENOMEM;
    if (k == 0)
        k = sd_event_add_time(event, &s->look, CLOCK_MONOTONIC, 0, 0, on_look, s);
    if (k >= 0)
        k = sd_event_source_set_enabled(s->look, SD_EVENT_OFF);
    if (k < 0) {
        gr_streams_free(s);
        return k;
    }
    s->control = c;
    *ret = s;
    return 0;
}

void gr_streams_free(struct gr_streams *s)
{
    if (!s)
        return;
    sd_event_source_disable_unref(s->look);
    gr_board_free(s->board);
    free(s);
}

void gr_streams_notify(struct gr_streams *s)
{
    uint64_t since = gr_mono_now().usec - s->looked.usec;
    if (s->n)
        arm(s, since < GR_STREAM_LOOK_USEC_MIN ? GR_STREAM_LOOK_USEC_MIN - since : 0);
}

// Where it begins: behind what the client has, else a screenful before the newest. A number that
// was never given comes from a journal that is no more.
static int begin(struct stream *st, int64_t has)
{
    struct gr_control *c = st->streams->control;
    struct gr_error e = {0};
    int64_t newest = 0;
    int k = gr_journal_newest_event(c->ops.journal(c->ops.userdata), &newest, &e);
    if (k < 0)
        return k;
    int64_t before = newest > GR_STREAM_EVENTS_BEFORE ? newest - GR_STREAM_EVENTS_BEFORE : 0;
    st->seq = has < before || has > newest ? before : has;
    return 0;
}

static int tell_events(struct stream *st, struct gr_buf *out)
{
    struct gr_control *c = st->streams->control;
    GR_AUTO_FREE struct gr_event_row *rows = NULL;
    struct gr_error e = {0};
    size_t n = 0;
    int k = gr_journal_events(c->ops.journal(c->ops.userdata), st->seq, GR_STREAM_EVENTS_AT_ONCE,
                              &rows, &n, &e);
    for (size_t i = 0; k == 0 && i < n && out->len < GR_STREAM_SAY_BYTES; i++) {
        cJSON *o = gr_event_row_to_json(&rows[i]);
        GR_AUTO_FREE char *text = o ? gr_json_format(o) : NULL;
        cJSON_Delete(o);
        k = !text ? -ENOMEM
                  : gr_buf_printf(out, "id: %" PRId64 "\nevent: event\ndata: %s\n\n", rows[i].seq,
                                  text);
        if (k == 0)
            st->seq = rows[i].seq;
    }
    return k;
}

static int next(void *userdata, struct gr_buf *out)
{
    struct stream *st = userdata;
    int k = 0;
    if (!st->told.usec) // how soon a browser comes back after a cut
        k = gr_buf_printf(out, "retry: 2000\n\n");
    if (k == 0)
        k = tell_events(st, out);
    if (k == 0)
        k = gr_board_tell(st->streams->board, &st->seen, out);
    if (k == 0 && !out->len && gr_mono_now().usec - st->told.usec > GR_STREAM_BEAT_USEC)
        k = gr_buf_printf(out, ":\n\n");
    if (out->len)
        st->told = gr_mono_now();
    return k;
}

static void done(void *userdata)
{
    struct stream *st = userdata;
    st->streams->n--;
    free(st);
}

void gr_get_stream(struct gr_control *c, const struct gr_http_request *q, const char *arg,
                   struct gr_http_reply *ret)
{
    const char *last = gr_http_header(q, "Last-Event-ID");
    struct gr_streams *s = c->streams;
    (void)arg;
    if (s->n >= GR_STREAMS_MAX) {
        gr_route_refuse(ret, -EAGAIN,
                        "%u clients watch this host already; expected fewer than %d. Close one",
                        s->n, GR_STREAMS_MAX);
        return;
    }
    struct stream *st = calloc(1, sizeof *st);
    if (st)
        st->streams = s;
    if (!st || begin(st, last ? strtoll(last, NULL, 10) : -1) < 0) {
        free(st);
        gr_route_refuse(ret, -ENOMEM, "the events cannot be read now; ask again");
        return;
    }
    s->n++;
    look(s);
    *ret = (struct gr_http_reply){
        .status = 200,
        .content_type = "text/event-stream",
        .stream = {
            .next = next, .done = done, .userdata = st, .max_bytes = GR_STREAM_SAY_BYTES_MAX}};
}
