// Owns the wiring of graylingd: opens what it needs in order, turns snapshots into wishes, and
// tells what happened.
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

// --- telling
// --------------------------------------------------------------------------------------

struct gr_told *gr_manager_told(struct gr_manager *m, const struct gr_name *module)
{
    for (size_t i = 0; i < m->n_told; i++)
        if (gr_name_equal(&m->told[i].module, module))
            return &m->told[i];
    if (m->n_told >= 2 * GR_MODULES_MAX)
        return NULL;
    struct gr_told *more = reallocarray(m->told, m->n_told + 1, sizeof *more);
    if (!more)
        return NULL;
    m->told = more;
    m->told[m->n_told] =
        (struct gr_told){.module = *module, .at = gr_wall_now(), .phase = GR_PHASE_COUNT};
    return &m->told[m->n_told++];
}

static void tell(struct gr_manager *m, const char *message_id, int level, const char *module,
                 const char *version, int64_t rollout, const char *phase, enum gr_reason reason,
                 const char *message, const struct gr_event_field *fields, size_t n_fields)
{
    char id[24] = "";
    if (rollout)
        snprintf(id, sizeof id, "%" PRId64, rollout);
    const struct gr_event ev = {.message_id = message_id,
                                .level = (enum gr_log_level)level,
                                .module = module,
                                .version = version,
                                .rollout = rollout ? id : NULL,
                                .phase = phase,
                                .reason = reason ? gr_reason_name(reason) : NULL,
                                .revision = m->now.revision,
                                .message = message && *message ? message
                                           : phase             ? phase
                                                               : "",
                                .n_fields = n_fields,
                                .fields = fields};
    gr_log_event(&ev);
    struct gr_event_row row = {.at = gr_wall_now(), .rollout = rollout};
    snprintf(row.module, sizeof row.module, "%s", module ? module : "");
    snprintf(row.version, sizeof row.version, "%s", version ? version : "");
    snprintf(row.phase, sizeof row.phase, "%s", phase ? phase : "");
    snprintf(row.reason, sizeof row.reason, "%s", gr_reason_name(reason));
    snprintf(row.message, sizeof row.message, "%s", ev.message);
    struct gr_error e = {0};
    if (m->journal && gr_journal_add_event(m->journal, &row, &e) < 0)
        gr_log(GR_LOG_DEBUG, "the event could not be journaled: %s", e.message);
    if (m->control)
        gr_control_notify(m->control);
}

void gr_manager_tell(struct gr_manager *m, const char *message_id, int level, const char *module,
                     const char *version, int64_t rollout, const char *phase, enum gr_reason reason,
                     const char *message)
{
    tell(m, message_id, level, module, version, rollout, phase, reason, message, NULL, 0);
}

void gr_manager_tell_fault(struct gr_manager *m, const char *message_id, const char *module,
                           const char *version, int64_t rollout, const struct gr_fault_note *n,
                           const char *message)
{
    char frames[sizeof n->frames];
    size_t len = 0;
    frames[0] = '\0';
    for (size_t i = 0; i < n->n_frames; i++)
        len +=
            (size_t)snprintf(frames + len, sizeof frames - len, "%s%s", i ? " " : "", n->frames[i]);
    const struct gr_event_field fields[] = {
        {"GRAYLING_FAULT", "fault", n->kind},
        {"GRAYLING_SIGNAL", "signal", n->signal},
        {"GRAYLING_ADDRESS", "address", n->address},
        {"GRAYLING_DETAIL", "detail", n->detail},
        {"GRAYLING_METHOD", "method", n->method},
        {"GRAYLING_REQUEST_ID", "request_id", n->request_id},
        {"GRAYLING_BUILD_ID", "build_id", n->build_id},
        {"GRAYLING_BACKTRACE", "backtrace", frames},
    };
    tell(m, message_id, GR_LOG_ERROR, module, version, rollout, NULL, gr_fault_note_reason(n),
         message, fields, GR_COUNT(fields));
}

void gr_manager_lacks(struct gr_manager *m, const struct gr_desired *d, const struct gr_error *why,
                      uint64_t worker, bool loud)
{
    struct gr_told *t = gr_manager_told(m, &d->module);
    if (t) {
        t->lack.reason = why->reason;
        t->lack.digest = d->digest;
        t->lack.worker = worker;
        t->at = gr_wall_now();
        snprintf(t->lack.message, sizeof t->lack.message, "%s", why->message);
    }
    if (loud)
        gr_manager_tell(m, GR_MSG_DEGRADED, GR_LOG_ERROR, d->module.s, d->version.text, 0,
                        "Degraded", why->reason, why->message);
    gr_manager_changed(m);
}

void gr_manager_changed(struct gr_manager *m)
{
    if (m->status)
        gr_status_writer_touch(m->status);
    if (m->control)
        gr_control_notify(m->control);
    if (m->active && !m->ready_told && !m->stopping) {
        m->ready_told = true;
        GR_INSTANT("start.ready");
        sd_notify(0, "READY=1");
    }
    sd_notifyf(0, "STATUS=%zu modules in force, %zu rollouts in progress, source %s", m->table.n,
               m->n_rollouts, m->health.up ? "up" : "away");
}

// Who was refused or taken back, and is now asked for as it serves, is well again: there is nothing
// to roll out that could say so. The document may have come before the way back was over.
static void forgive_what_is_in_force(struct gr_manager *m)
{
    for (size_t i = 0; i < m->now.n; i++) {
        const struct gr_wish *w = &m->now.wishes[i];
        const struct gr_committed *row = gr_manager_row(m, &w->module);
        struct gr_told *t = row ? gr_manager_told(m, &w->module) : NULL;
        if (!t || (t->phase != GR_PHASE_REJECTED && t->phase != GR_PHASE_ROLLED_BACK) ||
            w->mod_revision <= t->revision || !w->desired ||
            !gr_desired_same_release(row->release, w->desired))
            continue;
        *t = (struct gr_told){.module = w->module,
                              .at = gr_wall_now(),
                              .phase = GR_PHASE_HEALTHY,
                              .rollout = t->rollout,
                              .revision = w->mod_revision,
                              .message = "what is asked for is in force already"};
        gr_manager_tell(m, GR_MSG_HEALTHY, GR_LOG_INFO, w->module.s, w->desired->version.text, 0,
                        gr_phase_name(t->phase), GR_REASON_NONE, t->message);
    }
}

static int on_advance(sd_event_source *s, void *u)
{
    (void)s;
    struct gr_manager *m = u;
    while (gr_manager_advance_rollouts(m))
        ;
    forgive_what_is_in_force(m);
    gr_crew_replace_when_quiet(m);
    return 0;
}

void gr_manager_advance(struct gr_manager *m)
{
    int k = m->advance ? sd_event_source_set_enabled(m->advance, SD_EVENT_ONESHOT)
                       : sd_event_add_defer(m->event, &m->advance, on_advance, m);
    if (k < 0)
        gr_log(GR_LOG_ERROR, "event loop: %s", strerror(-k));
}

// --- the source
// -----------------------------------------------------------------------------------

static void wishes_done(struct gr_wishes *w)
{
    for (size_t i = 0; i < w->n; i++)
        gr_desired_free(w->wishes[i].desired);
    free(w->wishes);
    free(w->gone);
    *w = (struct gr_wishes){0};
}

static int wishes_of(const struct gr_snapshot *s, struct gr_wishes *ret)
{
    struct gr_wishes w = {.revision = s->revision, .cluster_id = s->cluster_id};
    w.wishes = calloc(s->n + 1, sizeof *w.wishes);
    w.gone = calloc(s->n_gone + 1, sizeof *w.gone);
    if (!w.wishes || !w.gone) {
        wishes_done(&w);
        return -ENOMEM;
    }
    for (; w.n_gone < s->n_gone; w.n_gone++)
        w.gone[w.n_gone] = s->gone[w.n_gone];
    for (size_t i = 0; i < s->n; i++) {
        const struct gr_entry *en = &s->entries[i];
        if (!en->module.s[0]) {
            gr_log(GR_LOG_WARNING, "a key is ignored: %s", en->error.message);
            continue;
        }
        struct gr_wish *x = &w.wishes[w.n++];
        *x = (struct gr_wish){
            .module = en->module, .mod_revision = en->mod_revision, .error = en->error};
        if (en->error.reason == GR_REASON_NONE)
            (void)!gr_desired_parse(&en->module, en->mod_revision, en->value, en->value_len,
                                    &x->desired, &x->error);
    }
    *ret = w;
    return 0;
}

static void on_snapshot(void *u, const struct gr_snapshot *s)
{
    struct gr_manager *m = u;
    struct gr_wishes w;
    GR_INSTANT("watch.snapshot");
    if (wishes_of(s, &w) < 0) {
        gr_log(GR_LOG_ERROR, "out of memory: revision %" PRId64 " is not taken up", s->revision);
        return;
    }
    wishes_done(&m->before);
    m->before = m->now;
    m->now = w;
    forgive_what_is_in_force(m);
    gr_manager_plan(m);
    gr_intents_look_again(m->intents);
    GR_INSTANT("plan.made");
    const struct gr_floor floor = {.cluster_id = s->cluster_id, .revision = s->revision};
    struct gr_error e = {0};
    if (gr_journal_set_floor(m->journal, &floor, &e) < 0)
        gr_log(GR_LOG_WARNING, "the source's revision could not be journaled: %s", e.message);
}

// A restart must not forget that what etcd holds was not accepted.
static void remember_hold(struct gr_manager *m)
{
    struct gr_floor floor = {0};
    struct gr_error e = {0};
    int k = gr_journal_get_floor(m->journal, &floor, &e);
    if (k < 0 || floor.held)
        return;
    floor.held = true;
    if (gr_journal_set_floor(m->journal, &floor, &e) < 0)
        gr_log(GR_LOG_WARNING, "the hold of the source could not be journaled: %s", e.message);
}

static void on_health(void *u, const struct gr_source_health *h)
{
    struct gr_manager *m = u;
    bool was_held = m->health.held, was_up = m->health.up;
    bool was_away = !was_up && m->health.reason; // at a start it is neither up nor away yet
    m->health = *h;
    if (h->rewound)
        remember_hold(m);
    if (h->held && !was_held)
        gr_manager_tell(m, GR_MSG_SOURCE_REWOUND, GR_LOG_ERROR, NULL, NULL, 0, NULL, h->reason,
                        h->message);
    else if (!h->up && h->reason && !was_away)
        gr_manager_tell(m, GR_MSG_SOURCE_LOST, GR_LOG_WARNING, NULL, NULL, 0, NULL, h->reason,
                        h->message);
    else if (!was_up && h->up)
        gr_manager_tell(m, GR_MSG_SOURCE_BACK, GR_LOG_INFO, NULL, NULL, 0, NULL, GR_REASON_NONE,
                        "the source of desired state answers");
    gr_manager_changed(m);
}

static struct gr_etcd_config etcd_config(const struct gr_config *c)
{
    return (struct gr_etcd_config){.n_endpoints = c->n_endpoints,
                                   .endpoints = (const char *const *)c->endpoints,
                                   .user = c->etcd_user,
                                   .password_file = c->etcd_password_file,
                                   .ca_file = c->etcd_ca_file,
                                   .cert_file = c->etcd_cert_file,
                                   .key_file = c->etcd_key_file};
}

static const struct gr_view *view_for_status(void *u)
{
    return gr_manager_view(u);
}

int gr_manager_follow_source(struct gr_manager *m, struct gr_error *e)
{
    const struct gr_source_callbacks cb = {
        .snapshot = on_snapshot, .health = on_health, .userdata = m};
    int k = gr_journal_get_floor(m->journal, &m->floor, e);
    if (k < 0)
        return k;
    if (!m->config->n_endpoints) {
        k = gr_source_directory_new(m->event, m->config->directory, &cb, &m->source, e);
    } else {
        const struct gr_etcd_config c = etcd_config(m->config);
        const struct gr_source_floor f = {.cluster_id = m->floor.cluster_id,
                                          .revision = m->floor.revision,
                                          .rewound = m->floor.held};
        const struct gr_source_keys keys = gr_source_keys_documents(&m->config->service);
        k = gr_source_etcd_new(m->event, m->transport, &c, &keys, &cb, f, &m->source, e);
        if (k == 0)
            k = gr_manager_follow_intents(m, &c, e);
    }
    return k < 0 ? k : gr_source_start(m->source, e);
}

// In safe mode the host tells of itself and follows nothing: what the source says may be what ended
// the starts before.
static int open_source(struct gr_manager *m, struct gr_error *e)
{
    int k = 0;
    if (m->config->n_endpoints) {
        const struct gr_etcd_config c = etcd_config(m->config);
        k = gr_status_writer_new(m->event, m->transport, &c, &m->config->service,
                                 &m->config->instance, view_for_status, m, &m->status, e);
        if (k == 0) // also in safe mode: what is convicted meanwhile is known when it is left
            k = gr_manager_follow_quarantine(m, &c, e);
    }
    if (k == 0 && gr_manager_is_safe(m)) {
        m->health.reason = GR_REASON_CRASHED;
        snprintf(m->health.message, sizeof m->health.message,
                 "the source is not followed in safe mode; grayctl safe-mode leave --reason TEXT");
        return 0;
    }
    return k < 0 ? k : gr_manager_follow_source(m, e);
}

// --- life
// -----------------------------------------------------------------------------------------

static struct gr_verifier_config verifier_config(const struct gr_config *c, const char *store)
{
    return (struct gr_verifier_config){.store_dir = store,
                                       .allow_schemes = c->allow_schemes,
                                       .allow_hosts = c->allow_hosts,
                                       .file_roots = c->file_roots,
                                       .max_bytes = c->max_bytes,
                                       .sealed_modules = c->sealed_modules};
}

static int open_state(struct gr_manager *m, struct gr_error *e)
{
    const struct gr_config *c = m->config;
    int k = GR_FAULT("state.open");
    if (k == 0)
        k = gr_fs_mkdir_all(c->state_dir, 0755);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_INTERNAL,
                            "the directory %s could not be made: %s. Set StateDirectory to a place "
                            "that this user may write",
                            c->state_dir, strerror(-k));
    k = gr_journal_open(c->state_dir, &m->journal, e);
    if (k == 0)
        k = gr_transport_new(m->event, &m->transport);
    if (k == 0)
        k = gr_manager_open_telemetry(m, e);
    if (k == 0)
        k = gr_contracts_new(&m->contracts);
    if (k < 0)
        return k;
    char store[4096];
    snprintf(store, sizeof store, "%s/store", c->state_dir);
    const struct gr_verifier_config vc = verifier_config(c, store);
    return gr_verifier_new(m->event, m->transport, &vc, &m->verifier, e);
}

static int open_programs(struct gr_manager *m, struct gr_error *e)
{
    int k = gr_program_open("grayling-worker", &m->worker_program);
    return k < 0 ? gr_error_set(e, k, GR_REASON_INTERNAL,
                                "the program grayling-worker was not found: %s; expected it beside "
                                "graylingd or in its libexec directory. Set GRAYLING_LIBEXEC, or "
                                "install the package again",
                                strerror(-k))
                 : 0;
}

static int open_control(struct gr_manager *m, struct gr_error *e)
{
    struct gr_control_ops ops;
    gr_manager_control_ops(m, &ops);
    const struct gr_control_config c = {.runtime_dir = m->config->runtime_dir,
                                        .admin_listen = m->config->admin_listen,
                                        .admin_hosts = m->config->admin_hosts,
                                        .admin_token_file = m->config->admin_token_file,
                                        .ops = &ops};
    return gr_control_start(m->event, &c, &m->control, e);
}

static void on_profiled(void *userdata)
{
    gr_manager_changed(userdata);
}

int gr_manager_new(sd_event *event, struct gr_config *take, char *const *sets, size_t n_sets,
                   const char *config_path, struct gr_manager **ret, struct gr_error *e)
{
    struct gr_manager *m = calloc(1, sizeof *m);
    if (!m) {
        gr_config_free(take);
        return -ENOMEM;
    }
    m->event = sd_event_ref(event);
    m->config = take;
    m->sets = sets;
    m->n_sets = n_sets;
    m->config_path = config_path ? strdup(config_path) : NULL;
    m->started = gr_wall_now();
    m->worker_program.fd = -1;
    gr_profiles_init(&m->profiles, on_profiled, m);
    int k = gr_fault_book_new(&m->faults);
    if (k == 0)
        k = open_programs(m, e);
    if (k == 0)
        k = open_state(m, e);
    struct gr_listeners adopted GR_CLEANUP(gr_listeners_done) = {0};
    if (k == 0)
        gr_orphans_adopt(m->config, &m->orphans, &adopted);
    if (k == 0)
        k = gr_manager_open_harms(m, e);
    if (k == 0)
        k = gr_listeners_open(m->config, &adopted, &m->listeners, e);
    if (k == 0) {
        gr_manager_init_ops(m);
        k = open_control(m,
                         e); // before anything is served: a second daemon on this state ends here
    }
    if (k == 0) {
        gr_start_begin(m);
        k = gr_manager_recover(m, e);
    }
    if (k == 0)
        k = gr_crew_start(m, e);
    if (k == 0)
        k = open_source(m, e);
    if (k < 0) {
        gr_manager_free(m);
        return k;
    }
    if (*gr_journal_damage(m->journal))
        gr_manager_tell(m, GR_MSG_JOURNAL_DAMAGED, GR_LOG_ERROR, NULL, NULL, 0, "Degraded",
                        GR_REASON_INTERNAL, gr_journal_damage(m->journal));
    if (*gr_control_trouble(m->control))
        gr_manager_tell(m, GR_MSG_NO_CONTROL, GR_LOG_ERROR, NULL, NULL, 0, "Degraded",
                        GR_REASON_DISK_FULL, gr_control_trouble(m->control));
    if (!m->config->trust_root_file)
        gr_manager_tell(m, GR_MSG_UNTRUSTED, GR_LOG_WARNING, NULL, NULL, 0, NULL, GR_REASON_NONE,
                        "no trust root is configured: whoever can write the etcd keys decides what "
                        "code runs. Set [Trust] RootFile");
    gr_manager_tell(m, GR_MSG_STARTED, GR_LOG_INFO, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    "graylingd started");
    *ret = m;
    return 0;
}

void gr_manager_free(struct gr_manager *m)
{
    if (!m)
        return;
    gr_start_end(m);
    gr_control_free(gr_steal(m->control));
    gr_source_free(m->source);
    gr_intents_free(gr_steal(m->intents));
    gr_quarantine_free(gr_steal(m->quarantine));
    gr_status_writer_free(gr_steal(m->status));
    gr_crew_free(m);
    gr_profiles_done(&m->profiles);
    gr_program_done(&m->worker_program);
    gr_mend_free_all(m);
    gr_manager_free_rollouts(m);
    m->advance = sd_event_source_disable_unref(m->advance);
    gr_verifier_free(m->verifier);
    gr_contracts_free(m->contracts);
    gr_telemetry_free(m->telemetry);
    gr_transport_free(m->transport);
    gr_journal_close(m->journal);
    if (m->stopping)
        gr_orphans_release(&m->orphans);
    gr_orphans_leave(&m->orphans); // a start that failed must not end what serves
    gr_listeners_done(&m->listeners);
    gr_manager_close_harms(m);
    gr_table_rows_done(&m->table);
    wishes_done(&m->before);
    wishes_done(&m->now);
    gr_manager_view_done(m);
    gr_fault_book_free(m->faults);
    gr_tallies_done(&m->tallies);
    free(m->told);
    free(m->config_path);
    free(m->config_text);
    gr_config_free(m->config);
    sd_event_unref(m->event);
    free(m);
}

// By itself: what is wrong in the configuration must not keep a token alive that leaked.
static void reload_token(struct gr_manager *m)
{
    struct gr_error e = {0};
    int k = gr_control_reload_token(m->control, &e);
    if (k < 0)
        gr_log(GR_LOG_ERROR,
               "the token for orders was not reloaded, the old one stays in force: %s",
               *e.message ? e.message : strerror(-k));
    else if (k > 0)
        gr_log(GR_LOG_NOTICE, "the token for orders was reloaded; the one before is refused now");
}

void gr_manager_reload(struct gr_manager *m)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, gr_mono_now().usec);
    reload_token(m);
    struct gr_config *fresh GR_CLEANUP(gr_config_freep) = NULL;
    struct gr_error e = {0};
    int k = GR_FAULT("config.reload");
    if (k < 0)
        gr_error_set(&e, k, GR_REASON_INTERNAL, "it could not be read: %s", strerror(-k));
    else
        k = gr_config_load(m->config_path, m->sets, m->n_sets, &fresh, &e);
    char store[4096];
    snprintf(store, sizeof store, "%s/store", m->config->state_dir);
    if (k == 0) {
        const struct gr_verifier_config vc = verifier_config(fresh, store);
        k = gr_verifier_reconfigure(m->verifier, &vc, &e);
    }
    if (k < 0)
        gr_log(GR_LOG_ERROR, "the configuration was not reloaded, the old one stays in force: %s",
               e.message);
    else
        gr_log(GR_LOG_NOTICE,
               "the artifact policy was reloaded; other keys take effect at the next start");
    sd_notify(0, "READY=1");
}

void gr_manager_replace_worker(struct gr_manager *m, const char *why)
{
    snprintf(m->replace_why, sizeof m->replace_why, "%s", why);
    m->replace_counts = GR_RESTART_REPLACE;
    m->replace_wanted = true;
    GR_INSTANT("worker.replace");
    gr_manager_advance(m);
}

void gr_manager_stop(struct gr_manager *m)
{
    if (m->stopping)
        return;
    m->stopping = true;
    GR_INSTANT("stop.begun");
    gr_start_end(m);
    sd_notify(0, "STOPPING=1");
    gr_manager_tell(m, GR_MSG_STOPPING, GR_LOG_INFO, NULL, NULL, 0, NULL, GR_REASON_NONE,
                    "graylingd drains and ends");
    m->respawn = sd_event_source_disable_unref(m->respawn);
    gr_crew_drain_all(m);
    if (!m->crew)
        sd_event_exit(m->event, 0);
}
