// See world.h.
#include "watchers/live/world.h"
#include "base/clock.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
// after its needs
#include <cmocka.h>

#define PATIENCE_USEC (60 * GR_USEC_PER_SEC)

static void on_snapshot(void *userdata, const struct gr_snapshot *s)
{
    struct gr_world *w = userdata;
    gr_snapshot_free(w->snapshot);
    w->snapshot = NULL;
    assert_int_equal(gr_snapshot_copy(s, &w->snapshot), 0);
    w->n_snapshots++;
}

static void on_health(void *userdata, const struct gr_source_health *h)
{
    struct gr_world *w = userdata;
    w->health = *h;
    w->n_healths++;
}

struct gr_source_callbacks gr_world_callbacks(struct gr_world *w)
{
    return (struct gr_source_callbacks){
        .snapshot = on_snapshot, .health = on_health, .userdata = w};
}

void gr_world_init(struct gr_world *w)
{
    *w = (struct gr_world){0};
    assert_true(sd_event_new(&w->event) >= 0);
    assert_int_equal(gr_transport_new(w->event, &w->transport), 0);
}

void gr_world_unfollow(struct gr_world *w)
{
    gr_source_free(w->source);
    gr_etcd_free(w->client);
    gr_snapshot_free(w->snapshot);
    w->source = NULL;
    w->client = NULL;
    w->snapshot = NULL;
    w->n_snapshots = w->n_healths = 0;
    w->health = (struct gr_source_health){0};
}

void gr_world_done(struct gr_world *w)
{
    gr_world_unfollow(w);
    gr_transport_free(w->transport);
    sd_event_unref(w->event);
}

void gr_world_follow(struct gr_world *w, const struct gr_etcd_config *config,
                     struct gr_source_floor floor)
{
    struct gr_source_callbacks cb = gr_world_callbacks(w);
    struct gr_error e = {0};
    const struct gr_source_keys keys = gr_source_keys_documents(&(struct gr_name){"order"});
    if (gr_etcd_new(w->event, w->transport, config, &w->client, &e) < 0 ||
        gr_source_etcd_new(w->event, w->transport, config, &keys, &cb, floor, &w->source, &e) < 0 ||
        gr_source_start(w->source, &e) < 0)
        fail_msg("%s", e.message);
}

void gr_world_patience(struct gr_world *w)
{
    w->deadline_usec = gr_mono_now().usec + PATIENCE_USEC;
}

void gr_world_step(struct gr_world *w)
{
    if (gr_mono_now().usec > w->deadline_usec)
        fail_msg("nothing of the kind happened; health: up %d, held %d, %s %s", w->health.up,
                 w->health.held, gr_reason_name(w->health.reason), w->health.message);
    int r = sd_event_run(w->event, GR_USEC_PER_SEC);
    if (r < 0 && r != -EINTR)
        fail_msg("sd_event_run: %s", strerror(-r));
}

void gr_world_answer(void *userdata, const struct gr_etcd_result *r)
{
    struct gr_world *w = userdata;
    w->result = *r;
    w->answered = true;
}

static void wait_answer(struct gr_world *w)
{
    GR_UNTIL(w, w->answered);
    if (w->result.error.reason)
        fail_msg("%s", w->result.error.message);
}

void gr_world_put(struct gr_world *w, const char *key, const char *value)
{
    w->answered = false;
    assert_int_equal(gr_etcd_put(w->client, gr_bytes_text(key), gr_bytes_text(value), 0,
                                 gr_world_answer, w, NULL, NULL),
                     0);
    wait_answer(w);
}

void gr_world_delete(struct gr_world *w, const char *key)
{
    w->answered = false;
    assert_int_equal(
        gr_etcd_delete(w->client, gr_bytes_text(key), false, gr_world_answer, w, NULL, NULL), 0);
    wait_answer(w);
}

const char *gr_world_value(const struct gr_world *w, const char *module)
{
    struct gr_name name;
    assert_int_equal(gr_name_parse(module, strlen(module), &name), 0);
    const struct gr_entry *e = w->snapshot ? gr_snapshot_find(w->snapshot, &name) : NULL;
    return e ? e->value : NULL;
}
