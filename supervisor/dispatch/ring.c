// The ring's memory, and the two sides of a slot.
#include "base/clock.h"
#include "dispatch/ring-layout.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define MAGIC UINT64_C(0x474e495259415247)
#define SPINS 200 // some 10 us; a sleeping wake-up costs more
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct front { // the first page
    uint64_t magic, stride;
    uint32_t slots;
};

// --- the memory --------------------------------------------------------------------------------

static size_t size_of(unsigned slots)
{
    return GR_RING_PAGE + (size_t)slots * GR_RING_STRIDE;
}

static int map(int fd, unsigned slots, struct gr_ring **ret)
{
    struct gr_ring *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    void *memory =
        mmap(NULL, size_of(slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (memory == MAP_FAILED) {
        free(r);
        return -errno;
    }
    (void)madvise(memory, size_of(slots), MADV_DONTDUMP); // requests are nobody's to keep
    *r = (struct gr_ring){.memory = memory,
                          .size = size_of(slots),
                          .slots = slots,
                          .spins = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? SPINS : 0,
                          .fd = -1};
    *ret = r;
    return 0;
}

static int open_memory(size_t size)
{
    int fd = memfd_create("grayling-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3
        fd = memfd_create("grayling-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    // A peer that could cut it short would have us die of SIGBUS.
    if (ftruncate(fd, (off_t)size) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

int gr_ring_new(unsigned slots, struct gr_ring **ret, int *ret_fd)
{
    if (slots < 1 || slots > GR_RING_SLOTS_MAX)
        return -EINVAL;
    GR_AUTO_CLOSE int fd = open_memory(size_of(slots));
    if (fd < 0)
        return fd;
    GR_AUTO_CLOSE int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return -errno;
    struct gr_ring *r;
    int k = map(fd, slots, &r);
    if (k < 0)
        return k;
    r->fd = gr_steal_fd(&own);
    *(struct front *)(void *)r->memory =
        (struct front){.magic = MAGIC, .stride = GR_RING_STRIDE, .slots = slots};
    *ret = r;
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

int gr_ring_map(int fd, struct gr_ring **ret)
{
    struct front front;
    struct stat st;
    ssize_t n = pread(fd, &front, sizeof(front), 0);
    if (n < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((size_t)n != sizeof(front) || front.magic != MAGIC || front.stride != GR_RING_STRIDE ||
        front.slots < 1 || front.slots > GR_RING_SLOTS_MAX ||
        (uint64_t)st.st_size != size_of(front.slots))
        return -EPROTO;
    return map(fd, front.slots, ret);
}

void gr_ring_free(struct gr_ring *r)
{
    if (!r)
        return;
    munmap(r->memory, r->size);
    gr_closep(&r->fd);
    free(r);
}

unsigned gr_ring_slots(const struct gr_ring *r)
{
    return r->slots;
}

// --- waiting -----------------------------------------------------------------------------------

static void relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

#define ONE(state) (1u << (state))

// Of foreign words: any number may stand there.
static bool is_one_of(uint32_t state, uint32_t wanted)
{
    return state < GR_RING_STATES && (wanted & ONE(state));
}

// The state becomes a `wanted` one soon, or not.
static bool spin(const struct gr_ring *r, const struct gr_ring_slot *s, uint32_t wanted)
{
    for (unsigned i = 0; i < r->spins; i++) {
        if (is_one_of(atomic_load_explicit(&s->state, memory_order_acquire), wanted))
            return true;
        relax();
    }
    return false;
}

// Not PRIVATE: the other side is another process. `limit` is absolute; NULL: none.
static int sleep_on(_Atomic uint32_t *word, uint32_t seen, const struct timespec *limit)
{
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, limit, NULL, FUTEX_BITSET_MATCH_ANY);
    return r < 0 ? -errno : 0;
}

// Writes the state, and wakes who said that it sleeps. Both words in one total order with the
// sleeper's: one of the two sees what the other wrote.
void gr_ring_turn(struct gr_ring_slot *s, enum gr_ring_state state, _Atomic uint32_t *sleeps)
{
    atomic_store(&s->state, (uint32_t)state);
    if (atomic_load(sleeps))
        syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

// --- calling -----------------------------------------------------------------------------------

// false: no room.
static bool put_headers(struct gr_ring_slot *s, const struct grayling_request *q)
{
    size_t at = 0;
    for (uint32_t i = 0; i < q->n_headers; i++) {
        const char *texts[] = {q->headers[i].name, q->headers[i].value};
        for (size_t t = 0; t < GR_COUNT(texts); t++) {
            size_t len = strlen(texts[t]) + 1;
            if (len > GR_RING_HEAD_BYTES - at)
                return false;
            memcpy(s->head + at, texts[t], len);
            at += len;
        }
    }
    s->question.head_bytes = (uint32_t)at;
    return true;
}

int gr_ring_ask(struct gr_ring *r, unsigned slot, const struct grayling_request *q)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    if (q->payload.size > GR_REQUEST_BYTES_MAX || q->n_headers > GR_HEADERS_MAX)
        return -EMSGSIZE;
    s->question.method = q->method;
    s->question.codec = q->codec;
    s->question.n_headers = q->n_headers;
    s->question.deadline_usec = q->deadline_usec;
    s->question.payload_size = q->payload.size;
    if (!put_headers(s, q))
        return -EMSGSIZE;
    snprintf(s->question.request_id, sizeof(s->question.request_id), "%s",
             q->request_id ? q->request_id : "");
    if (q->payload.size)
        memcpy(gr_ring_place(r, slot) + GR_RING_REQUEST_AT, q->payload.data, q->payload.size);
    gr_ring_turn(s, GR_RING_ASKED, &s->server_sleeps);
    return 0;
}

int gr_ring_await(struct gr_ring *r, unsigned slot, uint64_t until_usec, const _Atomic bool *gone)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    struct timespec limit = {.tv_sec = (time_t)(until_usec / GR_USEC_PER_SEC),
                             .tv_nsec = (long)(until_usec % GR_USEC_PER_SEC) * 1000};
    int k = 0;
    if (spin(r, s, ONE(GR_RING_ANSWERED) | ONE(GR_RING_CALLING)) &&
        atomic_load(&s->state) == GR_RING_ANSWERED)
        return GR_RING_HAS_ANSWERED;
    atomic_store(&s->asker_sleeps, 1);
    for (;;) {
        uint32_t seen = atomic_load(&s->state);
        if (seen == GR_RING_ANSWERED)
            k = GR_RING_HAS_ANSWERED;
        else if (atomic_load(gone))
            k = -EPIPE;
        else if (seen == GR_RING_CALLING) // who calls without end has an end, too
            k = gr_mono_now().usec < until_usec ? GR_RING_WANTS_A_CALL : -ETIMEDOUT;
        else if (k != -ETIMEDOUT) {
            k = sleep_on(&s->state, seen, &limit);
            continue;
        }
        break;
    }
    atomic_store(&s->asker_sleeps, 0);
    return k;
}

void gr_ring_hang_up(struct gr_ring *r, unsigned slot)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    atomic_store(&s->state, GR_RING_HUNG_UP);
    syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int gr_ring_read(const struct gr_ring *r, unsigned slot, struct gr_ring_answer *ret)
{
    __typeof__(((struct gr_ring_slot *)0)->answer) a;
    memcpy(&a, (const void *)&gr_ring_slot_at(r, slot)->answer, sizeof(a)); // once: it may change
    if (a.size > GR_RESPONSE_BYTES_MAX)
        return -EPROTO;
    ret->code = a.code;
    ret->payload = (struct grayling_bytes){gr_ring_place(r, slot) + GR_RING_RESPONSE_AT, a.size};
    a.message[sizeof(a.message) - 1] = 0;
    memcpy(ret->message, a.message, sizeof(ret->message));
    return 0;
}

void gr_ring_give_back(const struct gr_ring *r, unsigned slot, size_t at, uint64_t used,
                       uint64_t room)
{
    off_t from = (off_t)(gr_ring_place(r, slot) - r->memory) + (off_t)at;
    if (used > GR_RING_KEPT_BYTES)
        (void)!fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, (off_t)room);
}

void gr_ring_clear(struct gr_ring *r, unsigned slot)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    gr_ring_give_back(r, slot, GR_RING_REQUEST_AT, s->question.payload_size, GR_REQUEST_BYTES_MAX);
    gr_ring_give_back(r, slot, GR_RING_RESPONSE_AT, s->answer.size, GR_RESPONSE_BYTES_MAX);
    gr_ring_give_back(r, slot, GR_RING_CALL_AT, r->used[slot].call, GR_REQUEST_BYTES_MAX);
    gr_ring_give_back(r, slot, GR_RING_RESULTS_AT, r->used[slot].results, GR_RING_RESULTS_BYTES);
    r->used[slot] = (struct gr_ring_used){0};
    s->question.payload_size = s->answer.size = 0;
    atomic_store(&s->state, GR_RING_FREE);
}

// --- serving -----------------------------------------------------------------------------------

void gr_ring_serve_until(struct gr_ring *r, unsigned slot, enum gr_ring_state state)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    if (spin(r, s, ONE(state)))
        return;
    atomic_store(&s->server_sleeps, 1);
    for (uint32_t seen; (seen = atomic_load(&s->state)) != (uint32_t)state;)
        (void)!sleep_on(&s->state, seen, NULL);
    atomic_store(&s->server_sleeps, 0);
}

void gr_ring_wait(struct gr_ring *r, unsigned slot)
{
    gr_ring_serve_until(r, slot, GR_RING_ASKED);
}

// Each field's two texts end within `bytes`, and nothing is left over.
static int take_headers(const char *head, size_t bytes, uint32_t n, struct grayling_header *ret)
{
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        const char **texts[] = {&ret[i].name, &ret[i].value};
        for (size_t t = 0; t < GR_COUNT(texts); t++) {
            size_t len = strnlen(head + at, bytes - at);
            if (len == bytes - at)
                return -EPROTO;
            *texts[t] = head + at;
            at += len + 1;
        }
    }
    return at == bytes ? 0 : -EPROTO;
}

int gr_ring_question(struct gr_ring *r, unsigned slot, struct gr_ring_question *ret)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    __typeof__(s->question) q;
    memcpy(&q, &s->question, sizeof(q));
    if (q.payload_size > GR_REQUEST_BYTES_MAX || q.head_bytes > GR_RING_HEAD_BYTES ||
        q.n_headers > GR_HEADERS_MAX ||
        strnlen(q.request_id, sizeof(q.request_id)) == sizeof(q.request_id))
        return -EPROTO;
    int k = take_headers(s->head, q.head_bytes, q.n_headers, ret->headers);
    if (k < 0)
        return k;
    memcpy(ret->request_id, q.request_id, sizeof(q.request_id));
    ret->request = (struct grayling_request){
        .struct_size = sizeof(ret->request),
        .method = q.method,
        .codec = q.codec,
        .n_headers = q.n_headers,
        .headers = ret->headers,
        .payload = {gr_ring_place(r, slot) + GR_RING_REQUEST_AT, q.payload_size},
        .deadline_usec = q.deadline_usec,
        .request_id = ret->request_id,
    };
    return 0;
}

void *gr_ring_room(struct gr_ring *r, unsigned slot)
{
    return gr_ring_place(r, slot) + GR_RING_RESPONSE_AT;
}

void gr_ring_answer(struct gr_ring *r, unsigned slot, int32_t code, uint64_t size,
                    const char *message)
{
    struct gr_ring_slot *s = gr_ring_slot_at(r, slot);
    s->answer.code = code;
    s->answer.size = size;
    snprintf(s->answer.message, sizeof(s->answer.message), "%s", message);
    gr_ring_turn(s, GR_RING_ANSWERED, &s->asker_sleeps);
}
