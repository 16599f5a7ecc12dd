// Both sides of a ring, on two mappings of its memory: what is asked is what is read, whoever waits
// is woken, and what a server says is believed only as far as it can be true.
#include "base/clock.h"
#include "dispatch/ring.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#define FAR_AWAY (60 * GR_USEC_PER_SEC) // longer than any test waits
#define SLOT_AT 4096                    // of the first slot; its words come first

struct pair {
    struct gr_ring *asker, *server;
    int fd;
};
static _Atomic bool gone;

static struct pair open_pair(unsigned slots)
{
    struct pair p;
    assert_int_equal(gr_ring_new(slots, &p.asker, &p.fd), 0);
    assert_int_equal(gr_ring_map(p.fd, &p.server), 0);
    assert_int_equal(gr_ring_slots(p.server), slots);
    atomic_store(&gone, false);
    return p;
}

static void close_pair(struct pair *p)
{
    gr_ring_free(p->asker);
    gr_ring_free(p->server);
    close(p->fd);
}

static uint64_t later(uint64_t usec)
{
    return gr_mono_now().usec + usec;
}

static uint64_t allocated(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

// --- asking and answering
// ----------------------------------------------------------------------

static const struct grayling_header headers[] = {{"x-tenant-id", "blue"}, {"x-empty", ""}};

static struct grayling_request request(const void *payload, uint64_t size)
{
    return (struct grayling_request){.struct_size = sizeof(struct grayling_request),
                                     .method = 7,
                                     .codec = GRAYLING_CODEC_PROTO,
                                     .n_headers = GR_COUNT(headers),
                                     .headers = headers,
                                     .payload = {payload, size},
                                     .deadline_usec = 123456789,
                                     .request_id = "0123456789abcdef-7"};
}

static void what_is_asked_is_read(void **state)
{
    (void)state;
    struct pair p = open_pair(2);
    struct gr_ring_question *got = malloc(sizeof(*got));
    struct grayling_request q = request("abc", 3);
    assert_int_equal(gr_ring_ask(p.asker, 1, &q), 0);
    gr_ring_wait(p.server, 1);
    assert_int_equal(gr_ring_question(p.server, 1, got), 0);
    assert_int_equal(got->request.method, 7);
    assert_int_equal(got->request.codec, GRAYLING_CODEC_PROTO);
    assert_int_equal(got->request.n_headers, 2);
    assert_string_equal(got->request.headers[0].name, "x-tenant-id");
    assert_string_equal(got->request.headers[0].value, "blue");
    assert_string_equal(got->request.headers[1].value, "");
    assert_int_equal(got->request.payload.size, 3);
    assert_memory_equal(got->request.payload.data, "abc", 3);
    assert_true(got->request.deadline_usec == 123456789);
    assert_string_equal(got->request.request_id, "0123456789abcdef-7");
    memcpy(gr_ring_room(p.server, 1), "xyzzy", 5);
    gr_ring_answer(p.server, 1, GRAYLING_OK, 5, "");
    struct gr_ring_answer a;
    assert_int_equal(gr_ring_await(p.asker, 1, later(FAR_AWAY), &gone), 0);
    assert_int_equal(gr_ring_read(p.asker, 1, &a), 0);
    assert_int_equal(a.code, GRAYLING_OK);
    assert_int_equal(a.payload.size, 5);
    assert_memory_equal(a.payload.data, "xyzzy", 5);
    gr_ring_clear(p.asker, 1);
    free(got);
    close_pair(&p);
}

struct serving {
    struct gr_ring *ring;
    unsigned slot, calls;
};

// Answers each request with its payload, byte by byte one more.
static void *serve(void *arg)
{
    const struct serving *s = arg;
    struct gr_ring_question *q = malloc(sizeof(*q));
    for (unsigned i = 0; q && i < s->calls; i++) {
        gr_ring_wait(s->ring, s->slot);
        if (gr_ring_question(s->ring, s->slot, q) < 0)
            break;
        const unsigned char *from = q->request.payload.data;
        unsigned char *to = gr_ring_room(s->ring, s->slot);
        for (uint64_t b = 0; b < q->request.payload.size; b++)
            to[b] = (unsigned char)(from[b] + 1);
        gr_ring_answer(s->ring, s->slot, GRAYLING_ABORTED, q->request.payload.size, "as you like");
    }
    free(q);
    return NULL;
}

static void many_calls_at_once(void **state)
{
    (void)state;
    enum { SLOTS = 4, CALLS = 2000 };
    struct pair p = open_pair(SLOTS);
    pthread_t threads[SLOTS];
    struct serving serving[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        serving[i] = (struct serving){p.server, i, CALLS};
        assert_int_equal(pthread_create(&threads[i], NULL, serve, &serving[i]), 0);
    }
    for (unsigned c = 0; c < CALLS; c++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            unsigned char payload[3] = {(unsigned char)c, (unsigned char)i, 0};
            struct grayling_request q = request(payload, sizeof(payload));
            assert_int_equal(gr_ring_ask(p.asker, i, &q), 0);
        }
        for (unsigned i = 0; i < SLOTS; i++) {
            struct gr_ring_answer a;
            assert_int_equal(gr_ring_await(p.asker, i, later(FAR_AWAY), &gone), 0);
            assert_int_equal(gr_ring_read(p.asker, i, &a), 0);
            const unsigned char *got = a.payload.data;
            assert_int_equal(a.payload.size, 3);
            assert_int_equal(got[0], (unsigned char)(c + 1));
            assert_int_equal(got[1], i + 1);
            assert_string_equal(a.message, "as you like");
            gr_ring_clear(p.asker, i);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++)
        pthread_join(threads[i], NULL);
    close_pair(&p);
}

static void what_has_no_room_is_refused(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    char *large = calloc(1, GR_REQUEST_BYTES_MAX + 1);
    struct grayling_request q = request(large, GR_REQUEST_BYTES_MAX + 1);
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), -EMSGSIZE);
    memset(large, 'x', 40000);
    struct grayling_header one = {"x-large", large};
    q = request("", 0);
    q.headers = &one;
    q.n_headers = 1;
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), -EMSGSIZE);
    q.n_headers = GR_HEADERS_MAX + 1;
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), -EMSGSIZE);
    free(large);
    close_pair(&p);
}

static void large_payloads_do_not_stay(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    char *large = malloc(GR_REQUEST_BYTES_MAX);
    memset(large, 'x', GR_REQUEST_BYTES_MAX);
    struct grayling_request q = request(large, GR_REQUEST_BYTES_MAX);
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), 0);
    memset(gr_ring_room(p.server, 0), 'y', GR_RESPONSE_BYTES_MAX);
    gr_ring_answer(p.server, 0, GRAYLING_OK, GR_RESPONSE_BYTES_MAX, "");
    assert_true(allocated(p.fd) > GR_REQUEST_BYTES_MAX + GR_RESPONSE_BYTES_MAX);
    gr_ring_clear(p.asker, 0);
    assert_true(allocated(p.fd) < 256 * 1024);
    free(large);
    close_pair(&p);
}

// --- calling back
// ------------------------------------------------------------------------------

struct caller {
    struct gr_ring *ring;
    unsigned calls;
    uint64_t size; // of each
    bool sound;
};

// Calls somebody with 'a', 'b', ..., and looks at all that came back before it answers.
static void *call_others(void *arg)
{
    struct caller *c = arg;
    struct gr_ring_question *q = malloc(sizeof(*q));
    struct grayling_bytes *results = calloc(c->calls, sizeof(*results));
    char *kept[8] = {NULL}, *payload = malloc(c->size);
    gr_ring_wait(c->ring, 0);
    c->sound = gr_ring_question(c->ring, 0, q) == 0;
    for (unsigned i = 0; i < c->calls; i++) {
        int32_t code;
        bool stays;
        memset(payload, 'a' + (int)i, c->size);
        c->sound &= gr_ring_call(c->ring, 0, "com.example.Other", "Do",
                                 (struct grayling_bytes){payload, c->size}, &code, &results[i],
                                 &stays) == 0 &&
                    code == GRAYLING_ABORTED;
        if (!stays) {
            kept[i] = malloc(results[i].size);
            memcpy(kept[i], results[i].data, results[i].size);
            results[i].data = kept[i];
        }
    }
    for (unsigned i = 0; i < c->calls; i++) {
        const char *got = results[i].data;
        c->sound &= results[i].size >= c->size && got[0] == 'A' + (int)i &&
                    got[results[i].size - 1] == 'A' + (int)i;
        free(kept[i]);
    }
    gr_ring_answer(c->ring, 0, GRAYLING_OK, 0, "");
    free(payload);
    free(results);
    free(q);
    return NULL;
}

// Serves `calls` of them with results of `size` bytes, in capitals.
static void serve_calls(struct pair *p, struct caller *c, uint64_t size)
{
    pthread_t thread;
    char *result = malloc(size);
    struct grayling_request q = request("abc", 3);
    c->ring = p->server;
    assert_int_equal(pthread_create(&thread, NULL, call_others, c), 0);
    assert_int_equal(gr_ring_ask(p->asker, 0, &q), 0);
    for (unsigned i = 0; i < c->calls; i++) {
        struct gr_ring_call call;
        assert_int_equal(gr_ring_await(p->asker, 0, later(FAR_AWAY), &gone), GR_RING_WANTS_A_CALL);
        assert_int_equal(gr_ring_called(p->asker, 0, &call), 0);
        assert_string_equal(call.interface_name, "com.example.Other");
        assert_string_equal(call.method_name, "Do");
        assert_int_equal(call.payload.size, c->size);
        const char *said = call.payload.data;
        assert_int_equal(said[c->size - 1], 'a' + (int)i);
        memset(result, 'A' + (int)i, size);
        gr_ring_return(p->asker, 0, GRAYLING_ABORTED, (struct grayling_bytes){result, size});
    }
    assert_int_equal(gr_ring_await(p->asker, 0, later(FAR_AWAY), &gone), GR_RING_HAS_ANSWERED);
    pthread_join(thread, NULL);
    assert_true(c->sound);
    free(result);
}

static void who_answers_can_call(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    for (unsigned i = 0; i < 100; i++) {
        serve_calls(&p, &(struct caller){.calls = 3, .size = 10}, 100);
        gr_ring_clear(p.asker, 0);
    }
    close_pair(&p);
}

// Five times the largest answer is more than there is room for.
static void every_result_stays_readable(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    serve_calls(&p, &(struct caller){.calls = 5, .size = GR_REQUEST_BYTES_MAX},
                GR_RESPONSE_BYTES_MAX);
    assert_true(allocated(p.fd) > GR_RESPONSE_BYTES_MAX);
    gr_ring_clear(p.asker, 0);
    assert_true(allocated(p.fd) < 256 * 1024);
    close_pair(&p);
}

static void a_false_call_is_refused(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    struct gr_ring_call call;
    int32_t code;
    bool stays;
    struct grayling_bytes none = {0}, large = {"", GR_REQUEST_BYTES_MAX + 1}, got;
    char name[GR_INTERFACE_MAX + 2];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    assert_int_equal(gr_ring_called(p.asker, 0, &call), -EPROTO); // no names
    assert_int_equal(gr_ring_call(p.server, 0, name, "Do", none, &code, &got, &stays),
                     -ENAMETOOLONG);
    assert_int_equal(
        gr_ring_call(p.server, 0, "com.example.Other", name, none, &code, &got, &stays),
        -ENAMETOOLONG);
    assert_int_equal(
        gr_ring_call(p.server, 0, "com.example.Other", "Do", large, &code, &got, &stays),
        -EMSGSIZE);
    unsigned char *words = mmap(NULL, SLOT_AT + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
    assert_true(words != MAP_FAILED);
    memset(words + SLOT_AT, 0xff, 4096); // names without an end, sizes without end
    assert_int_equal(gr_ring_called(p.asker, 0, &call), -EPROTO);
    // and a state that is none is waited out
    assert_int_equal(gr_ring_await(p.asker, 0, later(2000), &gone), -ETIMEDOUT);
    munmap(words, SLOT_AT + 4096);
    close_pair(&p);
}

static void *call_without_end(void *arg)
{
    struct gr_ring *r = arg;
    struct grayling_bytes none = {0}, got;
    int32_t code = GRAYLING_OK;
    bool stays;
    while (code == GRAYLING_OK)
        if (gr_ring_call(r, 0, "com.example.Other", "Do", none, &code, &got, &stays) < 0)
            break;
    return NULL;
}

static void who_calls_without_end_has_an_end(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    pthread_t thread;
    struct gr_ring_call call;
    uint64_t until = later(20000);
    int r;
    assert_int_equal(pthread_create(&thread, NULL, call_without_end, p.server), 0);
    while ((r = gr_ring_await(p.asker, 0, until, &gone)) == GR_RING_WANTS_A_CALL) {
        assert_int_equal(gr_ring_called(p.asker, 0, &call), 0);
        gr_ring_return(p.asker, 0, GRAYLING_OK, (struct grayling_bytes){0});
    }
    assert_int_equal(r, -ETIMEDOUT);
    while (gr_ring_await(p.asker, 0, later(FAR_AWAY), &gone) != GR_RING_WANTS_A_CALL)
        continue;
    gr_ring_return(p.asker, 0, GRAYLING_CANCELED, (struct grayling_bytes){0});
    pthread_join(thread, NULL);
    close_pair(&p);
}

// --- what a peer may do
// ------------------------------------------------------------------------

static void nobody_is_waited_for_without_end(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    struct grayling_request q = request("", 0);
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), 0);
    assert_int_equal(gr_ring_await(p.asker, 0, later(2000), &gone), -ETIMEDOUT);
    gr_ring_answer(p.server, 0, GRAYLING_OK, 0, ""); // late, and the limit is past: it counts
    assert_int_equal(gr_ring_await(p.asker, 0, 1, &gone), 0);
    close_pair(&p);
}

static void *hang_up(void *arg)
{
    struct gr_ring *r = arg;
    atomic_store(&gone, true);
    gr_ring_hang_up(r, 0);
    return NULL;
}

static void death_wakes_who_waits(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    for (unsigned i = 0; i < 200; i++) { // at any moment of the wait
        pthread_t thread;
        struct grayling_request q = request("", 0);
        atomic_store(&gone, false);
        assert_int_equal(gr_ring_ask(p.asker, 0, &q), 0);
        assert_int_equal(pthread_create(&thread, NULL, hang_up, p.asker), 0);
        assert_int_equal(gr_ring_await(p.asker, 0, later(FAR_AWAY), &gone), -EPIPE);
        pthread_join(thread, NULL);
    }
    // asked after it
    struct grayling_request q = request("", 0);
    assert_int_equal(gr_ring_ask(p.asker, 0, &q), 0);
    assert_int_equal(gr_ring_await(p.asker, 0, later(FAR_AWAY), &gone), -EPIPE);
    close_pair(&p);
}

static void an_impossible_answer_is_refused(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    struct gr_ring_answer a;
    gr_ring_answer(p.server, 0, GRAYLING_OK, GR_RESPONSE_BYTES_MAX + 1, "");
    assert_int_equal(gr_ring_read(p.asker, 0, &a), -EPROTO);
    char *long_text = malloc(2000);
    memset(long_text, 'm', 1999);
    long_text[1999] = 0;
    gr_ring_answer(p.server, 0, 99, GR_RESPONSE_BYTES_MAX, long_text);
    assert_int_equal(gr_ring_read(p.asker, 0, &a), 0);
    assert_int_equal(strlen(a.message), sizeof(a.message) - 1);
    free(long_text);
    close_pair(&p);
}

static void another_memory_is_no_ring(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    struct gr_ring *r;
    int fd = memfd_create("no-ring", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(gr_ring_map(fd, &r), -EPROTO); // empty
    char page[4096];
    assert_int_equal(pread(p.fd, page, sizeof(page), 0), sizeof(page));
    assert_int_equal(pwrite(fd, page, sizeof(page), 0), sizeof(page));
    assert_int_equal(gr_ring_map(fd, &r), -EPROTO); // shorter than it says
    assert_int_equal(gr_ring_new(0, &r, &fd), -EINVAL);
    assert_int_equal(gr_ring_new(GR_RING_SLOTS_MAX + 1, &r, &fd), -EINVAL);
    assert_true(ftruncate(p.fd, 4096) < 0); // nobody can cut it short
    close(fd);
    close_pair(&p);
}

static void a_false_question_is_refused(void **state)
{
    (void)state;
    struct pair p = open_pair(1);
    struct gr_ring_question *got = malloc(sizeof(*got));
    // whatever 32-bit word of the slot's head is wrong, nothing outside the slot is read
    uint32_t *words = mmap(NULL, SLOT_AT + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
    assert_true(words != MAP_FAILED);
    unsigned refused = 0;
    for (unsigned w = 1; w < 40; w++) {
        struct grayling_request q = request("abc", 3);
        assert_int_equal(gr_ring_ask(p.asker, 0, &q), 0);
        words[SLOT_AT / 4 + w] = UINT32_MAX;
        int r = gr_ring_question(p.server, 0, got);
        refused += r == -EPROTO;
        if (r == 0)
            assert_true(got->request.payload.size <= GR_REQUEST_BYTES_MAX &&
                        got->request.n_headers <= GR_HEADERS_MAX);
        gr_ring_clear(p.asker, 0);
    }
    assert_true(refused >= 4); // head_bytes, n_headers, both halves of the payload's size
    munmap(words, SLOT_AT + 4096);
    free(got);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_is_read),
        cmocka_unit_test(many_calls_at_once),
        cmocka_unit_test(what_has_no_room_is_refused),
        cmocka_unit_test(large_payloads_do_not_stay),
        cmocka_unit_test(who_answers_can_call),
        cmocka_unit_test(every_result_stays_readable),
        cmocka_unit_test(a_false_call_is_refused),
        cmocka_unit_test(who_calls_without_end_has_an_end),
        cmocka_unit_test(nobody_is_waited_for_without_end),
        cmocka_unit_test(death_wakes_who_waits),
        cmocka_unit_test(an_impossible_answer_is_refused),
        cmocka_unit_test(another_memory_is_no_ring),
        cmocka_unit_test(a_false_question_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
