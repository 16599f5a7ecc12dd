// Owns what is exported as spans: requests as the workers tell them, and the stays of rollouts in
// their phases and steps.
#include "base/release.h"
#include "control/manager-internal.h"
#include "control/otlp.h"

int gr_manager_open_telemetry(struct gr_manager *m, struct gr_error *e)
{
    const struct gr_config *c = m->config;
    if (!c->telemetry_endpoint)
        return 0;
    return gr_telemetry_new(m->event, m->transport,
                            &(struct gr_telemetry_config){.endpoint = c->telemetry_endpoint,
                                                          .service = c->service.s,
                                                          .instance = c->instance.s,
                                                          .version = gr_release},
                            &m->telemetry, e);
}

uint32_t gr_manager_sample(const struct gr_manager *m)
{
    return (uint32_t)((uint64_t)UINT32_MAX * m->config->sample_ppm / 1000000);
}

void gr_manager_on_spans(struct gr_manager *m, const cJSON *message)
{
    uint64_t lost = 0;
    const cJSON *span;
    if (gr_json_uint(message, "", "lost", GR_JSON_OPTIONAL, 0, INT64_MAX >> 10, &lost, NULL) == 0)
        gr_telemetry_add_lost(m->telemetry, lost);
    cJSON_ArrayForEach(span, gr_json_get(message, "spans"))
        gr_telemetry_add(m->telemetry, gr_otlp_request(span));
}

void gr_manager_trace_move(struct gr_manager *m, const struct gr_told *t,
                           const struct gr_rollout_row *row)
{
    if (!m->telemetry || !t || t->rollout != row->id || t->phase >= GR_PHASE_COUNT)
        return; // its first phase begins
    if (t->phase == row->phase && t->step == row->step)
        return;
    struct gr_otlp_step s = {.row = row,
                             .phase = t->phase,
                             .step = t->step,
                             .began = t->moved,
                             .ended = row->updated,
                             .service = m->config->service.s,
                             .instance = m->config->instance.s};
    gr_telemetry_add(m->telemetry, gr_otlp_rollout(&s));
    if (!gr_phase_is_terminal(row->phase))
        return;
    s.whole = true;
    s.phase = row->phase;
    s.began = row->created;
    gr_telemetry_add(m->telemetry, gr_otlp_rollout(&s));
}
