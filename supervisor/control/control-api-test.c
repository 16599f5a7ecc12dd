// The control socket from the outside: a curl client on a thread of its own asks, the event loop
// answers from a fake view and a real journal.
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "control/control-api.h"
#include "control/fake-view.h"
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

static struct world {
    char dir[64];
    sd_event *event;
    struct gr_journal *journal;
    struct gr_control *control;
    struct gr_fake_view fake;
    char frozen[96], undone[64], undone_to[64], left_because[64];
    struct gr_digest lifted;
    struct gr_order ordered;
    int refuse; // what the next operation returns
} w;

// --- the fake behind the routes
// ----------------------------------------------------------------------------------------

static const struct gr_view *view(void *u)
{
    (void)u;
    return &w.fake.view;
}

static struct gr_journal *journal(void *u)
{
    (void)u;
    return w.journal;
}

static const char *config(void *u)
{
    (void)u;
    return "[Service]\nName=order\n";
}

static int undo(void *u, const char *module, const char *to, const struct gr_order *o, cJSON **ret,
                struct gr_error *e)
{
    (void)u;
    if (w.refuse)
        return gr_error_set(e, w.refuse, GR_REASON_NONE, "there is no %s to undo", module);
    snprintf(w.undone, sizeof w.undone, "%s", module);
    snprintf(w.undone_to, sizeof w.undone_to, "%s", to ? to : "last good");
    w.ordered = *o;
    *ret = cJSON_Parse("{\"module\":\"pay\"}");
    return 0;
}

static int leave_safe_mode(void *u, const char *actor, const char *reason, struct gr_error *e)
{
    (void)u, (void)actor, (void)e;
    snprintf(w.left_because, sizeof w.left_because, "%s", reason);
    return 0;
}

static int lift(void *u, const struct gr_digest *digest, const char *actor, const char *reason,
                struct gr_error *e)
{
    (void)u, (void)actor, (void)reason, (void)e;
    w.lifted = *digest;
    return 0;
}

static int steer(void *u, const struct gr_name *module, const struct gr_order *o,
                 struct gr_error *e)
{
    (void)u;
    if (w.refuse)
        return gr_error_set(e, w.refuse, GR_REASON_NONE, "bob was faster with %s", module->s);
    w.ordered = *o;
    return 0;
}

static int abort_(void *u, const struct gr_name *module, const struct gr_order *o, cJSON **ret,
                  struct gr_error *e)
{
    int k = steer(u, module, o, e);
    if (k == 0)
        cJSON_AddStringToObject(*ret = cJSON_CreateObject(), "module", module->s);
    return k;
}

static int freeze(void *u, const char *const *modules, size_t n, uint64_t for_usec,
                  struct gr_error *e)
{
    (void)u, (void)e;
    snprintf(w.frozen, sizeof w.frozen, "%zu %s %llu", n, modules[0], (unsigned long long)for_usec);
    return 0;
}

static int plan(void *u, const struct gr_wishes *wishes, struct gr_plans **ret, struct gr_error *e)
{
    (void)u, (void)e;
    struct gr_wishes before = {0};
    struct gr_table_rows actual = {0};
    const struct gr_plan_input in = {.before = &before, .now = wishes, .actual = &actual};
    return gr_plans_make(&in, ret);
}

static const struct gr_control_ops ops = {.view = view,
                                          .journal = journal,
                                          .config = config,
                                          .undo = undo,
                                          .steer = steer,
                                          .abort = abort_,
                                          .lift = lift,
                                          .leave_safe_mode = leave_safe_mode,
                                          .freeze = freeze,
                                          .plan = plan};

// --- the client
// --------------------------------------------------------------------------------------------------------

struct ask {
    const char *method, *path, *body;
    bool admin;
    const char *accept;
    long status;
    struct gr_buf answer;
    int done; // eventfd
    CURLcode code;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata)
{
    return gr_buf_append(userdata, bytes, size * n) < 0 ? 0 : n;
}

static void *run_client(void *userdata)
{
    struct ask *a = userdata;
    char url[256], accept[128];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = NULL;
    snprintf(url, sizeof url, "http://%s%s",
             a->admin ? gr_control_admin_address(w.control) : "host", a->path);
    snprintf(accept, sizeof accept, "Accept: %s", a->accept ? a->accept : "*/*");
    headers = curl_slist_append(headers, accept);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (!a->admin)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, gr_control_socket_path(w.control));
    if (a->body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, a->body);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, a->method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a->answer);
    a->code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    eventfd_write(a->done, 1);
    return NULL;
}

static int on_answered(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
    (void)fd, (void)revents;
    *(bool *)userdata = true;
    return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

// Turns the loop until the client has its answer. `meanwhile` runs when the loop has nothing more
// to do, so that the client waits by then (or asks after it, which must be answered the same).
static void perform(struct ask *a, void (*meanwhile)(void))
{
    pthread_t thread;
    sd_event_source *answered;
    bool done = false;
    a->answer = GR_BUF(GR_METRICS_BYTES_MAX);
    a->done = eventfd(0, EFD_CLOEXEC);
    assert_true(sd_event_add_io(w.event, &answered, a->done, EPOLLIN, on_answered, &done) >= 0);
    assert_int_equal(pthread_create(&thread, NULL, run_client, a), 0);
    while (!done) {
        assert_true(sd_event_run(w.event, UINT64_MAX) >= 0);
        while (sd_event_run(w.event, 0) > 0)
            ;
        if (meanwhile && !done)
            meanwhile();
        meanwhile = NULL;
    }
    pthread_join(thread, NULL);
    sd_event_source_disable_unref(answered);
    close(a->done);
    assert_int_equal(a->code, CURLE_OK);
}

static cJSON *ask_json(const char *method, const char *path, const char *body, long status)
{
    struct ask a = {.method = method, .path = path, .body = body};
    cJSON *json = NULL;
    perform(&a, NULL);
    if (a.status != status)
        fail_msg("%s %s: status %ld: %s", method, path, a.status,
                 a.answer.data ? a.answer.data : "");
    assert_int_equal(gr_json_parse(a.answer.data, a.answer.len, GR_METRICS_BYTES_MAX, &json, NULL),
                     0);
    gr_buf_done(&a.answer);
    return json;
}

static void assert_status(const char *method, const char *path, const char *body, long status)
{
    cJSON_Delete(ask_json(method, path, body, status));
}

static const char *text(const cJSON *o, const char *field)
{
    return cJSON_GetStringValue(gr_json_get(o, field));
}

static void add_event(const char *message)
{
    struct gr_event_row ev = {
        .at = gr_wall_now(), .module = "pay", .version = "1.1.0", .phase = "Baking", .rollout = 42};
    struct gr_error e;
    snprintf(ev.message, sizeof ev.message, "%s", message);
    assert_int_equal(gr_journal_add_event(w.journal, &ev, &e), 0);
}

static void add_event_and_notify(void)
{
    add_event("second");
    gr_control_notify(w.control);
}

// --- tests
// -------------------------------------------------------------------------------------------------------------

static void test_status_and_modules(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *all = ask_json("GET", "/v1/status", NULL, 200);
    assert_string_equal(text(all, "service"), "order");
    GR_AUTO_JSON cJSON *one = ask_json("GET", "/v1/modules/pay", NULL, 200);
    assert_string_equal(text(one, "phase"), "Progressing");
    GR_AUTO_JSON cJSON *list = ask_json("GET", "/v1/modules", NULL, 200);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(list, "modules")), 2);
    GR_AUTO_JSON cJSON *convictions = ask_json("GET", "/v1/quarantine", NULL, 200);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(convictions, "quarantine")), 1);
}

static void test_errors_are_sentences(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *missing = ask_json("GET", "/v1/modules/nope", NULL, 404);
    assert_string_equal(text(missing, "reason"), "NotFound");
    assert_non_null(strstr(text(missing, "message"), "nope"));
    GR_AUTO_JSON cJSON *path = ask_json("GET", "/v2/status", NULL, 404);
    assert_string_equal(text(path, "reason"), "NotFound");
    GR_AUTO_JSON cJSON *method = ask_json("POST", "/v1/status", "{}", 405);
    assert_non_null(strstr(text(method, "message"), "GET"));
    GR_AUTO_JSON cJSON *wait = ask_json("GET", "/v1/events?wait=soon", NULL, 400);
    assert_non_null(strstr(text(wait, "message"), "soon"));
    GR_AUTO_JSON cJSON *absent = ask_json("POST", "/v1/worker/replace", "{}", 501);
    assert_string_equal(text(absent, "reason"), "NotImplemented");
}

static void test_undo(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *ok =
        ask_json("POST", "/v1/modules/pay/undo", "{\"actor\":\"alice\",\"to\":\"1.0.0\"}", 200);
    assert_string_equal(text(ok, "module"), "pay");
    assert_string_equal(w.undone, "pay");
    assert_string_equal(w.undone_to, "1.0.0");
    assert_string_equal(w.ordered.actor, "alice");
    assert_int_equal(w.ordered.verb, GR_ORDER_ABORT);
    assert_int_equal(w.ordered.rollout, -1); // whichever it is
    assert_false(w.ordered.one_way);
    assert_status("POST", "/v1/modules/pay/undo", "{\"one_way\":true}", 200);
    assert_true(w.ordered.one_way);
    assert_status("POST", "/v1/modules/pay/undo", "{\"rollout\":42}", 200);
    assert_int_equal(w.ordered.rollout, 42);
    assert_status("POST", "/v1/modules/pay/undo", "{\"rollout\":-1}", 400);
    GR_AUTO_JSON cJSON *unknown =
        ask_json("POST", "/v1/modules/pay/undo", "{\"too\":\"1.0.0\"}", 400);
    assert_string_equal(text(unknown, "reason"), "DocumentInvalid");
    GR_AUTO_JSON cJSON *broken = ask_json("POST", "/v1/modules/pay/undo", "{", 400);
    assert_string_equal(text(broken, "reason"), "DocumentInvalid");
    w.refuse = -EALREADY;
    GR_AUTO_JSON cJSON *refused = ask_json("POST", "/v1/modules/pay/undo", NULL, 409);
    w.refuse = 0;
    assert_string_equal(text(refused, "reason"), "Conflict");
}

static void test_lift_needs_digest_and_reason(void **state)
{
    char path[256], hex[70] = "";
    (void)state;
    memset(hex, 'c', 64);
    snprintf(path, sizeof path, "/v1/quarantine/%s/lift", hex);
    GR_AUTO_JSON cJSON *silent = ask_json("POST", path, "{\"actor\":\"alice\"}", 400);
    assert_non_null(strstr(text(silent, "message"), "reason"));
    assert_status("POST", path, "{\"actor\":\"alice\",\"reason\":\"fixed\"}", 200);
    assert_int_equal(w.lifted.bytes[31], 0xcc);
    strcat(hex, "c");
    snprintf(path, sizeof path, "/v1/quarantine/%s/lift", hex);
    assert_status("POST", path, "{\"reason\":\"fixed\"}", 400);
}

static void test_leaving_safe_mode_needs_a_reason(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *silent =
        ask_json("POST", "/v1/safe-mode/leave", "{\"actor\":\"alice\"}", 400);
    assert_non_null(strstr(text(silent, "message"), "reason"));
    assert_string_equal(w.left_because, "");
    assert_status("POST", "/v1/safe-mode/leave", "{\"reason\":\"mended\"}", 200);
    assert_string_equal(w.left_because, "mended");
}

static void test_orders(void **state)
{
    static const char *const verbs[] = {"promote", "pause", "resume", "retry"};
    (void)state;
    for (size_t i = 0; i < GR_COUNT(verbs); i++) {
        char path[64];
        snprintf(path, sizeof path, "/v1/modules/pay/%s", verbs[i]);
        GR_AUTO_JSON cJSON *o = ask_json("POST", path, "{\"actor\":\"alice\",\"step\":2}", 200);
        assert_string_equal(gr_order_verb_name(w.ordered.verb), verbs[i]);
        assert_int_equal(w.ordered.step, 2);
        assert_int_equal(w.ordered.rollout, -1); // not said
        assert_string_equal(text(o, "module"), "pay");
        assert_string_equal(text(o, "phase"), "Baking");
        assert_true(gr_json_get(o, "rollout")->valuedouble == 42);
    }
    assert_status("POST", "/v1/modules/pay/promote",
                  "{\"rollout\":42,\"full\":true,\"over_bad_stable\":true,\"reason\":\"r\"}", 200);
    assert_true(w.ordered.full && w.ordered.over_bad_stable && w.ordered.rollout == 42);
    assert_status("POST", "/v1/modules/pay/promote", "{\"step\":-1}", 400);
    assert_status("POST", "/v1/modules/pay/promote", "{\"colour\":1}", 400);
    assert_status("POST", "/v1/modules/.../promote", "{}", 400);
    GR_AUTO_JSON cJSON *back =
        ask_json("POST", "/v1/modules/pay/abort", "{\"actor\":\"alice\",\"rollout\":42}", 200);
    assert_string_equal(text(back, "module"), "pay"); // what the op answers, as it is
    assert_true(w.ordered.verb == GR_ORDER_ABORT && w.ordered.rollout == 42);
    w.refuse = -ESTALE;
    assert_status("POST", "/v1/modules/pay/abort", "{}", 409);
    GR_AUTO_JSON cJSON *lost = ask_json("POST", "/v1/modules/pay/promote", "{}", 409);
    assert_string_equal(text(lost, "message"), "bob was faster with pay");
    w.refuse = -EPERM;
    assert_status("POST", "/v1/modules/pay/promote", "{}", 403);
    w.refuse = 0;
}

static void test_verdicts_of_a_rollout(void **state)
{
    struct gr_error e = {0};
    char old[] = "{\"look\":1}", first[] = "{\"look\":2}", last[] = "{\"look\":3}";
    struct gr_rollout_member members[] = {{.module = {"auth"}, .verdict = last}};
    const struct gr_rollout_row row = {.id = 7,
                                       .phase = GR_PHASE_ROLLED_BACK,
                                       .created = {100},
                                       .updated = {300},
                                       .n = 1,
                                       .members = members};
    struct gr_verdict_row verdict = {.rollout = 7, .module = {"auth"}, .at = {50}, .record = old};
    (void)state;
    assert_int_equal(gr_journal_put_rollout(w.journal, &row, &e), 0);
    assert_int_equal(gr_journal_add_verdict(w.journal, &verdict, &e), 0); // of an earlier try
    verdict.at.usec = 200;
    verdict.record = first;
    assert_int_equal(gr_journal_add_verdict(w.journal, &verdict, &e), 0);
    GR_AUTO_JSON cJSON *o = ask_json("GET", "/v1/rollouts/7/verdicts", NULL, 200);
    const cJSON *list = gr_json_get(o, "verdicts");
    assert_string_equal(text(o, "phase"), "RolledBack");
    assert_int_equal(cJSON_GetArraySize(list), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            gr_json_get(gr_json_get(cJSON_GetArrayItem(list, i), "record"), "look")->valueint,
            i + 2);
    assert_status("GET", "/v1/rollouts/8/verdicts", NULL, 404);
    assert_status("GET", "/v1/rollouts/pay/verdicts", NULL, 400);
}

static void test_freeze(void **state)
{
    (void)state;
    assert_status("POST", "/v1/freeze", "{\"modules\":[\"pay\"],\"for\":\"30s\"}", 200);
    assert_string_equal(w.frozen, "1 pay 30000000");
    GR_AUTO_JSON cJSON *unknown =
        ask_json("POST", "/v1/freeze", "{\"modules\":[\"nope\"],\"for\":\"30s\"}", 404);
    assert_non_null(strstr(text(unknown, "message"), "nope"));
    assert_status("POST", "/v1/freeze", "{\"modules\":[],\"for\":\"30s\"}", 400);
    assert_status("POST", "/v1/freeze", "{\"modules\":[\"pay\"]}", 400);
}

static void test_plan(void **state)
{
    (void)state;
    char body[512];
    snprintf(body, sizeof body,
             "{\"documents\":{\"pay\":{\"version\":\"1.0.0\",\"version_hash\":\"sha256:%064d\","
             "\"source\":\"file:///x\"}}}",
             7);
    GR_AUTO_JSON cJSON *good = ask_json("POST", "/v1/plan", body, 200);
    const cJSON *item = cJSON_GetArrayItem(gr_json_get(good, "items"), 0);
    assert_string_equal(text(item, "kind"), "deploy");
    assert_true(cJSON_IsFalse(gr_json_get(good, "refused")));
    GR_AUTO_JSON cJSON *bad =
        ask_json("POST", "/v1/plan", "{\"documents\":{\"pay\":{\"version\":\"1\"}}}", 200);
    item = cJSON_GetArrayItem(gr_json_get(bad, "items"), 0);
    assert_string_equal(text(item, "kind"), "refuse");
    assert_string_equal(text(item, "reason"), "DocumentInvalid");
    assert_status("POST", "/v1/plan", "{\"documents\":{\"PAY\":{}}}", 400);
}

static void test_events_wait(void **state)
{
    (void)state;
    add_event("first");
    GR_AUTO_JSON cJSON *now = ask_json("GET", "/v1/events?after=0", NULL, 200);
    long last = (long)gr_json_get(now, "last")->valuedouble;
    assert_true(last > 0);
    char path[64];
    snprintf(path, sizeof path, "/v1/events?after=%ld&wait=60s", last);
    struct ask a = {.method = "GET", .path = path};
    perform(&a, add_event_and_notify);
    GR_AUTO_JSON cJSON *later = cJSON_Parse(a.answer.data);
    gr_buf_done(&a.answer);
    assert_string_equal(text(cJSON_GetArrayItem(gr_json_get(later, "events"), 0), "message"),
                        "second");
}

static void test_events_wait_runs_out(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *none = ask_json("GET", "/v1/events?after=1000000&wait=1ms", NULL, 200);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(none, "events")), 0);
    assert_int_equal((int)gr_json_get(none, "last")->valuedouble, 1000000);
}

static void notify(void)
{
    gr_control_notify(w.control);
}

static void test_status_waits_for_another_generation(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *now = ask_json("GET", "/v1/status", NULL, 200);
    char path[96];
    double generation = gr_json_get(now, "generation")->valuedouble;
    snprintf(path, sizeof path, "/v1/status?after=%.0f&wait=60s", generation);
    struct ask a = {.method = "GET", .path = path};
    perform(&a, notify);
    GR_AUTO_JSON cJSON *later = cJSON_Parse(a.answer.data);
    gr_buf_done(&a.answer);
    assert_true(gr_json_get(later, "generation")->valuedouble == generation + 1);
}

static void test_history_is_empty_at_first(void **state)
{
    (void)state;
    GR_AUTO_JSON cJSON *o = ask_json("GET", "/v1/history?module=pay&limit=3", NULL, 200);
    assert_int_equal(cJSON_GetArraySize(gr_json_get(o, "rollouts")), 0);
}

static void test_body_over_the_cap(void **state)
{
    (void)state;
    char *body = malloc(GR_CONTROL_BYTES_MAX + 2);
    memset(body, ' ', GR_CONTROL_BYTES_MAX + 1);
    body[GR_CONTROL_BYTES_MAX + 1] = '\0';
    struct ask a = {.method = "POST", .path = "/v1/plan", .body = body};
    perform(&a, NULL);
    assert_int_equal(a.status, 413);
    gr_buf_done(&a.answer);
    free(body);
}

static void test_admin(void **state)
{
    (void)state;
    struct ask metrics = {.method = "GET",
                          .path = "/metrics",
                          .admin = true,
                          .accept = "application/openmetrics-text"};
    perform(&metrics, NULL);
    assert_int_equal(metrics.status, 200);
    assert_non_null(strstr(metrics.answer.data, "# EOF"));
    gr_buf_done(&metrics.answer);
    struct ask healthy = {.method = "GET", .path = "/-/healthy", .admin = true};
    perform(&healthy, NULL);
    assert_string_equal(healthy.answer.data, "ok\n");
    gr_buf_done(&healthy.answer);
    struct ask undo_there = {
        .method = "POST", .path = "/v1/modules/pay/undo", .admin = true, .body = "{}"};
    perform(&undo_there, NULL);
    assert_int_equal(undo_there.status, 403); // whoever reaches the port may only look
    gr_buf_done(&undo_there.answer);
}

static void test_socket_is_private_and_owned(void **state)
{
    struct stat st;
    struct gr_error e;
    struct gr_control *second;
    struct gr_control_config c = {.runtime_dir = w.dir, .ops = &ops};
    (void)state;
    assert_int_equal(stat(gr_control_socket_path(w.control), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(gr_control_start(w.event, &c, &second, &e), -EADDRINUSE);
    assert_int_equal(stat(gr_control_socket_path(w.control), &st), 0);
}

static void test_stale_socket_is_replaced(void **state)
{
    char dir[128], path[160];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct gr_control *control = NULL;
    struct gr_error e;
    (void)state;
    snprintf(dir, sizeof dir, "%s/stale", w.dir);
    snprintf(path, sizeof path, "%s/control.sock", dir);
    assert_int_equal(gr_fs_mkdir_all(dir, 0755), 0);
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof un), 0);
    close(fd); // its daemon died
    struct gr_control_config c = {.runtime_dir = dir, .ops = &ops};
    assert_int_equal(gr_control_start(w.event, &c, &control, &e), 0);
    gr_control_free(control);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(dir), 0);
}

// A client that waits must not keep the daemon from stopping.
static void test_stops_while_somebody_waits(void **state)
{
    char dir[128], path[160];
    struct gr_control *control = NULL;
    struct gr_error e;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    static const char request[] =
        "GET /v1/events?after=1000000&wait=60s HTTP/1.1\r\nHost: x\r\n\r\n";
    (void)state;
    snprintf(dir, sizeof dir, "%s/stop", w.dir);
    snprintf(path, sizeof path, "%s/control.sock", dir);
    struct gr_control_config c = {.runtime_dir = dir, .ops = &ops};
    assert_int_equal(gr_control_start(w.event, &c, &control, &e), 0);
    memcpy(un.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(write(fd, request, sizeof request - 1), (ssize_t)sizeof request - 1);
    while (sd_event_run(w.event, 0) > 0)
        ; // accepted, read, suspended
    gr_control_free(control);
    char answer;
    assert_true(read(fd, &answer, 1) >= 0); // closed, or answered at last; not left hanging
    close(fd);
    assert_int_equal(rmdir(dir), 0);
}

static int set_up(void **state)
{
    struct gr_error e = {0};
    (void)state;
    strcpy(w.dir, "/tmp/gr-control-XXXXXX");
    if (!mkdtemp(w.dir) || sd_event_new(&w.event) < 0)
        return -1;
    gr_fake_view_init(&w.fake);
    struct gr_control_config c = {.runtime_dir = w.dir, .admin_listen = "127.0.0.1:0", .ops = &ops};
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_and_modules),
        cmocka_unit_test(test_errors_are_sentences),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_lift_needs_digest_and_reason),
        cmocka_unit_test(test_leaving_safe_mode_needs_a_reason),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_verdicts_of_a_rollout),
        cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_events_wait),
        cmocka_unit_test(test_events_wait_runs_out),
        cmocka_unit_test(test_status_waits_for_another_generation),
        cmocka_unit_test(test_history_is_empty_at_first),
        cmocka_unit_test(test_body_over_the_cap),
        cmocka_unit_test(test_admin),
        cmocka_unit_test(test_socket_is_private_and_owned),
        cmocka_unit_test(test_stale_socket_is_replaced),
        cmocka_unit_test(test_stops_while_somebody_waits),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
