// Looks at the memory of the worker that serves while a fault counts, and replaces it when it stays
// short of memory. What too much is, and how often, is decided in pressure.c.
#include "base/log.h"
#include "control/manager-internal.h"
#include "control/memory-room.h"
#include <inttypes.h>
#include <stdio.h>

#define CGROUPS "/sys/fs/cgroup"

static bool faults_count(const struct gr_manager *m)
{
    return gr_mono_now().usec - m->memory.fault.usec < m->config->breaker.window_usec;
}

// It alone: one that begins or drains beside it uses memory of the same group.
static bool serves_alone(const struct gr_manager *m)
{
    return m->active && m->crew == m->active && !m->active->next && !m->replace_wanted &&
           !m->stopping && !m->respawn && !gr_manager_is_waiting(m);
}

static void tell(struct gr_manager *m, const struct gr_memory_room *room, const char *what)
{
    char text[GR_MESSAGE_MAX];
    snprintf(text, sizeof text,
             "worker %d uses %" PRIu64 " MiB, which is %u %% of what %s allows (%" PRIu64
             " MiB), while modules fault: %s",
             gr_worker_pid(m->active->worker), room->used_bytes >> 20, room->permyriad / 100,
             room->of, room->limit_bytes >> 20, what);
    gr_manager_tell(m, GR_MSG_MEMORY, GR_LOG_WARNING, NULL, NULL, 0, NULL, GR_REASON_NONE, text);
}

static void replace(struct gr_manager *m, const struct gr_memory_room *room)
{
    struct gr_error e = {0};
    if (gr_manager_check_state(m, &e) < 0) {
        tell(m, room, e.message);
        return;
    }
    tell(m, room, "it is replaced");
    gr_manager_replace_worker(m, "it is short of memory while modules fault");
    m->replace_counts = GR_RESTART_MEMORY;
}

static void look(struct gr_manager *m)
{
    struct gr_memory_room room;
    if (m->memory.worker != m->active->number)
        gr_pressure_another_worker(&m->memory.state);
    m->memory.worker = m->active->number;
    if (gr_memory_room_read(gr_worker_pid(m->active->worker), m->config->memory_limit_bytes,
                            CGROUPS, &room) < 0 ||
        room.limit_bytes == 0)
        return;
    switch (gr_pressure_note(&m->memory.state, gr_mono_now().usec, room.permyriad, true)) {
    case GR_PRESSURE_WAIT:
        break;
    case GR_PRESSURE_REPLACE:
        replace(m, &room);
        break;
    case GR_PRESSURE_UNHELPED:
        tell(m, &room,
             "the worker before it was replaced for that already, and it did not help. It is not "
             "done again before this falls below 80 %: mend what faults or grows, or allow more");
        break;
    }
}

static int on_look(sd_event_source *s, uint64_t usec, void *u)
{
    struct gr_manager *m = u;
    if (m->stopping || !faults_count(m)) {
        m->memory.look = sd_event_source_disable_unref(m->memory.look);
        return 0;
    }
    if (serves_alone(m))
        look(m);
    int r = sd_event_source_set_time(s, usec + GR_PRESSURE_LOOK_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

void gr_crew_watch_memory(struct gr_manager *m)
{
    m->memory.fault = gr_mono_now();
    if (!m->memory.look && sd_event_add_time_relative(m->event, &m->memory.look, CLOCK_MONOTONIC,
                                                      GR_PRESSURE_LOOK_USEC,
                                                      GR_PRESSURE_LOOK_USEC / 10, on_look, m) < 0)
        gr_log(GR_LOG_ERROR, "no timer to look at the worker's memory");
}
