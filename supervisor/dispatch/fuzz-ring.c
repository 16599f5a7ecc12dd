// Any bytes in a slot, and in the front of the memory: what is read of them stays within the slot.
#include "dispatch/ring.h"
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOT_AT 4096
#define SLOT_BYTES (33u * 1024) // its words, the header fields, and a little of the payload
#define SEEN (SLOT_AT + 64u * 1024)

static struct gr_ring *ring;
static char *memory, *front;
static int fd = -1;
static volatile char sink;

static void touch(const void *bytes, uint64_t size)
{
    const char *p = bytes;
    if (size > 0)
        sink = (char)(p[0] + p[size - 1]);
}

static int open_once(void)
{
    if (ring)
        return 0;
    int r = gr_ring_new(1, &ring, &fd);
    if (r < 0)
        return r;
    memory = mmap(NULL, SEEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    front = malloc(SLOT_AT);
    if (memory == MAP_FAILED || !front)
        abort();
    memcpy(front, memory, SLOT_AT);
    return 0;
}

static void read_slot(const uint8_t *data, size_t size)
{
    static struct gr_ring_question q;
    static const _Atomic bool gone = true;
    static struct gr_ring_call c;
    struct gr_ring_answer a;
    memset(memory + SLOT_AT, 0, SLOT_BYTES);
    memcpy(memory + SLOT_AT, data, size < SLOT_BYTES ? size : SLOT_BYTES);
    if (gr_ring_question(ring, 0, &q) == 0) {
        for (uint32_t i = 0; i < q.request.n_headers; i++)
            touch(q.headers[i].name, strlen(q.headers[i].name) + strlen(q.headers[i].value) + 1);
        touch(q.request.payload.data, q.request.payload.size);
        touch(q.request.request_id, strlen(q.request.request_id));
    }
    if (gr_ring_read(ring, 0, &a) == 0) {
        touch(a.payload.data, a.payload.size);
        touch(a.message, strlen(a.message));
    }
    if (gr_ring_called(ring, 0, &c) == 0) {
        touch(c.payload.data, c.payload.size);
        touch(c.interface_name, strlen(c.interface_name) + strlen(c.method_name));
        gr_ring_return(ring, 0, GRAYLING_OK, (struct grayling_bytes){data, size});
    }
    // a state is none, or one that asks for something: never more than that
    if (gr_ring_await(ring, 0, 1, &gone) > GR_RING_WANTS_A_CALL)
        abort();
    gr_ring_clear(ring, 0);
}

static void read_front(const uint8_t *data, size_t size)
{
    struct gr_ring *other;
    memcpy(memory, data, size < 64 ? size : 64);
    if (gr_ring_map(fd, &other) == 0) {
        if (gr_ring_slots(other) != 1)
            abort();
        gr_ring_free(other);
    }
    memcpy(memory, front, SLOT_AT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || open_once() < 0)
        return 0;
    if (data[0] & 1)
        read_slot(data + 1, size - 1);
    else
        read_front(data + 1, size - 1);
    return 0;
}
