// Messages arrive whole with their descriptors; whatever is wrong with one, no descriptor is left
// open.
#include "base/channel.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

struct pair {
    int fds[2];
};

static int open_pair(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    assert_int_equal(gr_channel_pair(p->fds), 0);
    *state = p;
    return 0;
}

static int close_pair(void **state)
{
    struct pair *p = *state;
    gr_closep(&p->fds[0]);
    gr_closep(&p->fds[1]);
    free(p);
    return 0;
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void a_message_with_descriptors(void **state)
{
    struct pair *p = *state;
    GR_AUTO_JSON cJSON *sent = cJSON_CreateObject(), *got = NULL;
    cJSON_AddStringToObject(sent, "type", "load");
    int files[GR_CHANNEL_FDS_MAX], received[GR_CHANNEL_FDS_MAX];
    for (int i = 0; i < GR_CHANNEL_FDS_MAX; i++)
        files[i] = memfd_create("channel-test", 0);
    assert_int_equal(write(files[15], "last", 4), 4);
    assert_int_equal(gr_channel_send(p->fds[0], sent, files, GR_CHANNEL_FDS_MAX), 0);
    size_t n = 0;
    assert_int_equal(gr_channel_recv(p->fds[1], &got, received, &n), 1);
    assert_int_equal(n, GR_CHANNEL_FDS_MAX);
    assert_string_equal(gr_json_get(got, "type")->valuestring, "load");
    char text[5] = "";
    assert_int_equal(pread(received[15], text, 4, 0), 4);
    assert_string_equal(text, "last");
    for (int i = 0; i < GR_CHANNEL_FDS_MAX; i++) {
        assert_true(fcntl(received[i], F_GETFD) & FD_CLOEXEC);
        close(files[i]);
        close(received[i]);
    }
}

static void borders_between_messages_stay(void **state)
{
    struct pair *p = *state;
    for (int i = 0; i < 100; i++) {
        GR_AUTO_JSON cJSON *m = cJSON_CreateObject();
        cJSON_AddNumberToObject(m, "id", i);
        assert_int_equal(gr_channel_send(p->fds[0], m, NULL, 0), 0);
    }
    for (int i = 0; i < 100; i++) {
        GR_AUTO_JSON cJSON *m = NULL;
        size_t n = 9;
        int fds[GR_CHANNEL_FDS_MAX];
        assert_int_equal(gr_channel_recv(p->fds[1], &m, fds, &n), 1);
        assert_int_equal(n, 0);
        assert_int_equal(gr_json_get(m, "id")->valueint, i);
    }
}

static void nothing_there_and_peer_gone_are_different(void **state)
{
    struct pair *p = *state;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject(), *got = NULL;
    int fds[GR_CHANNEL_FDS_MAX];
    size_t n;
    assert_int_equal(gr_channel_recv(p->fds[1], &got, fds, &n), -EAGAIN);
    assert_int_equal(gr_channel_send(p->fds[0], m, NULL, 0), 0);
    close(gr_steal_fd(&p->fds[0]));
    assert_int_equal(gr_channel_recv(p->fds[1], &got, fds, &n),
                     1); // what was sent before still counts
    cJSON *none = NULL;
    assert_int_equal(gr_channel_recv(p->fds[1], &none, fds, &n), 0);
    assert_null(none);
    assert_int_equal(gr_channel_send(p->fds[1], m, NULL, 0), -EPIPE);
}

static cJSON *text_of(size_t bytes)
{
    GR_AUTO_FREE char *text = malloc(bytes + 1);
    assert_non_null(text);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    cJSON *m = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "t", text);
    return m;
}

static void the_largest_message_passes_and_one_more_byte_does_not(void **state)
{
    struct pair *p = *state;
    const size_t frame = strlen("{\"t\":\"\"}");
    GR_AUTO_JSON cJSON *largest = text_of(GR_CHANNEL_MESSAGE_MAX - frame), *got = NULL;
    GR_AUTO_JSON cJSON *larger = text_of(GR_CHANNEL_MESSAGE_MAX - frame + 1);
    int fds[GR_CHANNEL_FDS_MAX + 1] = {0};
    size_t n;
    assert_int_equal(gr_channel_send(p->fds[0], largest, NULL, 0), 0);
    assert_int_equal(gr_channel_recv(p->fds[1], &got, fds, &n), 1);
    assert_int_equal(strlen(gr_json_get(got, "t")->valuestring), GR_CHANNEL_MESSAGE_MAX - frame);
    assert_int_equal(gr_channel_send(p->fds[0], larger, NULL, 0), -EMSGSIZE);
    assert_int_equal(gr_channel_send(p->fds[0], largest, fds, GR_CHANNEL_FDS_MAX + 1), -EMSGSIZE);
}

static void a_full_queue_says_so(void **state)
{
    struct pair *p = *state;
    GR_AUTO_JSON cJSON *m = text_of(100000);
    int r = 0, sent = 0;
    while ((r = gr_channel_send(p->fds[0], m, NULL, 0)) == 0)
        assert_true(++sent < 10000);
    assert_int_equal(r, -EAGAIN);
    assert_true(sent > 0);
}

// Sends raw bytes with descriptors, as a peer would that does not use this file.
static void send_raw(int fd, const void *bytes, size_t len, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[64];
    for (size_t i = 0; i < n_fds; i++)
        fds[i] = STDERR_FILENO;
    if (n_fds > 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &m, 0), len);
}

static void malformed_messages_close_their_descriptors(void **state)
{
    struct pair *p = *state;
    GR_AUTO_FREE char *large = malloc(GR_CHANNEL_MESSAGE_MAX + 1);
    assert_non_null(large);
    memset(large, ' ', GR_CHANNEL_MESSAGE_MAX + 1);
    memcpy(large, "{}", 2); // the part that fits would be good JSON
    const struct {
        const char *bytes;
        size_t len, n_fds;
    } cases[] = {
        {"{", 1, 3},
        {"[]", 2, 1},
        {"null", 4, 1},
        {"{\"a\":1,\"a\":2}", 13, 2},
        {large, GR_CHANNEL_MESSAGE_MAX + 1, 1},
        {"{}", 2, GR_CHANNEL_FDS_MAX + 1},
        {"{}", 2, 64},
    };
    unsigned before = count_descriptors();
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        cJSON *got = NULL;
        int fds[GR_CHANNEL_FDS_MAX];
        size_t n = 0;
        send_raw(p->fds[0], cases[i].bytes, cases[i].len, cases[i].n_fds);
        assert_int_equal(gr_channel_recv(p->fds[1], &got, fds, &n), -EBADMSG);
        assert_null(got);
        assert_int_equal(count_descriptors(), before);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        T(a_message_with_descriptors),
        T(borders_between_messages_stay),
        T(nothing_there_and_peer_gone_are_different),
        T(the_largest_message_passes_and_one_more_byte_does_not),
        T(a_full_queue_says_so),
        T(malformed_messages_close_their_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
