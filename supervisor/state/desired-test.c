// Documents as operators write them: what comes out of good ones, how each kind of defect is
// refused, and that writing and reading again changes nothing.
#include "state/desired.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HASH "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define IDENTITY "\"version\":\"2.1.0\",\"version_hash\":\"" HASH "\""
#define LEAST IDENTITY ",\"source\":\"https://artifacts.example/pay.so\""

static const struct gr_name pay = {"pay"};

static int parse(const char *text, struct gr_desired **ret, struct gr_error *e)
{
    return gr_desired_parse(&pay, 7, text, strlen(text), ret, e);
}

static struct gr_desired *accept(const char *text)
{
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    if (parse(text, &d, &e) < 0)
        fail_msg("%s\nwas refused: %s", text, e.message);
    return d;
}

// The sentence has to begin with the field's path and to hold `hint`.
static void refuse(const char *text, const char *path, const char *hint)
{
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    char start[128];
    snprintf(start, sizeof start, "%s: ", path);
    if (parse(text, &d, &e) == 0)
        fail_msg("%s\nwas accepted, though %s is wrong", text, path);
    assert_null(d);
    assert_int_equal(e.reason, GR_REASON_DOCUMENT_INVALID);
    if (strncmp(e.message, start, strlen(start)) != 0 || !strstr(e.message, hint))
        fail_msg("%s\nwas refused with: %s\nexpected \"%s\" and \"%s\"", text, e.message, start,
                 hint);
}

static void the_least_document_gets_the_defaults(void **state)
{
    (void)state;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = accept("{" LEAST "}");
    assert_string_equal(d->module.s, "pay");
    assert_int_equal(d->mod_revision, 7);
    assert_string_equal(d->version.text, "2.1.0");
    assert_int_equal(d->digest.bytes[1], 0x11);
    assert_int_equal(d->n_sources, 1);
    assert_null(d->config);
    assert_null(d->release_json);
    assert_false(d->one_way);
    assert_int_equal(d->strategy.n_steps, 0);
    assert_true(d->strategy.analysis.error_rate_max_increase == 0.005);
    assert_true(d->strategy.analysis.latency_p99_max_ratio == 1.2);
    assert_true(d->strategy.analysis.alpha == 0.01);
    assert_int_equal(d->strategy.analysis.min_requests, 200);
    assert_int_equal(d->strategy.freeze_budget_usec, 50000);
    assert_int_equal(d->strategy.bake_usec, 600000000);
    assert_int_equal(d->strategy.deadline_usec, 3600000000);
    assert_int_equal(d->strategy.on_failure, GR_ON_FAILURE_ROLLBACK);
}

static const char complete[] =
    "{" IDENTITY ",\"source\":[\"https://a.example/p.so\",\"http://b:8000/p.so\","
    "\"file:///srv/p.so\"],\"size\":183224,"
    "\"config\":{\"z\":1,\"a\":[true,null,\"\\u00e9\\n\"],\"id\":9007199254740991,\"r\":0.1},"
    "\"strategy\":{\"steps\":[{\"shadow\":5},{\"weight\":0.01},{\"pause\":{\"duration\":\"5m\","
    "\"requests\":1000}},{\"analysis\":{}},{\"weight\":33.33},{\"weight\":25},{\"pause\":{}},"
    "{\"weight\":100}],\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"},"
    "{\"tenant\":true,\"prefix\":\"acme-\",\"to\":\"stable\"}],\"sticky\":\"header:x-user-id\","
    "\"shadow_ignore\":[\"$.charge_id\",\"$.items[*].at\"],"
    "\"analysis\":{\"error_rate\":{\"max_increase\":0.02},\"alpha\":0.05,\"min_requests\":50,"
    "\"on_inconclusive\":\"rollback\"},\"harm\":{\"bad_responses\":50},"
    "\"freeze_budget\":\"1500us\",\"bake\":\"1h30m5s\",\"deadline\":\"2h\",\"on_failure\":"
    "\"pause\"},"
    "\"release\":{\"payloadType\":\"application/vnd.grayling.release+json\",\"payload\":\"e30=\","
    "\"signatures\":[{\"keyid\":\"k\",\"sig\":\"c2ln\"}]},"
    "\"one_way\":true,\"actor\":\"alice\",\"reason\":\"PAY-1182\"}";

static void every_field_arrives(void **state)
{
    (void)state;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = accept(complete);
    const struct gr_strategy *s = &d->strategy;
    assert_int_equal(d->n_sources, 3);
    assert_string_equal(d->sources[1], "http://b:8000/p.so");
    assert_int_equal(d->size, 183224);
    assert_string_equal(
        d->config, "{\"a\":[true,null,\"\xc3\xa9\\n\"],\"id\":9007199254740991,\"r\":0.1,\"z\":1}");
    assert_int_equal(s->n_steps, 8);
    assert_int_equal(s->steps[0].kind, GR_STEP_SHADOW);
    assert_int_equal(s->steps[0].permyriad, 500);
    assert_int_equal(s->steps[1].permyriad, 1);
    assert_int_equal(s->steps[2].kind, GR_STEP_PAUSE);
    assert_int_equal(s->steps[2].duration_usec, 300000000);
    assert_int_equal(s->steps[2].requests, 1000);
    assert_int_equal(s->steps[3].kind, GR_STEP_ANALYSIS);
    assert_int_equal(s->steps[4].permyriad, 3333);
    assert_int_equal(s->steps[6].duration_usec, 0);
    assert_int_equal(s->steps[7].permyriad, 10000);
    assert_non_null(strstr(s->match_json, "\"x-canary\""));
    assert_string_equal(s->sticky, "header:x-user-id");
    assert_string_equal(s->shadow_ignore_json, "[\"$.charge_id\",\"$.items[*].at\"]");
    assert_true(s->analysis.error_rate_max_increase == 0.02);
    assert_true(s->analysis.latency_p99_max_ratio < 0); // not named: off
    assert_true(s->analysis.growth_max[GR_RESOURCE_MEMORY] < 0);
    assert_true(s->analysis.growth_max[GR_RESOURCE_DESCRIPTORS] == 0.5e-4); // but these are on
    assert_int_equal(s->analysis.warm_up_requests, 1000);
    assert_int_equal(s->analysis.on_inconclusive, GR_INCONCLUSIVE_ROLLBACK);
    assert_int_equal(s->harm_bad_responses, 50);
    assert_int_equal(s->freeze_budget_usec, 1500);
    assert_int_equal(s->bake_usec, 5405000000);
    assert_int_equal(s->on_failure, GR_ON_FAILURE_PAUSE);
    assert_non_null(strstr(d->release_json, "\"sig\":\"c2ln\""));
    assert_true(d->one_way);
    assert_string_equal(d->actor, "alice");
    assert_string_equal(d->reason, "PAY-1182");
}

static void a_defect_is_refused_with_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *field, *path, *hint; // `field` joins the least document
    } defects[] = {
        {"\"colour\":1", "colour", "unknown field"},
        {"\"size\":0", "size", "from 1"},
        {"\"size\":1.5", "size", "whole number"},
        {"\"size\":\"1\"", "size", "found a string"},
        {"\"config\":[]", "config", "expected an object, found a list"},
        {"\"config\":null", "config", "expected an object"},
        {"\"actor\":7", "actor", "expected a string"},
        {"\"strategy\":[]", "strategy", "expected an object"},
        {"\"strategy\":{\"x\":1}", "strategy.x", "unknown field"},
        {"\"strategy\":{\"steps\":[]}", "strategy.steps", "1 to 64"},
        {"\"strategy\":{\"steps\":{}}", "strategy.steps", "found {}"},
        {"\"strategy\":{\"steps\":[{\"weight\":1}]}", "strategy.steps[0].weight",
         "add {\"weight\": 100}"},
        {"\"strategy\":{\"steps\":[{\"pause\":{}}]}", "strategy.steps", "add {\"weight\": 100}"},
        {"\"strategy\":{\"steps\":[{\"weight\":0.001},{\"weight\":100}]}",
         "strategy.steps[0].weight", "two decimals, found 0.001"},
        {"\"strategy\":{\"steps\":[{\"weight\":1.00000001},{\"weight\":100}]}",
         "strategy.steps[0].weight", "found 1.00000001"},
        {"\"strategy\":{\"steps\":[{\"weight\":101}]}", "strategy.steps[0].weight", "found 101"},
        {"\"strategy\":{\"shadow_ignore\":[\"$.a\",\"b\"]}", "strategy.shadow_ignore[1]",
         "found \"b\""},
        {"\"strategy\":{\"shadow_ignore\":\"$.a\"}", "strategy.shadow_ignore", "expected a list"},
        {"\"strategy\":{\"steps\":[{\"shadow\":-1},{\"weight\":100}]}", "strategy.steps[0].shadow",
         "found -1"},
        {"\"strategy\":{\"steps\":[{\"weight\":\"5%\"},{\"weight\":100}]}",
         "strategy.steps[0].weight", "found \"5%\""},
        {"\"strategy\":{\"steps\":[{\"weight\":1,\"pause\":{}}]}", "strategy.steps[0]",
         "exactly one"},
        {"\"strategy\":{\"steps\":[{}]}", "strategy.steps[0]", "found 0"},
        {"\"strategy\":{\"steps\":[{\"wait\":1}]}", "strategy.steps[0].wait", "unknown field"},
        {"\"strategy\":{\"steps\":[7]}", "strategy.steps[0]", "expected an object"},
        {"\"strategy\":{\"steps\":[{\"pause\":{\"duration\":\"0\"}},{\"weight\":100}]}",
         "strategy.steps[0].pause.duration", "found \"0\""},
        {"\"strategy\":{\"steps\":[{\"pause\":{\"duration\":\"5\"}},{\"weight\":100}]}",
         "strategy.steps[0].pause.duration", "no duration"},
        {"\"strategy\":{\"steps\":[{\"pause\":{\"for\":\"5m\"}},{\"weight\":100}]}",
         "strategy.steps[0].pause.for", "unknown field"},
        {"\"strategy\":{\"steps\":[{\"analysis\":{\"x\":1}},{\"weight\":100}]}",
         "strategy.steps[0].analysis.x", "unknown field"},
        {"\"strategy\":{\"match\":{}}", "strategy.match", "a list of at most 32"},
        {"\"strategy\":{\"match\":[{\"header\":\"a b\",\"exact\":\"1\"}]}",
         "strategy.match[0].header", "name of a header, found \"a b\""},
        {"\"strategy\":{\"match\":[{\"header\":\"a\"}]}", "strategy.match[0]",
         "one of exact, prefix, regex"},
        {"\"strategy\":{\"match\":[{\"header\":\"a\",\"exact\":\"1\",\"regex\":\"1\"}]}",
         "strategy.match[0]", "one of exact, prefix, regex"},
        {"\"strategy\":{\"match\":[{\"exact\":\"1\"}]}", "strategy.match[0]",
         "one of header, cookie, tenant, path"},
        {"\"strategy\":{\"match\":[{\"tenant\":\"acme\",\"exact\":\"acme\"}]}",
         "strategy.match[0].tenant", "expected true"},
        {"\"strategy\":{\"match\":[{\"path\":true,\"prefix\":1}]}", "strategy.match[0].prefix",
         "expected a string"},
        {"\"strategy\":{\"match\":[{\"path\":true,\"prefix\":\"/\"},"
         "{\"path\":true,\"regex\":\"(\"}]}",
         "strategy.match[1].regex", "a regular expression (PCRE2), found \"(\""},
        {"\"strategy\":{\"match\":[{\"path\":true,\"prefix\":\"/\",\"to\":\"all\"}]}",
         "strategy.match[0].to", "found \"all\""},
        {"\"strategy\":{\"sticky\":\"user\"}", "strategy.sticky", "found \"user\""},
        {"\"strategy\":{\"sticky\":\"header:\"}", "strategy.sticky", "header:NAME"},
        {"\"strategy\":{\"sticky\":null}", "strategy.sticky", "found null"},
        {"\"strategy\":{\"analysis\":{}}", "strategy.analysis", "switch every gate off"},
        {"\"strategy\":{\"analysis\":{\"alpha\":0}}", "strategy.analysis.alpha", "to 0.5"},
        {"\"strategy\":{\"analysis\":{\"alpha\":0.51}}", "strategy.analysis.alpha", "to 0.5"},
        {"\"strategy\":{\"analysis\":{\"error_rate\":{}}}",
         "strategy.analysis.error_rate.max_increase", "missing"},
        {"\"strategy\":{\"analysis\":{\"error_rate\":{\"max\":1}}}",
         "strategy.analysis.error_rate.max", "unknown field"},
        {"\"strategy\":{\"analysis\":{\"error_rate\":0.1}}", "strategy.analysis.error_rate",
         "expected an object"},
        {"\"strategy\":{\"analysis\":{\"memory\":{\"max\":5}}}", "strategy.analysis.memory.max",
         "allowed here"},
        {"\"strategy\":{\"analysis\":{\"threads\":{\"max_per_10000_requests\":-1}}}",
         "strategy.analysis.threads.max_per_10000_requests", "0"},
        {"\"strategy\":{\"analysis\":{\"latency_p99\":{\"max_ratio\":0.5}}}",
         "strategy.analysis.latency_p99.max_ratio", "at least 1"},
        {"\"strategy\":{\"analysis\":{\"min_requests\":0}}", "strategy.analysis.min_requests",
         "from 1"},
        {"\"strategy\":{\"analysis\":{\"on_inconclusive\":\"promote\"}}",
         "strategy.analysis.on_inconclusive", "never promotes"},
        {"\"strategy\":{\"harm\":{}}", "strategy.harm.bad_responses", "missing"},
        {"\"strategy\":{\"harm\":{\"bad_responses\":0}}", "strategy.harm.bad_responses", "from 1"},
        {"\"strategy\":{\"freeze_budget\":\"10s1ms\"}", "strategy.freeze_budget", "to 10s"},
        {"\"strategy\":{\"freeze_budget\":\"0\"}", "strategy.freeze_budget", "1us to 10s"},
        {"\"strategy\":{\"bake\":10}", "strategy.bake", "expected a duration"},
        {"\"strategy\":{\"deadline\":\"0\"}", "strategy.deadline", "found \"0\""},
        {"\"strategy\":{\"on_failure\":\"retry\"}", "strategy.on_failure", "found \"retry\""},
        {"\"release\":\"x\"", "release", "expected an object"},
        {"\"one_way\":\"yes\"", "one_way", "expected true or false"},
        {"\"release\":{\"payloadType\":\"t\",\"payload\":\"p\"}", "release.signatures",
         "found nothing"},
        {"\"release\":{\"payloadType\":\"t\",\"payload\":\"p\",\"signatures\":[{\"sig\":1}]}",
         "release.signatures[0].sig", "expected a string"},
        {"\"release\":{\"payloadType\":\"t\",\"signatures\":[]}", "release.payload", "missing"},
    };
    char text[1024];
    for (size_t i = 0; i < GR_COUNT(defects); i++) {
        snprintf(text, sizeof text, "{" LEAST ",%s}", defects[i].field);
        refuse(text, defects[i].path, defects[i].hint);
    }
}

static void identity_and_sources_are_checked(void **state)
{
    (void)state;
    static const char *const sources[] = {"\"ftp://a/b\"",
                                          "\"pay.so\"",
                                          "\"https://\"",
                                          "\"https:///p.so\"",
                                          "\"file://p.so\"",
                                          "\"http://a b/\"",
                                          "\"HTTPS://a/b\"",
                                          "\"\"",
                                          "\"https://?q\"",
                                          "7",
                                          "null",
                                          "{}",
                                          "\"http://a\\n/b\"",
                                          "\"file:///\""};
    char text[512];
    refuse("{}", "version", "missing");
    refuse("{\"version\":\"v2\",\"version_hash\":\"" HASH "\",\"source\":\"https://a/b\"}",
           "version", "found \"v2\"");
    refuse("{\"version\":\"2.1.0\",\"version_hash\":\"md5:1\",\"source\":\"https://a/b\"}",
           "version_hash", "found \"md5:1\"");
    refuse("{" IDENTITY "}", "source", "missing");
    refuse("{" IDENTITY ",\"source\":[]}", "source", "1 to 8");
    refuse("{" IDENTITY ",\"source\":[\"https://a/b\",7]}", "source[1]", "found 7");
    for (size_t i = 0; i < GR_COUNT(sources); i++) {
        snprintf(text, sizeof text, "{" IDENTITY ",\"source\":%s}", sources[i]);
        refuse(text, "source", "expected a");
    }
}

// The strict scan of base/json comes first, also for what lies deep inside.
static void what_is_no_strict_json_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"", ""},
        {"{" LEAST, ""},
        {"{" LEAST "}x", ""},
        {"[{" LEAST "}]", ""},
        {"\xef\xbb\xbf{" LEAST "}", ""},
        {"{" LEAST ",\"actor\":\"a\",\"actor\":\"a\"}", "actor"},
        {"{" LEAST ",\"strategy\":{\"bake\":\"1s\",\"bake\":\"2s\"}}", "strategy.bake"},
        {"{" LEAST ",\"config\":{\"a\":[{\"b\":1,\"\\u0062\":1}]}}", "config.a[0].b"},
        {"{" LEAST ",\"actor\":\"\\u0000\"}", "actor"},
        {"{" LEAST ",\"actor\":\"\\ud800\"}", "actor"},
        {"{" LEAST ",\"actor\":\"\xff\"}", "actor"},
        {"{" LEAST ",\"actor\":\"\xc0\xaf\"}", "actor"},
        {"{" LEAST ",\"config\":{\"n\":9007199254740993}}", "config.n"},
        {"{" LEAST ",\"config\":{\"n\":-1e400}}", "config.n"},
    };
    static const char nul[] = "{" LEAST ",\"actor\":\"a\0b\"}";
    struct gr_desired *d = NULL;
    struct gr_error e = {0};
    for (size_t i = 0; i < GR_COUNT(cases); i++) {
        e = (struct gr_error){0};
        int k = parse(cases[i].text, &d, &e);
        if (k != -EINVAL || d || e.reason != GR_REASON_DOCUMENT_INVALID ||
            strncmp(e.message, cases[i].where, strlen(cases[i].where)) != 0)
            fail_msg("%s\ngave %d, \"%s\"; expected a refusal at \"%s\"", cases[i].text, k,
                     e.message, cases[i].where);
        if (!strstr(e.message, "module pay") || !strstr(e.message, "grayctl lint"))
            fail_msg("\"%s\" names no module or no way out", e.message);
    }
    assert_int_equal(gr_desired_parse(&pay, 7, nul, sizeof nul - 1, &d, &e), -EINVAL);
    assert_null(d);
}

static void depth_ends_at_the_cap(void **state)
{
    (void)state;
    for (int lists = GR_JSON_DEPTH_MAX - 2; lists < GR_JSON_DEPTH_MAX; lists++) {
        char text[512], opened[GR_JSON_DEPTH_MAX] = "", closed[GR_JSON_DEPTH_MAX] = "";
        GR_CLEANUP(gr_desired_freep) struct gr_desired *d = NULL;
        struct gr_error e = {0};
        memset(opened, '[', (size_t)lists); // inside the document and inside "config"
        memset(closed, ']', (size_t)lists);
        snprintf(text, sizeof text, "{" LEAST ",\"config\":{\"a\":%s%s}}", opened, closed);
        assert_int_equal(parse(text, &d, &e), lists == GR_JSON_DEPTH_MAX - 2 ? 0 : -EINVAL);
    }
}

static void caps_hold(void **state)
{
    (void)state;
    static char filler[GR_CONFIG_BYTES_MAX + 1], text[sizeof filler + 1024];
    memset(filler, 'x', sizeof filler - 1);
    snprintf(text, sizeof text, "{" LEAST ",\"config\":{\"a\":\"%s\"}}", filler);
    refuse(text, "config", "at most 65536 bytes");
    snprintf(text, sizeof text, "{" LEAST ",\"config\":{\"a\":\"%.*s\"}}",
             (int)(GR_CONFIG_BYTES_MAX - strlen("{\"a\":\"\"}")), filler);
    gr_desired_free(accept(text));
    snprintf(text, sizeof text, "{" LEAST ",\"actor\":\"%.128s\"}", filler);
    refuse(text, "actor", "at most 127 bytes, found 128");
    snprintf(text, sizeof text, "{" LEAST ",\"reason\":\"%.512s\"}", filler);
    refuse(text, "reason", "at most 511 bytes");
    snprintf(text, sizeof text, "{" IDENTITY ",\"source\":\"https://%.2048s\"}", filler);
    refuse(text, "source", "at most 2048 bytes");
    snprintf(text, sizeof text, "{" LEAST ",\"strategy\":{\"sticky\":\"header:%.128s\"}}", filler);
    refuse(text, "strategy.sticky", "at most 127 bytes");
}

static void parameters_alone_keep_the_default_gates(void **state)
{
    (void)state;
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *d = accept("{" LEAST ",\"strategy\":{\"analysis\":{\"min_requests\":20}}}");
    assert_int_equal(d->strategy.analysis.min_requests, 20);
    assert_true(d->strategy.analysis.error_rate_max_increase == 0.005);
    assert_true(d->strategy.analysis.latency_p99_max_ratio == 1.2);
}

static void what_judges_nothing_is_refused_and_read_back(void **state)
{
    (void)state;
    static const char text[] =
        "{" LEAST ",\"strategy\":{\"analysis\":{\"error_rate\":{\"max_increase\":1}}}}";
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = NULL;
    struct gr_error e = {0};
    refuse(text, "strategy.analysis.error_rate.max_increase", "found 1");
    assert_int_equal(gr_desired_restore(&pay, 7, text, &d, &e), 0); // an older release accepted it
}

// Each sentence of `expected` begins one warning, in order.
static void assert_warned(const char *strategy, const char *const *expected)
{
    char text[2048];
    struct gr_warnings w;
    snprintf(text, sizeof text, "{" LEAST ",\"strategy\":%s}", strategy);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = accept(text);
    gr_desired_warn(d, &w);
    size_t n = 0;
    for (; expected[n]; n++)
        if (n >= w.n || strncmp(w.text[n], expected[n], strlen(expected[n])) != 0)
            fail_msg("%s\nwarned \"%s\", expected \"%s\"", strategy, n < w.n ? w.text[n] : "",
                     expected[n]);
    if (w.n != n)
        fail_msg("%s\nwarned too: %s", strategy, w.text[n]);
}

static void what_is_odd_is_warned_of(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL};
    assert_warned("{\"steps\":[{\"shadow\":5},{\"pause\":{\"duration\":\"1m\"}},{\"weight\":1},"
                  "{\"pause\":{\"duration\":\"5m\",\"requests\":10}},{\"weight\":100}]}",
                  nothing);
    assert_warned("{\"bake\":\"1m\"}", nothing);
    static const char *const down[] = {"strategy.steps[1].weight: goes down from 25 to 5",
                                       "strategy.steps[2].weight: is 5 already", NULL};
    assert_warned("{\"steps\":[{\"weight\":25},{\"weight\":5},{\"weight\":5},{\"weight\":100}]}",
                  down);
    static const char *const unseen[] = {"strategy.steps[0]: waits while nobody",
                                         "strategy.steps[0].pause.requests: no request can", NULL};
    assert_warned("{\"steps\":[{\"pause\":{\"requests\":500}},{\"weight\":100}]}", unseen);
    static const char *const few[] = {"strategy.analysis.min_requests: 200", NULL};
    assert_warned("{\"steps\":[{\"weight\":5},{\"pause\":{\"requests\":50}},{\"weight\":100}]}",
                  few);
    static const char *const late[] = {"strategy.deadline: 1m", NULL};
    assert_warned(
        "{\"deadline\":\"1m\",\"steps\":[{\"weight\":5},{\"pause\":{\"duration\":\"2m\"}},"
        "{\"weight\":100}]}",
        late);
    static const char *const alpha[] = {"strategy.analysis.alpha: 0.4", NULL};
    assert_warned("{\"analysis\":{\"alpha\":0.4}}", alpha);
    static const char *const alone[] = {"strategy.sticky: has no effect", NULL};
    assert_warned("{\"sticky\":\"tenant\"}", alone);
    static const char *const harm[] = {"strategy.harm.bad_responses: 1", NULL};
    assert_warned("{\"harm\":{\"bad_responses\":1},\"analysis\":{\"min_requests\":1000}}", harm);
}

static void assert_survives_writing(const struct gr_desired *d)
{
    GR_AUTO_FREE char *text = gr_desired_format(d);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *back = NULL;
    struct gr_error e = {0};
    assert_non_null(text);
    if (gr_desired_restore(&d->module, d->mod_revision, text, &back, &e) < 0)
        fail_msg("%s\ncannot be read again: %s", text, e.message);
    GR_AUTO_FREE char *again = gr_desired_format(back);
    assert_string_equal(text, again);
    assert_true(gr_desired_same_release(d, back));
    assert_int_equal(back->mod_revision, d->mod_revision);
    const struct gr_strategy *a = &d->strategy, *b = &back->strategy;
    assert_int_equal(a->n_steps, b->n_steps);
    for (size_t i = 0; i < a->n_steps; i++)
        assert_memory_equal(&a->steps[i], &b->steps[i], sizeof a->steps[i]);
    assert_true(a->analysis.error_rate_max_increase == b->analysis.error_rate_max_increase);
    assert_true(a->analysis.latency_p99_max_ratio == b->analysis.latency_p99_max_ratio);
    assert_true(a->analysis.alpha == b->analysis.alpha);
    assert_int_equal(a->analysis.warm_up_requests, b->analysis.warm_up_requests);
    assert_int_equal(a->freeze_budget_usec, b->freeze_budget_usec);
    assert_int_equal(a->bake_usec, b->bake_usec);
    assert_int_equal(a->deadline_usec, b->deadline_usec);
}

static void growth_is_limited(void **state)
{
    (void)state;
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *d =
        accept("{" LEAST ",\"strategy\":{\"analysis\":{\"memory\":{\"max_bytes_per_request\":512},"
               "\"descriptors\":{\"max_per_10000_requests\":0},"
               "\"threads\":{\"max_per_10000_requests\":20},\"warm_up_requests\":64}}}");
    const struct gr_analysis *a = &d->strategy.analysis;
    assert_true(a->growth_max[GR_RESOURCE_MEMORY] == 512);
    assert_true(a->growth_max[GR_RESOURCE_DESCRIPTORS] == 0);
    assert_true(a->growth_max[GR_RESOURCE_THREADS] == 0.002);
    assert_int_equal(a->warm_up_requests, 64);
    assert_true(a->error_rate_max_increase == 0.005); // the comparing gates are not meant
    assert_survives_writing(d);
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % below;
}

static void any_accepted_document_survives_writing(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *whole = accept(complete);
    assert_survives_writing(whole);
    for (int round = 0; round < 2000; round++) {
        char text[2048];
        unsigned a = (unsigned)draw(&seed, 10001), b = (unsigned)draw(&seed, 10001);
        snprintf(text, sizeof text,
                 "{" LEAST ",\"size\":%u,\"config\":{\"k%u\":%u.%u,\"b\":{\"y\":-%u,\"x\":1e%u}},"
                 "\"strategy\":{\"steps\":[{\"weight\":%u.%02u},{\"shadow\":%u.%02u},"
                 "{\"pause\":{\"duration\":\"%uus\",\"requests\":%u}},{\"weight\":100}],"
                 "\"analysis\":{\"%s\":{\"%s\":1.%u},\"alpha\":0.%u1},\"bake\":\"%uus\","
                 "\"deadline\":\"%us%uus\",\"freeze_budget\":\"%uus\"}}",
                 1 + a, a, b, a, b, a % 16, a / 100, a % 100, b / 100, b % 100, 1 + a * b, 1 + b,
                 "latency_p99", "max_ratio", a, b % 5, a * b, 1 + a, b * 99, 1 + b);
        GR_CLEANUP(gr_desired_freep) struct gr_desired *d = accept(text);
        assert_int_equal(d->strategy.steps[0].permyriad, a);
        assert_int_equal(d->strategy.steps[1].permyriad, b);
        assert_survives_writing(d);
    }
}

static void a_document_at_the_cap_survives_writing(void **state)
{
    (void)state;
    static char text[GR_DOCUMENT_BYTES_MAX + 1];
    int n = snprintf(text, sizeof text,
                     "{" LEAST ",\"release\":{\"payloadType\":\"t\",\"signatures\":[],"
                     "\"payload\":\"");
    memset(text + n, 'A', sizeof text - (size_t)n);
    snprintf(text + sizeof text - 4, 4, "\"}}");
    assert_int_equal(strlen(text), GR_DOCUMENT_BYTES_MAX);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = accept(text);
    assert_survives_writing(d);
}

static void the_release_is_version_digest_and_configuration(void **state)
{
    (void)state;
    GR_CLEANUP(gr_desired_freep)
    struct gr_desired *a = accept("{" LEAST ",\"config\":{\"x\":1,\"y\":2}}"),
                      *b GR_CLEANUP(gr_desired_freep) =
                          accept("{" LEAST ",\"config\":{\"y\":2.0,\"x\":1},\"actor\":\"bob\"}"),
                      *c GR_CLEANUP(gr_desired_freep) =
                          accept("{" LEAST ",\"config\":{\"x\":1,\"y\":3}}"),
                      *none GR_CLEANUP(gr_desired_freep) = accept("{" LEAST "}"),
                      *empty GR_CLEANUP(gr_desired_freep) = accept("{" LEAST ",\"config\":{}}");
    assert_true(gr_desired_same_release(a, b));
    assert_false(gr_desired_same_release(a, c));
    assert_false(gr_desired_same_release(a, none));
    assert_true(gr_desired_same_release(none, empty));
}

static void a_copy_is_independent(void **state)
{
    (void)state;
    struct gr_desired *d = accept(complete);
    GR_CLEANUP(gr_desired_freep) struct gr_desired *copy = NULL;
    assert_int_equal(gr_desired_copy(d, &copy), 0);
    gr_desired_free(d);
    assert_survives_writing(copy);
    assert_int_equal(copy->mod_revision, 7);
    assert_string_equal(copy->sources[2], "file:///srv/p.so");
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(the_least_document_gets_the_defaults),
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(a_defect_is_refused_with_its_path),
        cmocka_unit_test(identity_and_sources_are_checked),
        cmocka_unit_test(what_is_no_strict_json_is_refused),
        cmocka_unit_test(depth_ends_at_the_cap),
        cmocka_unit_test(caps_hold),
        cmocka_unit_test(parameters_alone_keep_the_default_gates),
        cmocka_unit_test(what_judges_nothing_is_refused_and_read_back),
        cmocka_unit_test(what_is_odd_is_warned_of),
        cmocka_unit_test(growth_is_limited),
        cmocka_unit_test(any_accepted_document_survives_writing),
        cmocka_unit_test(a_document_at_the_cap_survives_writing),
        cmocka_unit_test(the_release_is_version_digest_and_configuration),
        cmocka_unit_test(a_copy_is_independent),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
