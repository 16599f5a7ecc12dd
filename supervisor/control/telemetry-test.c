// A collector of our own on the same event loop: batches, refusals that pass and that stay, the
// cap.
#include "base/buf.h"
#include "base/limits.h"
#include "control/telemetry.h"
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define PATIENCE_USEC (60 * 1000000ull)
#define REQUEST_BYTES_MAX (8u << 20)

struct collector {
    sd_event *event;
    struct gr_transport *transport;
    struct gr_telemetry *telemetry;
    int listener;
    sd_event_source *accepting;
    char url[64];
    const char *const *answers; // "200", then one a request; NULL: the last again
    size_t asked, spans, largest;
    char last[32]; // name of the last span taken
};
struct visitor {
    struct collector *c;
    struct gr_buf in;
    sd_event_source *source;
    int fd;
};

static void leave(struct visitor *v)
{
    sd_event_source_disable_unref(v->source);
    gr_buf_done(&v->in);
    close(v->fd);
    free(v);
}

static void take(struct collector *c, const char *body)
{
    size_t n = 0;
    for (const char *at = body; (at = strstr(at, "\"name\":\"span ")); n++, at++)
        snprintf(c->last, sizeof c->last, "%.*s", (int)strcspn(at + 8, "\""), at + 8);
    c->largest = n > c->largest ? n : c->largest;
    c->spans += n;
}

static int on_readable(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    struct visitor *v = userdata;
    char bytes[65536], answer[128];
    (void)s, (void)events;
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n <= 0) {
        leave(v);
        return 0;
    }
    assert_int_equal(gr_buf_append(&v->in, bytes, (size_t)n), 0);
    const char *body = strstr(v->in.data, "\r\n\r\n"),
               *length = strcasestr(v->in.data, "content-length: ");
    if (strcasestr(v->in.data, "expect: 100-continue") && body && !body[4])
        assert_true(write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 25);
    if (!body || !length || strlen(body + 4) < strtoul(length + 16, NULL, 10))
        return 0;
    struct collector *c = v->c;
    const char *status = *c->answers;
    if (c->answers[1])
        c->answers++;
    if (strncmp(status, "200", 3) == 0)
        take(c, body + 4);
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", status);
    assert_true(write(fd, answer, (size_t)len) == len);
    c->asked++;
    leave(v);
    return 0;
}

static int on_accept(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
    struct visitor *v = calloc(1, sizeof *v);
    (void)s, (void)events;
    assert_non_null(v);
    *v = (struct visitor){.c = userdata, .in = GR_BUF(REQUEST_BYTES_MAX)};
    v->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_return_code(v->fd, errno);
    assert_return_code(sd_event_add_io(v->c->event, &v->source, v->fd, EPOLLIN, on_readable, v), 0);
    return 0;
}

static void begin(struct collector *c, const char *const *answers)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct gr_error e = {0};
    *c = (struct collector){.answers = answers};
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(c->listener, (struct sockaddr *)&a, sizeof a), errno);
    assert_return_code(listen(c->listener, 16), errno);
    assert_return_code(getsockname(c->listener, (struct sockaddr *)&a, &len), errno);
    snprintf(c->url, sizeof c->url, "http://127.0.0.1:%u/v1/traces", ntohs(a.sin_port));
    assert_return_code(sd_event_new(&c->event), 0);
    assert_return_code(sd_event_add_io(c->event, &c->accepting, c->listener, EPOLLIN, on_accept, c),
                       0);
    assert_int_equal(gr_transport_new(c->event, &c->transport), 0);
    const struct gr_telemetry_config config = {
        .endpoint = c->url, .service = "order", .instance = "host-1", .version = "0.1.0"};
    assert_int_equal(gr_telemetry_new(c->event, c->transport, &config, &c->telemetry, &e), 0);
}

static void end(struct collector *c)
{
    gr_telemetry_free(c->telemetry);
    gr_transport_free(c->transport);
    sd_event_source_disable_unref(c->accepting);
    close(c->listener);
    sd_event_unref(c->event);
}

static void add(struct collector *c, unsigned number)
{
    char name[32];
    cJSON *span = cJSON_CreateObject();
    snprintf(name, sizeof name, "span %u", number);
    assert_non_null(cJSON_AddStringToObject(span, "name", name));
    gr_telemetry_add(c->telemetry, span);
}

static uint64_t exported(const struct collector *c)
{
    return gr_telemetry_counts(c->telemetry).exported;
}

static uint64_t lost(const struct collector *c)
{
    return gr_telemetry_counts(c->telemetry).lost;
}

// Until so many spans have found their end.
static void run(struct collector *c, uint64_t n)
{
    while (exported(c) + lost(c) < n)
        assert_true(sd_event_run(c->event, PATIENCE_USEC) > 0);
}

static void test_batches_in_order(void **state)
{
    static const char *const answers[] = {"200 OK", NULL};
    struct collector c;
    (void)state;
    begin(&c, answers);
    for (unsigned i = 0; i < 2 * GR_TELEMETRY_BATCH_MAX + 5; i++)
        add(&c, i);
    run(&c, 2 * GR_TELEMETRY_BATCH_MAX + 5);
    assert_int_equal(c.asked, 3);
    assert_int_equal(c.largest, GR_TELEMETRY_BATCH_MAX);
    assert_int_equal(c.spans, 2 * GR_TELEMETRY_BATCH_MAX + 5);
    assert_string_equal(c.last, "span 1028");
    assert_int_equal(lost(&c), 0);
    end(&c);
}

static void test_what_passes_is_tried_again(void **state)
{
    static const char *const answers[] = {"503 Busy", "429 Slowly", "502 Gone",
                                          "504 Late", "200 OK",     NULL};
    struct collector c;
    (void)state;
    begin(&c, answers);
    add(&c, 1);
    run(&c, 1);
    assert_int_equal(c.asked, 5);
    assert_int_equal(exported(&c), 1);
    add(&c, 2); // and it goes on as before
    run(&c, 2);
    assert_int_equal(c.spans, 2);
    end(&c);
}

static void test_what_stays_is_given_up(void **state)
{
    static const char *const answers[] = {"400 No", "200 OK", NULL};
    struct collector c;
    (void)state;
    begin(&c, answers);
    add(&c, 1);
    run(&c, 1);
    assert_int_equal(lost(&c), 1);
    add(&c, 2);
    run(&c, 2);
    assert_int_equal(exported(&c), 1);
    assert_string_equal(c.last, "span 2");
    end(&c);
}

static void test_the_cap(void **state)
{
    static const char *const answers[] = {"200 OK", NULL};
    struct collector c;
    (void)state;
    begin(&c, answers);
    for (unsigned i = 0; i < GR_TELEMETRY_SPANS_MAX + 3; i++)
        add(&c, i);
    assert_int_equal(lost(&c), 3);
    gr_telemetry_add(c.telemetry, NULL);
    gr_telemetry_add_lost(c.telemetry, 6);
    assert_int_equal(lost(&c), 10);
    run(&c, GR_TELEMETRY_SPANS_MAX + 10);
    assert_int_equal(exported(&c), GR_TELEMETRY_SPANS_MAX);
    end(&c);
}

static void test_an_end_in_the_middle(void **state)
{
    static const char *const answers[] = {"200 OK", NULL};
    struct collector c;
    (void)state;
    begin(&c, answers);
    for (unsigned i = 0; i < GR_TELEMETRY_BATCH_MAX; i++)
        add(&c, i);
    assert_true(sd_event_run(c.event, PATIENCE_USEC) > 0); // the timer: a request is under way
    end(&c);
    gr_telemetry_add(NULL, cJSON_CreateObject());
    assert_int_equal(gr_telemetry_counts(NULL).lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_in_order),
        cmocka_unit_test(test_what_passes_is_tried_again),
        cmocka_unit_test(test_what_stays_is_given_up),
        cmocka_unit_test(test_the_cap),
        cmocka_unit_test(test_an_end_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
