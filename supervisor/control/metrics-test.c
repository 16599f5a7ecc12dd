// What a scraper reads: values, escaping, histograms that add up, and the judgement of promtool.
#include "base/child.h"
#include "base/limits.h"
#include "control/fake-view.h"
#include "control/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#define PROMTOOL "/usr/bin/promtool"

static struct gr_fake_view fake;

static char *render(const struct gr_view *v, enum gr_metrics_dialect d)
{
    struct gr_buf b = GR_BUF(GR_METRICS_BYTES_MAX);
    size_t len;
    assert_int_equal(gr_metrics_format(v, d, &b), 0);
    return gr_buf_take(&b, &len);
}

static void assert_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("expected the line \"%s\" in:\n%s", line, text);
}

static void test_values(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "# TYPE grayling_requests_total counter");
    assert_line(text, "grayling_requests_total{module=\"pay\",version=\"1.1.0\",code=\"ok\"} 990");
    assert_line(text,
                "grayling_requests_total{module=\"pay\",version=\"1.1.0\",code=\"internal\"} 6");
    assert_line(text, "grayling_module_info{module=\"pay\",version=\"1.0.0\",role=\"previous\"} 1");
    assert_line(text, "grayling_faults_total{module=\"pay\",version=\"1.1.0\",kind=\"assert\"} 1");
    assert_line(text, "grayling_faults_total{module=\"pay\",version=\"1.1.0\",kind=\"signal\"} 0");
    assert_line(text, "grayling_faults_total{module=\"pay\",version=\"1.1.0\",kind=\"death\"} 2");
    assert_line(text, "grayling_faults_total{module=\"pay\",version=\"1.1.0\",kind=\"timeout\"} 0");
    assert_line(text, "grayling_breaker_state{module=\"pay\",version=\"1.1.0\"} 2");
    assert_line(text, "grayling_breaker_state{module=\"pay\",version=\"1.0.0\"} 0");
    assert_line(text, "grayling_build_info{version=\"0.1.0\"} 1");
    assert_line(text, "grayling_start_time_seconds 1795496700");
    assert_line(text, "grayling_safe_mode 0");
    assert_line(text, "grayling_spans_total{result=\"exported\"} 11");
    assert_line(text, "grayling_spans_total{result=\"lost\"} 2");
    assert_line(text, "grayling_etcd_up 1");
    assert_line(text, "grayling_quarantined_digests 1");
    assert_line(text, "grayling_dispatch_freeze_duration_seconds_count 7");
    assert_null(strstr(text, "# EOF"));
}

static void test_what_became_of_releases(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_swaps_total{module=\"pay\",result=\"ok\"} 7");
    assert_line(text, "grayling_swaps_total{module=\"pay\",result=\"failed\"} 1");
    assert_line(text, "grayling_swaps_total{module=\"auth\",result=\"ok\"} 0");
    assert_line(text, "grayling_rollbacks_total{module=\"pay\",reason=\"Crashed\"} 2");
    assert_line(text, "grayling_rollback_duration_seconds_sum 0.004");
    assert_line(text, "grayling_rollback_duration_seconds_count 1");
    assert_line(text, "grayling_artifact_refused_total{reason=\"DigestMismatch\"} 3");
    assert_line(text, "grayling_artifact_refused_total{reason=\"TooLarge\"} 0");
    assert_null(strstr(text, "rollbacks_total{module=\"auth\""));
}

static void test_a_rollout_under_way(void **state)
{
    struct gr_fake_view ended;
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_rollout_moved_time_seconds{module=\"pay\",phase=\"Baking\"} "
                      "1795496760");
    assert_line(text, "grayling_rollout_bake_left_seconds{module=\"pay\"} 30");
    assert_null(strstr(text, "rollout_moved_time_seconds{module=\"auth\""));
    gr_fake_view_init(&ended);
    ended.modules[1].moved.usec = 0;
    GR_AUTO_FREE char *after = render(&ended.view, GR_METRICS_PROMETHEUS);
    assert_null(strstr(after, "rollout_moved_time_seconds{"));
    assert_null(strstr(after, "rollout_bake_left_seconds{"));
}

static void test_the_watch_is_confirmed(void **state)
{
    struct gr_fake_view fresh;
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_etcd_watch_confirmed_time_seconds 1795496765");
    gr_fake_view_init(&fresh);
    fresh.view.source.confirmed.usec = 0;
    GR_AUTO_FREE char *before = render(&fresh.view, GR_METRICS_PROMETHEUS);
    assert_null(strstr(before, "etcd_watch_confirmed"));
}

static void test_calls_of_other_modules_are_told_apart(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "# TYPE grayling_requests_nested_total counter");
    assert_line(text,
                "grayling_requests_nested_total{module=\"pay\",version=\"1.1.0\",code=\"ok\"} 90");
    assert_line(
        text,
        "grayling_requests_nested_total{module=\"pay\",version=\"1.1.0\",code=\"internal\"} 5");
    assert_null(strstr(text, "nested_total{module=\"pay\",version=\"1.1.0\",code=\"invalid"));
}

static void test_state_that_changed_hands(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_state_handovers_total{result=\"ok\"} 2");
    assert_line(text, "grayling_state_handovers_total{result=\"failed\"} 1");
    assert_line(text, "grayling_state_handover_duration_seconds_bucket{le=\"0.001\"} 0");
    assert_line(text, "grayling_state_handover_duration_seconds_bucket{le=\"0.0025\"} 3");
    assert_line(text, "grayling_state_handover_duration_seconds_sum 0.006");
    assert_line(text, "grayling_state_handover_bytes_total 3072");
    assert_line(text, "grayling_state_handover_last_bytes 2048");
}

static void test_histogram_is_cumulative(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_request_duration_seconds_bucket{module=\"pay\",version=\"1.1.0\","
                      "le=\"0.001\"} 0");
    assert_line(text, "grayling_request_duration_seconds_bucket{module=\"pay\",version=\"1.1.0\","
                      "le=\"0.0025\"} 980");
    assert_line(text, "grayling_request_duration_seconds_bucket{module=\"pay\",version=\"1.1.0\","
                      "le=\"0.05\"} 1000");
    assert_line(text, "grayling_request_duration_seconds_bucket{module=\"pay\",version=\"1.1.0\","
                      "le=\"+Inf\"} 1000");
    assert_line(text, "grayling_request_duration_seconds_sum{module=\"pay\",version=\"1.1.0\"} 2");
    assert_line(text,
                "grayling_request_duration_seconds_count{module=\"pay\",version=\"1.1.0\"} 1000");
}

static void test_stations_of_a_release(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_artifact_fetch_duration_seconds_bucket{le=\"0.5\"} 0");
    assert_line(text, "grayling_artifact_fetch_duration_seconds_bucket{le=\"1.0\"} 2");
    assert_line(text, "grayling_artifact_fetch_duration_seconds_sum 1.5");
    assert_line(text, "grayling_artifact_fetch_duration_seconds_count 2");
    assert_line(text, "grayling_release_station_duration_seconds_sum{station=\"load\"} 0.003");
    assert_line(text, "grayling_release_station_duration_seconds_count{station=\"load\"} 1");
}

static void test_openmetrics(void **state)
{
    (void)state;
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_OPENMETRICS);
    assert_line(text, "# TYPE grayling_requests counter");
    assert_line(text, "# TYPE grayling_module info");
    assert_line(text, "grayling_requests_total{module=\"pay\",version=\"1.1.0\",code=\"ok\"} 990");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    assert_int_equal(
        gr_metrics_dialect_of("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
        GR_METRICS_OPENMETRICS);
    assert_int_equal(gr_metrics_dialect_of("text/plain"), GR_METRICS_PROMETHEUS);
    assert_int_equal(gr_metrics_dialect_of(NULL), GR_METRICS_PROMETHEUS);
}

static void test_labels_are_escaped(void **state)
{
    struct gr_fake_view evil;
    (void)state;
    gr_fake_view_init(&evil);
    strcpy(evil.modules[1].stable.version, "1\"\\\n2");
    GR_AUTO_FREE char *text = render(&evil.view, GR_METRICS_PROMETHEUS);
    assert_line(text, "grayling_requests_in_flight{module=\"pay\",version=\"1\\\"\\\\\\n2\"} 2");
}

// A changed configuration of the same version stands in two roles; two series of one name would
// make the scrape fail.
static void test_same_version_in_two_roles_is_one_series(void **state)
{
    struct gr_fake_view same;
    (void)state;
    gr_fake_view_init(&same);
    strcpy(same.modules[1].previous.version, "1.1.0");
    GR_AUTO_FREE char *text = render(&same.view, GR_METRICS_PROMETHEUS);
    const char *line = "grayling_requests_in_flight{module=\"pay\",version=\"1.1.0\"} 4";
    assert_line(text, line);
    assert_null(strstr(strstr(text, line) + 1, "grayling_requests_in_flight{module=\"pay\""));
}

static void test_shadows_of_a_candidate(void **state)
{
    struct gr_fake_view seen;
    (void)state;
    gr_fake_view_init(&seen);
    GR_AUTO_FREE char *before = render(&seen.view, GR_METRICS_PROMETHEUS);
    assert_null(strstr(before, "result=\"same\""));
    seen.counters[0].shadow = (struct gr_shadow_counters){7, 5, 1, 3, 2, 1};
    GR_AUTO_FREE char *text = render(&seen.view, GR_METRICS_PROMETHEUS);
    static const char one[] =
        "grayling_shadow_%s_total{module=\"pay\",version=\"1.1.0\",result=\"%s\"} %d";
    static const struct {
        const char *name, *result;
        int n;
    } lines[] = {{"requests", "same", 7},
                 {"requests", "diverged", 5},
                 {"requests", "dropped", 3},
                 {"noise", "same", 2},
                 {"noise", "diverged", 1}};
    for (size_t i = 0; i < GR_COUNT(lines); i++) {
        char line[160];
        snprintf(line, sizeof line, one, lines[i].name, lines[i].result, lines[i].n);
        assert_line(text, line);
    }
    assert_null(strstr(text, "shadow_requests_total{module=\"pay\",version=\"1.0.0\""));
}

static void test_unloaded_version_has_no_series(void **state)
{
    struct gr_fake_view gone;
    (void)state;
    gr_fake_view_init(&gone);
    gone.modules[1].previous.counters = NULL;
    gone.modules[1].previous.slot = -1;
    GR_AUTO_FREE char *text = render(&gone.view, GR_METRICS_PROMETHEUS);
    assert_null(strstr(text, "1.0.0"));
}

static void test_cap_is_kept(void **state)
{
    struct gr_buf b = GR_BUF(100);
    (void)state;
    assert_int_equal(gr_metrics_format(&fake.view, GR_METRICS_PROMETHEUS, &b), -E2BIG);
    gr_buf_done(&b);
}

static void test_promtool_finds_nothing(void **state)
{
    char *argv[] = {(char[]){PROMTOOL}, (char[]){"check"}, (char[]){"metrics"}, NULL};
    struct gr_child child;
    struct gr_error e;
    siginfo_t info = {0};
    (void)state;
    if (access(PROMTOOL, X_OK) < 0) {
        print_message("skipped: " PROMTOOL " is not installed (package prometheus)\n");
        skip();
    }
    GR_AUTO_FREE char *text = render(&fake.view, GR_METRICS_PROMETHEUS);
    GR_AUTO_CLOSE int fd = memfd_create("metrics", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct gr_child_fd fds[] = {{fd, 0}, {1, 1}, {2, 2}};
    assert_int_equal(gr_child_spawn(argv, NULL, fds, GR_COUNT(fds), &child, &e), 0);
    assert_int_equal(waitid(P_PIDFD, (id_t)child.pidfd, &info, WEXITED), 0);
    close(child.pidfd);
    assert_int_equal(info.si_code, CLD_EXITED);
    assert_int_equal(info.si_status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_became_of_releases),
        cmocka_unit_test(test_a_rollout_under_way),
        cmocka_unit_test(test_the_watch_is_confirmed),
        cmocka_unit_test(test_calls_of_other_modules_are_told_apart),
        cmocka_unit_test(test_state_that_changed_hands),
        cmocka_unit_test(test_histogram_is_cumulative),
        cmocka_unit_test(test_stations_of_a_release),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_same_version_in_two_roles_is_one_series),
        cmocka_unit_test(test_shadows_of_a_candidate),
        cmocka_unit_test(test_unloaded_version_has_no_series),
        cmocka_unit_test(test_cap_is_kept),
        cmocka_unit_test(test_promtool_finds_nothing),
    };
    gr_fake_view_init(&fake);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
