// Layout of the ring and the two sides of a slot. A page says what it is; each slot has its words
// and the request's header fields, then room for the largest request and the largest response. What
// was never touched takes no memory.
#include "dispatch/ring.h"
#include "base/clock.h"
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
#define PAGE 4096u
#define HEAD_BYTES (32u * 1024 - 512) // a head of GR_HEADER_BYTES_MAX with its terminators, twice
#define SPINS 200                     // some 10 us; a sleeping wake-up costs more
#define KEPT_BYTES (64u * 1024)       // of a payload; what was larger goes back to the system
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum state { FREE, ASKED, ANSWERED, HUNG_UP };

struct question {
    uint32_t method, codec, n_headers, head_bytes;
    uint64_t deadline_usec, payload_size;
    char request_id[sizeof(((struct gr_ring_question *)0)->request_id)];
};
struct answer {
    int32_t code;
    uint64_t size;
    char message[sizeof(((struct gr_ring_answer *)0)->message)];
};
struct slot {
    _Alignas(64) _Atomic uint32_t state;
    _Atomic uint32_t asker_sleeps, server_sleeps;
    struct question question;
    struct answer answer;
    char head[HEAD_BYTES]; // "name\0value\0" for each field
};
struct front { // the first page
    uint64_t magic, stride;
    uint32_t slots;
};
#define REQUEST_AT ((sizeof(struct slot) + PAGE - 1) / PAGE * PAGE)
#define RESPONSE_AT (REQUEST_AT + GR_REQUEST_BYTES_MAX)
#define STRIDE (RESPONSE_AT + GR_RESPONSE_BYTES_MAX)
_Static_assert(GR_REQUEST_BYTES_MAX % PAGE == 0 && GR_RESPONSE_BYTES_MAX % PAGE == 0,
               "whole pages");

struct gr_ring {
    char *memory;
    size_t size;
    unsigned slots, spins;
    int fd; // -1: serving side
};

// --- the memory --------------------------------------------------------------------------------

static size_t size_of(unsigned slots)
{
    return PAGE + (size_t)slots * STRIDE;
}

static char *place(const struct gr_ring *r, unsigned slot)
{
    return r->memory + PAGE + (size_t)slot * STRIDE;
}

static struct slot *slot_at(const struct gr_ring *r, unsigned slot)
{
    return (struct slot *)(void *)place(r, slot);
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
        (struct front){.magic = MAGIC, .stride = STRIDE, .slots = slots};
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
    if ((size_t)n != sizeof(front) || front.magic != MAGIC || front.stride != STRIDE ||
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

// The state becomes `wanted` soon, or not.
static bool spin(const struct gr_ring *r, const struct slot *s, uint32_t wanted)
{
    for (unsigned i = 0; i < r->spins; i++) {
        if (atomic_load_explicit(&s->state, memory_order_acquire) == wanted)
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
static void turn(struct slot *s, uint32_t state, _Atomic uint32_t *sleeps)
{
    atomic_store(&s->state, state);
    if (atomic_load(sleeps))
        syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

// --- calling -----------------------------------------------------------------------------------

// false: no room.
static bool put_headers(struct slot *s, const struct grayling_request *q)
{
    size_t at = 0;
    for (uint32_t i = 0; i < q->n_headers; i++) {
        const char *texts[] = {q->headers[i].name, q->headers[i].value};
        for (size_t t = 0; t < GR_COUNT(texts); t++) {
            size_t len = strlen(texts[t]) + 1;
            if (len > HEAD_BYTES - at)
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
    struct slot *s = slot_at(r, slot);
    if (q->payload.size > GR_REQUEST_BYTES_MAX || q->n_headers > GR_HEADERS_MAX)
        return -EMSGSIZE;
    s->question = (struct question){.method = q->method,
                                    .codec = q->codec,
                                    .n_headers = q->n_headers,
                                    .deadline_usec = q->deadline_usec,
                                    .payload_size = q->payload.size};
    if (!put_headers(s, q))
        return -EMSGSIZE;
    snprintf(s->question.request_id, sizeof(s->question.request_id), "%s",
             q->request_id ? q->request_id : "");
    if (q->payload.size)
        memcpy(place(r, slot) + REQUEST_AT, q->payload.data, q->payload.size);
    turn(s, ASKED, &s->server_sleeps);
    return 0;
}

int gr_ring_await(struct gr_ring *r, unsigned slot, uint64_t until_usec, const _Atomic bool *gone)
{
    struct slot *s = slot_at(r, slot);
    struct timespec limit = {.tv_sec = (time_t)(until_usec / GR_USEC_PER_SEC),
                             .tv_nsec = (long)(until_usec % GR_USEC_PER_SEC) * 1000};
    if (spin(r, s, ANSWERED))
        return 0;
    int k = 0;
    atomic_store(&s->asker_sleeps, 1);
    for (;;) {
        uint32_t seen = atomic_load(&s->state);
        if (seen == ANSWERED)
            k = 0;
        else if (atomic_load(gone))
            k = -EPIPE;
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
    struct slot *s = slot_at(r, slot);
    atomic_store(&s->state, HUNG_UP);
    syscall(SYS_futex, &s->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int gr_ring_read(const struct gr_ring *r, unsigned slot, struct gr_ring_answer *ret)
{
    struct answer a;
    memcpy(&a, (const void *)&slot_at(r, slot)->answer, sizeof(a)); // once: it may change
    if (a.size > GR_RESPONSE_BYTES_MAX)
        return -EPROTO;
    ret->code = a.code;
    ret->payload = (struct grayling_bytes){place(r, slot) + RESPONSE_AT, a.size};
    a.message[sizeof(a.message) - 1] = 0;
    memcpy(ret->message, a.message, sizeof(ret->message));
    return 0;
}

static void give_back(const struct gr_ring *r, unsigned slot, size_t at, uint64_t used,
                      uint64_t room)
{
    off_t from = (off_t)(place(r, slot) - r->memory) + (off_t)at;
    if (used > KEPT_BYTES)
        (void)!fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, (off_t)room);
}

void gr_ring_clear(struct gr_ring *r, unsigned slot)
{
    struct slot *s = slot_at(r, slot);
    give_back(r, slot, REQUEST_AT, s->question.payload_size, GR_REQUEST_BYTES_MAX);
    give_back(r, slot, RESPONSE_AT, s->answer.size, GR_RESPONSE_BYTES_MAX);
    s->question.payload_size = s->answer.size = 0;
    atomic_store(&s->state, FREE);
}

// --- serving -----------------------------------------------------------------------------------

void gr_ring_wait(struct gr_ring *r, unsigned slot)
{
    struct slot *s = slot_at(r, slot);
    if (spin(r, s, ASKED))
        return;
    atomic_store(&s->server_sleeps, 1);
    for (uint32_t seen; (seen = atomic_load(&s->state)) != ASKED;)
        (void)!sleep_on(&s->state, seen, NULL);
    atomic_store(&s->server_sleeps, 0);
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
    struct slot *s = slot_at(r, slot);
    struct question q;
    memcpy(&q, &s->question, sizeof(q));
    if (q.payload_size > GR_REQUEST_BYTES_MAX || q.head_bytes > HEAD_BYTES ||
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
        .payload = {place(r, slot) + REQUEST_AT, q.payload_size},
        .deadline_usec = q.deadline_usec,
        .request_id = ret->request_id,
    };
    return 0;
}

void *gr_ring_room(struct gr_ring *r, unsigned slot)
{
    return place(r, slot) + RESPONSE_AT;
}

void gr_ring_answer(struct gr_ring *r, unsigned slot, int32_t code, uint64_t size,
                    const char *message)
{
    struct slot *s = slot_at(r, slot);
    s->answer.code = code;
    s->answer.size = size;
    snprintf(s->answer.message, sizeof(s->answer.message), "%s", message);
    turn(s, ANSWERED, &s->asker_sleeps);
}
