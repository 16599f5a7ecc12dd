// The stream from the outside: a plain socket reads what the event loop says, from a fake view and
// a real journal.
#include "base/fs.h"
#include "base/limits.h"
#include "control/fake-view.h"
#include "control/streams.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct world {
    char dir[64];
    sd_event *event;
    struct gr_journal *journal;
    struct gr_control *control;
    struct gr_fake_view fake;
    unsigned looks;
} w;

static const struct gr_view *view(void *u)
{
    (void)u;
    w.looks++;
    return &w.fake.view;
}

static struct gr_journal *journal(void *u)
{
    (void)u;
    return w.journal;
}

static void add_event(const char *message)
{
    struct gr_event_row ev = {.at = gr_wall_now(), .module = "pay"};
    struct gr_error e;
    snprintf(ev.message, sizeof ev.message, "%s", message);
    assert_int_equal(gr_journal_add_event(w.journal, &ev, &e), 0);
    gr_control_notify(w.control);
}

struct client {
    int fd;
    char text[1 << 17];
    size_t len;
};

static void ask(struct client *c, const char *fields)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char request[256];
    const char *port = strrchr(gr_control_admin_address(w.control), ':');
    to.sin_port = htons((uint16_t)atoi(port + 1));
    *c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(connect(c->fd, (const struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(request, sizeof request,
                     "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", fields);
    assert_int_equal(write(c->fd, request, (size_t)n), n);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void take(struct client *c)
{
    ssize_t n;
    while ((n = read(c->fd, c->text + c->len, sizeof c->text - 1 - c->len)) > 0)
        c->len += (size_t)n;
    c->text[c->len] = '\0';
}

// Turns the loop until the client was told `part`.
static void await(struct client *c, const char *part)
{
    for (take(c); !strstr(c->text, part); take(c)) {
        int k = sd_event_run(w.event, 20 * GR_USEC_PER_SEC);
        assert_true(k >= 0);
        if (k == 0)
            fail_msg("'%s' was not told in 20 s: %s", part, c->text);
    }
}

static void leave(struct client *c)
{
    close(c->fd);
    while (sd_event_run(w.event, 0) > 0)
        ;
}

static void test_events_and_the_board_come_at_once_and_go_on(void **state)
{
    struct client *c = *state;
    add_event("before");
    ask(c, "");
    await(c, "event: host");
    await(c, "\"module\":\"pay\",\"phase\":\"Progressing\"");
    assert_non_null(strstr(c->text, "Content-Type: text/event-stream"));
    assert_non_null(strstr(c->text, "retry: 2000\n\n"));
    assert_non_null(strstr(c->text, "\"message\":\"before\""));
    add_event("meanwhile");
    await(c, "\"message\":\"meanwhile\"");
    strcpy(w.fake.modules[1].phase, "Healthy");
    gr_control_notify(w.control);
    await(c, "\"module\":\"pay\",\"phase\":\"Healthy\"");
    strcpy(w.fake.modules[1].phase, "Progressing");
    await(c, "\"phase\":\"Progressing\""); // by the timer: nobody told
    leave(c);
}

static void test_who_comes_back_is_told_what_was_missed(void **state)
{
    struct client *c = *state;
    struct gr_error e;
    int64_t newest = 0;
    char fields[64];
    add_event("seen");
    assert_int_equal(gr_journal_newest_event(w.journal, &newest, &e), 0);
    add_event("missed");
    snprintf(fields, sizeof fields, "Last-Event-ID: %lld\r\n", (long long)newest);
    ask(c, fields);
    await(c, "event: host");
    assert_null(strstr(c->text, "\"message\":\"seen\""));
    assert_non_null(strstr(c->text, "\"message\":\"missed\""));
    leave(c);
    ask(c, "Last-Event-ID: 999999999\r\n"); // of a journal that is no more
    await(c, "\"message\":\"seen\"");
    leave(c);
    ask(c, "Last-Event-ID: none\r\n");
    await(c, "\"message\":\"seen\"");
    leave(c);
}

static void test_a_newcomer_is_told_no_more_than_the_newest(void **state)
{
    struct client *c = *state;
    struct gr_error e;
    int64_t newest = 0;
    char first[64];
    for (int i = 0; i <= GR_STREAM_EVENTS_BEFORE; i++)
        add_event("one of many");
    assert_int_equal(gr_journal_newest_event(w.journal, &newest, &e), 0);
    ask(c, "");
    snprintf(first, sizeof first, "id: %lld\n", (long long)newest);
    await(c, first);
    snprintf(first, sizeof first, "id: %lld\n", (long long)newest - GR_STREAM_EVENTS_BEFORE + 1);
    assert_ptr_equal(strstr(c->text, first), strstr(c->text, "id: "));
    leave(c);
}

static void test_no_more_watchers_than_allowed_and_no_look_without(void **state)
{
    static struct client all[GR_STREAMS_MAX];
    struct client *c = *state;
    for (size_t i = 0; i < GR_STREAMS_MAX; i++) {
        ask(&all[i], "");
        await(&all[i], "event: host");
    }
    ask(c, "");
    await(c, "watch this host already");
    assert_non_null(strstr(c->text, "503"));
    close(c->fd);
    for (size_t i = 0; i < GR_STREAMS_MAX; i++)
        close(all[i].fd);
    unsigned before = w.looks;
    gr_control_notify(w.control); // at the next look those who left are missed
    while (sd_event_run(w.event, 2 * GR_STREAM_LOOK_USEC_MIN) > 0 && w.looks == before)
        ;
    while (sd_event_run(w.event, 0) > 0)
        ;
    ask(c, "");
    await(c, "event: host");
    leave(c);
    before = w.looks;
    while (sd_event_run(w.event, 2 * GR_STREAM_LOOK_USEC) > 0)
        ; // a look that misses the last one, and none after it: the loop falls silent
    assert_true(w.looks <= before + 2);
}

static int set_up(void **state)
{
    static const struct gr_control_ops ops = {.view = view, .journal = journal};
    static struct client client;
    struct gr_error e = {0};
    const struct gr_control_config c = {.admin_listen = "127.0.0.1:0", .ops = &ops};
    *state = &client;
    strcpy(w.dir, "/tmp/gr-streams-XXXXXX");
    gr_fake_view_init(&w.fake);
    if (!mkdtemp(w.dir) || sd_event_new(&w.event) < 0)
        return -1;
    if (gr_journal_open(w.dir, &w.journal, &e) < 0 ||
        gr_control_start(w.event, &c, &w.control, &e) < 0) {
        print_error("%s\n", e.message);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    gr_control_free(w.control);
    gr_journal_close(w.journal);
    sd_event_unref(w.event);
    snprintf(command, sizeof command, "rm -r %s", w.dir);
    return system(command);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_events_and_the_board_come_at_once_and_go_on),
        CASE(test_who_comes_back_is_told_what_was_missed),
        CASE(test_a_newcomer_is_told_no_more_than_the_newest),
        CASE(test_no_more_watchers_than_allowed_and_no_look_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
