// What a story expects. Each tells what it found when that is something else.
#include "base/json.h"
#include "cli/curl.h"
#include "cli/drill/story.h"
#include "cli/output.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static uint64_t patience(const char *text)
{
    uint64_t usec = GR_DRILL_PATIENCE_USEC;
    if (text && gr_duration_parse(text, &usec) < 0)
        usec = GR_DRILL_PATIENCE_USEC;
    return usec;
}

// --- traffic

static struct gr_traffic *find_traffic(struct gr_story *s, const char *module)
{
    for (size_t i = 0; i < s->n_traffics; i++)
        if (!strcmp(gr_traffic_module(s->traffics[i])->s, module))
            return s->traffics[i];
    return NULL;
}

static int judge_versions(const struct gr_traffic_seen *seen, const char *one, const char *other,
                          struct gr_error *e)
{
    if (!seen->n_versions)
        return gr_error_set(e, -EIO, GR_REASON_NONE, "nobody answered with 200");
    for (size_t i = 0; i < seen->n_versions; i++)
        if (strcmp(seen->versions[i].version, one) &&
            (!other || strcmp(seen->versions[i].version, other)))
            return gr_error_set(e, -EIO, GR_REASON_NONE,
                                "expected all answers by %s%s%s, and %" PRIu64 " were by \"%s\"",
                                one, other ? " or " : "", other ? other : "", seen->versions[i].n,
                                seen->versions[i].version);
    return 0;
}

// Of the calls that begin from now on.
static int served_by(struct gr_story *s, char *const *a, struct gr_error *e)
{
    struct gr_traffic *t = find_traffic(s, a[0]);
    struct gr_traffic_seen seen;
    if (!t)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE, "there is no traffic to %s", a[0]);
    int r = gr_traffic_await_turns(t, 0, GR_DRILL_PATIENCE_USEC);
    gr_traffic_mark(t);
    if (r >= 0)
        r = gr_traffic_await_turns(t, 2, GR_DRILL_PATIENCE_USEC);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE, "the clients of %s wait for an answer", a[0]);
    gr_traffic_look(t, &seen);
    r = judge_versions(&seen, a[1], a[2], e);
    if (r >= 0 && s->detected.usec && !s->recovered.usec)
        s->recovered = gr_wall_now();
    return r;
}

static int count(struct gr_story *s, enum gr_drill_act act, const char *bound, struct gr_error *e)
{
    struct gr_traffic_seen sum;
    gr_story_sum(s, &sum);
    uint64_t n = act == GR_DRILL_LOST     ? sum.lost
                 : act == GR_DRILL_FAILED ? sum.failed
                                          : sum.rescued;
    if (gr_drill_holds(bound, n))
        return 0;
    return gr_error_set(e, -EIO, GR_REASON_NONE,
                        "expected %s%s, and it was %" PRIu64 " of %" PRIu64 " requests%s%s",
                        bound[0] == '<'   ? "at most "
                        : bound[0] == '>' ? "at least "
                                          : "",
                        bound + 1, n, sum.answered + sum.lost, *sum.why ? "; the last loss: " : "",
                        sum.why);
}

static bool has_version(const struct gr_curl_answer *answer, const char *version)
{
    static const char name[] = "x-grayling-version:";
    const char *at = answer->head.data ? strcasestr(answer->head.data, name) : NULL;
    if (!at)
        return false;
    at += sizeof name - 1 + strspn(at + sizeof name - 1, " ");
    size_t n = strcspn(at, "\r\n");
    return n == strlen(version) && !memcmp(at, version, n);
}

static int one_answer(struct gr_story *s, char *const *a, struct gr_error *e)
{
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    char url[512];
    const char *headers[] = {"Content-Type: application/json", a[4], NULL};
    snprintf(url, sizeof url, "http://%s/%s", s->w->door, a[1]);
    const struct gr_curl_ask ask = {
        .url = url, .method = "POST", .headers = headers, .body = "{}", .body_len = 2};
    int r = gr_curl(&ask, &answer, e);
    if (r < 0)
        return r;
    if (answer.status != (long)strtoul(a[2], NULL, 10) || (a[3] && !has_version(&answer, a[3])))
        return gr_error_set(e, -EIO, GR_REASON_NONE, "expected %s%s%s, got %ld: %.300s %.200s",
                            a[2], a[3] ? " by " : "", a[3] ? a[3] : "", answer.status,
                            answer.head.len ? answer.head.data : "",
                            answer.body.len ? answer.body.data : "");
    return 0;
}

// --- state

struct field {
    const char *module; // NULL: of the service
    const char *path, *value;
};

static void text_of(const cJSON *v, char buf[300])
{
    GR_AUTO_FREE char *json = v && !cJSON_IsString(v) ? gr_json_format(v) : NULL;
    snprintf(buf, 300, "%.299s", cJSON_IsString(v) ? v->valuestring : json ? json : "nothing");
}

static const cJSON *find_field(const cJSON *status, const struct field *f)
{
    const cJSON *m;
    if (!f->module)
        return gr_output_find(status, f->path);
    cJSON_ArrayForEach(m, gr_output_find(status, "modules"))
    {
        if (!strcmp(gr_output_text(m, "module"), f->module))
            return gr_output_find(m, f->path);
    }
    return NULL;
}

static bool has_value(const cJSON *status, const void *userdata)
{
    const struct field *f = userdata;
    char text[300];
    text_of(find_field(status, f), text);
    return !strcmp(text, f->value);
}

static int await_field(struct gr_story *s, const struct field *f, const char *within,
                       struct gr_error *e)
{
    GR_AUTO_JSON cJSON *last = NULL;
    char text[300];
    int r = gr_world_await(s->w, has_value, f, patience(within), &last, e);
    if (r != -ETIME)
        return r;
    text_of(find_field(last, f), text);
    return gr_error_set(e, r, GR_REASON_NONE, "expected %s %s to be %s, and it is %s",
                        f->module ? f->module : "the service's", f->path, f->value, text);
}

struct convicted {
    const char *hash;
};

static bool is_convicted(const cJSON *status, const void *userdata)
{
    const struct convicted *c = userdata;
    const cJSON *one;
    cJSON_ArrayForEach(one, gr_output_find(status, "quarantine"))
    {
        if (!strcmp(gr_output_text(one, "hash"), c->hash))
            return true;
    }
    return false;
}

static int quarantined(struct gr_story *s, const char *module, bool expected, struct gr_error *e)
{
    const struct convicted c = {gr_story_hash(s, module)};
    GR_AUTO_JSON cJSON *last = NULL;
    int r = gr_world_await(s->w, is_convicted, &c, expected ? GR_DRILL_PATIENCE_USEC : 0, &last, e);
    if (r < 0 && r != -ETIME)
        return r;
    if ((r >= 0) == expected)
        return 0;
    return gr_error_set(e, -EIO, GR_REASON_NONE, "%s is %squarantined", c.hash,
                        expected ? "not " : "");
}

static int read_metric(struct gr_story *s, const char *series, uint64_t *ret, struct gr_error *e)
{
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    char url[300];
    size_t n = strlen(series);
    snprintf(url, sizeof url, "http://%s/metrics", s->w->admin);
    const struct gr_curl_ask ask = {.url = url, .method = "GET"};
    int r = gr_curl(&ask, &answer, e);
    *ret = 0; // a series that nothing was counted in is not there
    for (const char *at = r < 0 || !answer.body.len ? NULL : answer.body.data; at;
         at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (!strncmp(at, series, n) && at[n] == ' ')
            *ret = (uint64_t)strtod(at + n, NULL);
    return r;
}

struct metric {
    struct gr_story *s;
    const char *series, *bound;
    uint64_t *value;
};

static bool metric_holds(const cJSON *status, const void *userdata)
{
    const struct metric *m = userdata;
    (void)status;
    return read_metric(m->s, m->series, m->value, NULL) >= 0 && gr_drill_holds(m->bound, *m->value);
}

static int metric(struct gr_story *s, char *const *a, struct gr_error *e)
{
    uint64_t value = 0;
    const struct metric m = {s, a[0], a[1], &value};
    int r = gr_world_await(s->w, metric_holds, &m, patience(a[2]), NULL, e);
    return r != -ETIME ? r
                       : gr_error_set(e, r, GR_REASON_NONE, "%s is %" PRIu64 ", expected %c %s",
                                      a[0], value, a[1][0], a[1] + 1);
}

// --- events

static int told(struct gr_story *s, const char *text, struct gr_error *e)
{
    const char *message = gr_output_text(s->event, "message");
    if (strstr(message, text))
        return 0;
    return gr_error_set(e, -EIO, GR_REASON_NONE, "\"%.200s\" is not in: %.600s", text, message);
}

int gr_story_expect(struct gr_story *s, const struct gr_drill_line *l, struct gr_error *e)
{
    char *const *a = l->args;
    const struct field of_module = {.module = a[0], .path = a[1], .value = a[2]},
                       of_service = {.path = a[0], .value = a[1]};
    switch ((unsigned)l->act) { // the others are not of this file
    case GR_DRILL_EVENT:
        return gr_story_await_event(s, a[0], a[1], a[2], patience(a[3]), e);
    case GR_DRILL_TOLD:
        return told(s, a[0], e);
    case GR_DRILL_SERVED:
        return served_by(s, a, e);
    case GR_DRILL_ANSWER:
        return one_answer(s, a, e);
    case GR_DRILL_STATUS:
        return await_field(s, &of_module, a[3], e);
    case GR_DRILL_SERVICE:
        return await_field(s, &of_service, a[2], e);
    case GR_DRILL_LOST:
    case GR_DRILL_FAILED:
    case GR_DRILL_RESCUED:
        return count(s, l->act, a[0], e);
    case GR_DRILL_METRIC:
        return metric(s, a, e);
    case GR_DRILL_QUARANTINED:
        return quarantined(s, a[0], true, e);
    case GR_DRILL_NOT_QUARANTINED:
        return quarantined(s, a[0], false, e);
    default:
        return -ENOSYS;
    }
}
