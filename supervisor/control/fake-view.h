// A view to render, for tests: one module that bakes, one that is degraded, etcd up, one
// conviction.
#pragma once
#include "control/view.h"
#include <string.h>

struct gr_fake_view {
    struct gr_view view;
    struct gr_view_module modules[2];
    struct gr_counters counters[2];
    struct gr_conviction conviction;
    struct gr_view_series series;
    struct gr_view_count safe;
    struct gr_tally tally;
    struct gr_tallies tallies;
    struct gr_verdict_record verdict;
    struct gr_view_station stations[2];
    struct gr_fault_record fault;
};

static inline void gr_fake_version(struct gr_view_version *v, const char *version, const char *role,
                                   unsigned permyriad, int slot, struct gr_counters *counters)
{
    struct gr_digest digest = {.bytes = {0xab, (uint8_t)slot}};
    *v = (struct gr_view_version){
        .present = true, .permyriad = permyriad, .slot = slot, .counters = counters};
    strcpy(v->version, version);
    strcpy(v->role, role);
    gr_digest_format(&digest, v->hash);
}

static inline void gr_fake_counters(struct gr_counters *c)
{
    *c = (struct gr_counters){.requests = {[0] = 990, [3] = 4, [13] = 6},
                              .nested = {[0] = 90, [13] = 5},
                              .in_flight = 2,
                              .faults = 1,
                              .latency_sum_nsec = 2000000000};
    c->latency.count[gr_histogram_bucket(1500000)] = 980;
    c->latency.count[gr_histogram_bucket(40000000)] = 20;
}

static inline void gr_fake_view_init(struct gr_fake_view *f)
{
    static const char *const endpoints[] = {"127.0.0.1:8080"};
    *f = (struct gr_fake_view){0};
    struct gr_view_module *pay = &f->modules[1], *auth = &f->modules[0];
    gr_fake_counters(&f->counters[0]);
    gr_fake_counters(&f->counters[1]);
    f->verdict.input.candidate.requests = 100;
    f->verdict.input.candidate.errors = 3;
    f->verdict.input.reference.requests = 1000;
    f->verdict.input.reference.errors = 6;
    f->verdict.verdict.gate = GR_GATE_COUNT;
    f->verdict.verdict.gates[GR_GATE_ERRORS_ALONE].limit = 0.011;
    strcpy(auth->module.s, "auth");
    strcpy(auth->phase, "Degraded");
    strcpy(auth->rollout_phase, "Rejected");
    auth->reason = GR_REASON_DIGEST_MISMATCH;
    strcpy(auth->message, "expected sha256:aa, actual sha256:bb");
    auth->rollout = auth->observed_revision = 41;
    strcpy(pay->module.s, "pay");
    strcpy(pay->phase, "Progressing");
    strcpy(pay->rollout_phase, "Baking");
    pay->rollout = pay->observed_revision = 42;
    gr_fake_version(&pay->stable, "1.1.0", "stable", 10000, 1, &f->counters[0]);
    gr_fake_version(&pay->previous, "1.0.0", "previous", 0, 0, &f->counters[1]);
    f->fault = (struct gr_fault_record){
        .module = {"pay"}, .version = "1.1.0", .n = {[GR_FAULT_ASSERT] = 1}, .deaths = 2};
    f->fault.last = (struct gr_fault_note){.at = {1795496766000000},
                                           .kind = "assert",
                                           .detail = "pay.c:42: charge: assertion 'x' failed",
                                           .method = "com.example.pay.PayService/Charge",
                                           .request_id = "r-1",
                                           .build_id = "0123abcd",
                                           .n_frames = 1,
                                           .frames = {"pay-1.1.0.so+0x12f"}};
    pay->stable.faults = pay->fault = &f->fault;
    pay->stable.breaker = GR_BREAKER_OPEN;
    pay->stable.breaker_faults = 3;
    pay->stable.breaker_left_usec = 4000000;
    strcpy(pay->last_good, "1.0.0");
    pay->verdict = &f->verdict;
    pay->updated.usec = 1795496766123456;
    f->conviction = (struct gr_conviction){
        .digest = {{0xcc}}, .module = {"pay"}, .version = "1.2.0", .reason = GR_REASON_CRASHED};
    f->series = (struct gr_view_series){"safe_mode", "No rollout begins.", "gauge", 1, &f->safe};
    f->tally = (struct gr_tally){.swaps = 7, .swaps_failed = 1};
    f->tally.rollbacks[GR_REASON_CRASHED] = 2;
    f->tallies.refused[GR_REASON_DIGEST_MISMATCH] = 3;
    gr_tallies_add_back(&f->tallies, 4000);
    pay->tally = &f->tally;
    pay->moved.usec = 1795496760000000;
    pay->bake_left_usec = 30000000;
    f->view = (struct gr_view){.service = "order",
                               .instance = "host-1",
                               .version = "0.1.0",
                               .pid = 100,
                               .worker_pid = 101,
                               .phase = "Serving",
                               .source_kind = "etcd",
                               .endpoints = endpoints,
                               .n_endpoints = 1,
                               .admin = "127.0.0.1:9464",
                               .n_modules = 2,
                               .modules = f->modules,
                               .loaded = 3,
                               .pinned = 1,
                               .n_convictions = 1,
                               .convictions = &f->conviction,
                               .n_series = 1,
                               .series = &f->series,
                               .n_stations = 2,
                               .stations = f->stations,
                               .tallies = &f->tallies};
    f->stations[0] = (struct gr_view_station){.name = "fetch", .sum_nsec = 1500000000};
    f->stations[0].took.count[gr_histogram_bucket(750000000)] = 2;
    f->stations[1] = (struct gr_view_station){.name = "load", .sum_nsec = 3000000};
    f->stations[1].took.count[gr_histogram_bucket(3000000)] = 1;
    f->view.started.usec = 1795496700000000;
    f->view.source.up = true;
    f->view.source.revision = 42;
    f->view.source.confirmed.usec = 1795496765000000;
    f->view.source.cluster_id = 0xcdf818194e3a8c32;
    f->view.gauges.freeze.count[gr_histogram_bucket(30000)] = 7;
    f->view.gauges.handover.count[gr_histogram_bucket(2000000)] = 3;
    f->view.gauges.handover_sum_usec = 6000;
    f->view.gauges.handovers_ok = 2;
    f->view.gauges.handovers_failed = 1;
    f->view.gauges.handover_bytes = 3072;
    f->view.gauges.handover_last_bytes = 2048;
}
