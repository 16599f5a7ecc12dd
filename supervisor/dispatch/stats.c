// The statistics segment: making, mapping, binding slots and reading sums. Owns the memfd's layout
// (stats-layout.h). Writers and readers are different processes that may be killed at any instant:
// nothing here waits for the other side.
#include "dispatch/stats.h"
#include "base/clock.h"
#include "dispatch/stats-layout.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LOAD(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define ADD(x, v) ((void)atomic_fetch_add_explicit(&(x), (v), memory_order_relaxed))

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// --- the segment -------------------------------------------------------------------------------

static int open_memfd(void)
{
    int fd = memfd_create("grayling-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3
        fd = memfd_create("grayling-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

static int map_segment(int fd, struct gr_stats **ret)
{
    GR_AUTO_FREE struct gr_stats *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    void *p =
        mmap(NULL, sizeof(*s->seg), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    // A core file wants the modules' memory, not a third of a gigabyte of holes.
    (void)madvise(p, sizeof(*s->seg), MADV_DONTDUMP);
    s->seg = p;
    *ret = gr_steal(s);
    return 0;
}

int gr_stats_new(struct gr_stats **ret, int *ret_fd)
{
    GR_AUTO_CLOSE int fd = open_memfd();
    if (fd < 0)
        return fd;
    if (ftruncate(fd, sizeof(struct gr_stats_segment)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    struct gr_stats *s = NULL;
    int r = map_segment(fd, &s);
    if (r < 0)
        return r;
    s->seg->layout = sizeof(struct gr_stats_segment);
    s->seg->magic = GR_STATS_MAGIC;
    *ret = s;
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

int gr_stats_map(int fd, struct gr_stats **ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size != sizeof(struct gr_stats_segment))
        return -EPROTO;
    struct gr_stats *s = NULL;
    int r = map_segment(fd, &s);
    if (r < 0)
        return r;
    if (s->seg->magic != GR_STATS_MAGIC || s->seg->layout != sizeof(struct gr_stats_segment)) {
        gr_stats_free(s);
        return -EPROTO;
    }
    *ret = s;
    return 0;
}

void gr_stats_free(struct gr_stats *s)
{
    if (!s)
        return;
    munmap(s->seg, sizeof(*s->seg));
    free(s);
}

// --- rows and slots ----------------------------------------------------------------------------

int gr_stats_claim_row(struct gr_stats *s, unsigned *ret_row)
{
    int32_t self = getpid();
    for (unsigned i = 0; i < GR_STATS_ROWS; i++) {
        struct gr_stats_inside *in = &s->seg->inside[i];
        int32_t owner = LOAD(in->owner);
        if (owner != 0 && (owner == self || kill(owner, 0) == 0 || errno != ESRCH))
            continue;
        if (!atomic_compare_exchange_strong(&in->owner, &owner, self))
            continue;
        STORE(in->depth, 0);
        STORE(in->faulted, 0);
        uint32_t used = LOAD(s->seg->rows_used);
        while (used <= i && !atomic_compare_exchange_weak(&s->seg->rows_used, &used, i + 1))
            continue;
        *ret_row = i;
        return 0;
    }
    return -ENOSPC;
}

void gr_stats_release_row(struct gr_stats *s, unsigned row)
{
    atomic_store_explicit(&s->seg->inside[row].owner, 0, memory_order_release);
}

static void drop_rows(struct gr_stats_segment *seg, unsigned slot)
{
    void *rows = seg->rows[slot];
    if (madvise(rows, sizeof(seg->rows[slot]), MADV_REMOVE) < 0)
        memset(rows, 0, LOAD(seg->rows_used) * sizeof(seg->rows[0][0]));
}

void gr_stats_bind(struct gr_stats *s, unsigned slot, const char *module, const char *version)
{
    assert(slot < GR_INSTANCES_MAX);
    struct gr_stats_slot *sl = &s->seg->slots[slot];
    uint64_t generation = LOAD(sl->generation);
    drop_rows(s->seg, slot);
    memset(sl, 0, sizeof(*sl));
    strncpy(sl->module, module, sizeof(sl->module) - 1);
    strncpy(sl->version, version, sizeof(sl->version) - 1);
    atomic_store_explicit(&sl->generation, generation + 1, memory_order_release);
}

void gr_stats_name_methods(struct gr_stats *s, unsigned slot, const char (*names)[64], size_t n)
{
    struct gr_stats_slot *sl = &s->seg->slots[slot];
    assert(n <= GR_METHODS_MAX);
    STORE(sl->n_methods, 0);
    memcpy(sl->methods, names, n * sizeof(names[0]));
    atomic_store_explicit(&sl->n_methods, (uint32_t)n, memory_order_release);
}

// --- a module's own counters -------------------------------------------------------------------

static bool counter_name_ok(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
    return n >= 1 && n <= GR_COUNTER_NAME_MAX && name[n] == 0;
}

static struct gr_stats_counter *find_counter(struct gr_stats_slot *sl, const char *name)
{
    for (unsigned i = 0; i < GR_STATS_COUNTERS; i++) {
        struct gr_stats_counter *c = &sl->counters[i];
        if (!atomic_load_explicit(&c->named, memory_order_acquire))
            return NULL;
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

// One process loads a version, so a lock of that process orders the first use of each name.
static struct gr_stats_counter *add_counter(struct gr_stats_slot *sl, const char *name)
{
    static pthread_mutex_t naming = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&naming);
    struct gr_stats_counter *c = find_counter(sl, name);
    for (unsigned i = 0; !c && i < GR_STATS_COUNTERS; i++)
        if (!atomic_load_explicit(&sl->counters[i].named, memory_order_relaxed)) {
            c = &sl->counters[i];
            strcpy(c->name, name);
            atomic_store_explicit(&c->named, true, memory_order_release);
        }
    pthread_mutex_unlock(&naming);
    return c;
}

void gr_stats_count(struct gr_stats *s, unsigned slot, const char *name, uint64_t add)
{
    if (!counter_name_ok(name))
        return;
    struct gr_stats_slot *sl = &s->seg->slots[slot];
    struct gr_stats_counter *c = find_counter(sl, name);
    if (!c)
        c = add_counter(sl, name);
    if (c)
        ADD(c->value, add);
}

size_t gr_stats_counters(const struct gr_stats *s, unsigned slot, struct gr_module_counter *ret,
                         size_t cap)
{
    const struct gr_stats_slot *sl = &s->seg->slots[slot];
    size_t n = 0;
    for (; n < cap && n < GR_STATS_COUNTERS; n++) {
        const struct gr_stats_counter *c = &sl->counters[n];
        if (!atomic_load_explicit(&c->named, memory_order_acquire))
            break;
        memcpy(ret[n].name, c->name, sizeof(ret[n].name));
        ret[n].value = LOAD(c->value);
    }
    return n;
}

// --- reading -----------------------------------------------------------------------------------

static uint64_t count_inside(const struct gr_stats_segment *seg, unsigned slot)
{
    uint64_t n = 0;
    uint32_t rows = LOAD(seg->rows_used);
    for (uint32_t i = 0; i < rows; i++) {
        const struct gr_stats_inside *in = &seg->inside[i];
        uint32_t depth = atomic_load_explicit(&in->depth, memory_order_acquire);
        for (uint32_t f = 0; f < depth && f < GR_CALL_DEPTH_MAX; f++)
            if (LOAD(in->frames[f]) >> 16 == slot) {
                n++;
                break;
            }
    }
    return n;
}

void gr_stats_read(const struct gr_stats *s, unsigned slot, struct gr_counters *ret)
{
    uint64_t shadow[GR_COUNT(s->seg->rows[0][0].shadow)] = {0};
    memset(ret, 0, sizeof(*ret));
    uint32_t rows = LOAD(s->seg->rows_used);
    for (uint32_t i = 0; i < rows; i++) {
        const struct gr_stats_row *row = &s->seg->rows[slot][i];
        for (unsigned c = 0; c < GR_CODES; c++) {
            ret->requests[c] += LOAD(row->requests[c]);
            ret->nested[c] += LOAD(row->nested[c]);
        }
        for (unsigned k = 0; k < GR_FAULT_KINDS; k++) {
            ret->faults_by[k] += LOAD(row->faults[k]);
            ret->faults += LOAD(row->faults[k]);
        }
        ret->rescued += LOAD(row->rescued);
        ret->timeouts += LOAD(row->timeouts);
        ret->latency_sum_nsec += LOAD(row->latency_sum_nsec);
        for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++)
            ret->latency.count[b] += LOAD(row->latency[b]);
        for (unsigned c = 0; c < GR_COUNT(shadow); c++)
            shadow[c] += LOAD(row->shadow[c]);
    }
    memcpy(&ret->shadow, shadow, sizeof(shadow));
    ret->in_flight = count_inside(s->seg, slot);
}

const char *gr_fault_kind_name(enum gr_fault_kind kind)
{
    static const char *const names[GR_FAULT_KINDS] = {
        [GR_FAULT_SIGNAL] = "signal", [GR_FAULT_ABORT] = "abort",     [GR_FAULT_ASSERT] = "assert",
        [GR_FAULT_EXIT] = "exit",     [GR_FAULT_TIMEOUT] = "timeout",
    };
    return kind < GR_FAULT_KINDS ? names[kind] : "?";
}

uint64_t gr_counters_total(const struct gr_counters *c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GR_CODES; i++)
        n += c->requests[i];
    return n;
}

uint64_t gr_counters_nested(const struct gr_counters *c)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < GR_CODES; i++)
        n += c->nested[i];
    return n;
}

bool gr_code_is_server_error(int32_t code)
{
    return code == 2 || code == 4 || (code >= 13 && code <= 15);
}

uint64_t gr_counters_server_errors(const struct gr_counters *c)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < GR_CODES; i++)
        n += gr_code_is_server_error(i) ? c->requests[i] : 0;
    return n;
}

const char *gr_stats_frame_method(const struct gr_stats_segment *seg, uint32_t frame)
{
    const struct gr_stats_slot *sl = &seg->slots[(frame >> 16) % GR_INSTANCES_MAX];
    uint32_t method = frame & UINT16_MAX;
    uint32_t n = atomic_load_explicit(&sl->n_methods, memory_order_acquire);
    return method < n && n <= GR_METHODS_MAX ? sl->methods[method] : "";
}

void gr_stats_request_id(const struct gr_stats_segment *seg, unsigned row, char buf[40])
{
    uint64_t words[GR_STATS_ID_WORDS];
    for (unsigned i = 0; i < GR_STATS_ID_WORDS; i++)
        words[i] = LOAD(seg->inside[row].request_id[i]);
    memcpy(buf, words, 40);
    buf[39] = 0;
}

size_t gr_stats_in_calls(const struct gr_stats *s, struct gr_in_call *ret, size_t cap)
{
    size_t n = 0;
    uint32_t rows = LOAD(s->seg->rows_used);
    for (uint32_t i = 0; i < rows && n < cap; i++) {
        const struct gr_stats_inside *in = &s->seg->inside[i];
        uint32_t depth = atomic_load_explicit(&in->depth, memory_order_acquire);
        if (depth == 0 || depth > GR_CALL_DEPTH_MAX)
            continue;
        uint32_t frame = LOAD(in->frames[depth - 1]);
        struct gr_in_call *c = &ret[n++];
        memset(c, 0, sizeof(*c));
        c->pid = LOAD(in->owner);
        c->thread = i;
        c->slot = frame >> 16;
        c->started_mono_usec = LOAD(in->started_usec);
        strncpy(c->method, gr_stats_frame_method(s->seg, frame), sizeof(c->method) - 1);
        gr_stats_request_id(s->seg, i, c->request_id);
        c->faulted = LOAD(in->faulted) != 0;
    }
    return n;
}

bool gr_stats_evidence(const struct gr_stats *s, struct gr_evidence *ret)
{
    const struct gr_stats_evidence *ev = &s->seg->evidence;
    uint32_t seq = atomic_load_explicit(&ev->seq, memory_order_acquire);
    if (seq == 0 || seq % 2 != 0)
        return false;
    uint32_t n = atomic_load_explicit(&ev->n_frames, memory_order_acquire);
    *ret = ev->body;
    ret->seq = seq;
    ret->n_frames = n <= GR_EVIDENCE_FRAMES ? n : 0;
    return true;
}

void gr_stats_clear_evidence(struct gr_stats *s)
{
    STORE(s->seg->evidence.n_frames, 0);
    atomic_store_explicit(&s->seg->evidence.seq, 0, memory_order_release);
}

// --- gauges ------------------------------------------------------------------------------------

void gr_stats_gauges(const struct gr_stats *s, struct gr_worker_gauges *ret)
{
    const struct gr_stats_gauges *g = &s->seg->gauges;
    *ret = (struct gr_worker_gauges){
        .parked = LOAD(g->parked),
        .connections = LOAD(g->connections),
        .connections_total = LOAD(g->connections_total),
        .refused_framing = LOAD(g->refused_framing),
        .heartbeat_mono_usec = LOAD(g->heartbeat_usec),
        .patterns_given_up = LOAD(g->patterns_given_up),
        .pool_waiting = LOAD(g->pool_waiting),
        .pool_full = LOAD(g->pool_full),
        .pool_late = LOAD(g->pool_late),
        .swaps_ok = LOAD(g->swaps_ok),
        .swaps_failed = LOAD(g->swaps_failed),
        .freeze_last_usec = LOAD(g->freeze_last_usec),
        .handovers_ok = LOAD(g->handovers_ok),
        .handovers_failed = LOAD(g->handovers_failed),
        .handover_last_usec = LOAD(g->handover_last_usec),
        .handover_last_bytes = LOAD(g->handover_last_bytes),
        .handover_bytes = LOAD(g->handover_bytes),
        .handover_sum_usec = LOAD(g->handover_sum_usec),
    };
    for (unsigned b = 0; b < GR_HISTOGRAM_BUCKETS; b++) {
        ret->freeze.count[b] = LOAD(g->freeze[b]);
        ret->handover.count[b] = LOAD(g->handover[b]);
    }
}

void gr_stats_parked_add(struct gr_stats *s, int64_t delta)
{
    ADD(s->seg->gauges.parked, (uint64_t)delta);
}

void gr_stats_connections_set(struct gr_stats *s, uint64_t now, uint64_t total)
{
    STORE(s->seg->gauges.connections, now);
    STORE(s->seg->gauges.connections_total, total);
}

void gr_stats_refused_framing_add(struct gr_stats *s)
{
    ADD(s->seg->gauges.refused_framing, 1);
}

void gr_stats_pool_waiting_add(struct gr_stats *s, int64_t delta)
{
    ADD(s->seg->gauges.pool_waiting, (uint64_t)delta);
}

void gr_stats_pool_refused_add(struct gr_stats *s, bool late)
{
    if (late)
        ADD(s->seg->gauges.pool_late, 1);
    else
        ADD(s->seg->gauges.pool_full, 1);
}

void gr_stats_patterns_given_up(struct gr_stats *s, uint64_t n)
{
    ADD(s->seg->gauges.patterns_given_up, n);
}

void gr_stats_heartbeat(struct gr_stats *s)
{
    STORE(s->seg->gauges.heartbeat_usec, gr_mono_now().usec);
}

void gr_stats_freeze(struct gr_stats *s, uint64_t usec, bool ok)
{
    struct gr_stats_gauges *g = &s->seg->gauges;
    ADD(*(ok ? &g->swaps_ok : &g->swaps_failed), 1);
    STORE(g->freeze_last_usec, usec);
    ADD(g->freeze[gr_histogram_bucket(usec * 1000)], 1);
}

void gr_stats_handover(struct gr_stats *s, uint64_t usec, uint64_t bytes, bool ok)
{
    struct gr_stats_gauges *g = &s->seg->gauges;
    ADD(*(ok ? &g->handovers_ok : &g->handovers_failed), 1);
    STORE(g->handover_last_usec, usec);
    STORE(g->handover_last_bytes, bytes);
    ADD(g->handover_sum_usec, usec);
    ADD(g->handover[gr_histogram_bucket(usec * 1000)], 1);
    if (ok)
        ADD(g->handover_bytes, bytes);
}
