// One thread and one curl handle a client, so that a broken connection is that client's own: curl
// connects anew by itself, which would hide a loss, and is found out by counting its connections.
#include "cli/drill/traffic.h"
#include "base/limits.h"
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CALL_MSEC_MAX 30000L

struct client {
    struct gr_traffic *t;
    pthread_t thread;
    uint64_t turns;
    bool connected; // and the last answer did not say that it closes
    // of the answer that comes
    char version[64];
    bool closes, rescued;
};
struct gr_traffic {
    struct gr_traffic_asked asked;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    bool over;
    struct gr_traffic_seen seen;
    size_t n;
    struct client clients[GR_DRILL_CLIENTS_MAX];
};

static size_t on_body(char *bytes, size_t size, size_t n, void *userdata)
{
    (void)bytes;
    (void)userdata;
    return size * n;
}

static bool is_header(const char *line, size_t len, const char *name, const char **ret)
{
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) || line[n] != ':')
        return false;
    *ret = line + n + 1;
    return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
    struct client *c = userdata;
    const char *value;
    size_t len = size * n;
    if (is_header(line, len, "x-grayling-version", &value)) {
        size_t left = len - (size_t)(value - line), blank = left && *value == ' ', k = 0;
        while (blank + k < left && value[blank + k] > ' ')
            k++;
        snprintf(c->version, sizeof c->version, "%.*s", (int)(k < 60 ? k : 60), value + blank);
    } else if (is_header(line, len, "x-grayling-rescued", &value)) {
        c->rescued = true;
    } else if (is_header(line, len, "connection", &value)) {
        c->closes = len - (size_t)(value - line) >= 6 && strncasecmp(value + 1, "close", 5) == 0;
    }
    return len;
}

static void count_version(struct gr_traffic_seen *s, const char *version)
{
    size_t i = 0;
    while (i < s->n_versions && strcmp(s->versions[i].version, version))
        i++;
    if (i == GR_TRAFFIC_VERSIONS)
        return;
    if (i == s->n_versions) {
        snprintf(s->versions[i].version, sizeof s->versions[i].version, "%s", version);
        s->versions[i].n = 0;
        s->n_versions++;
    }
    s->versions[i].n++;
}

static void count(struct client *c, CURLcode code, long status, long connections)
{
    struct gr_traffic *t = c->t;
    bool broke = c->connected && connections > 0, harm = false;
    pthread_mutex_lock(&t->lock);
    if (code == CURLE_OK) {
        t->seen.answered++;
        t->seen.failed += status != 200;
        t->seen.rescued += c->rescued;
        harm = status != 200 || c->rescued;
        if (status == 200)
            count_version(&t->seen, c->version);
    }
    if (code != CURLE_OK || broke) {
        t->seen.lost++;
        harm = true;
        snprintf(t->seen.why, sizeof t->seen.why, "%s",
                 code == CURLE_OK ? "the connection broke between two calls"
                                  : curl_easy_strerror(code));
    }
    if (harm) {
        t->seen.last_harm = gr_wall_now();
        if (!t->seen.first_harm.usec)
            t->seen.first_harm = t->seen.last_harm;
    }
    c->turns++;
    c->connected = code == CURLE_OK && !c->closes;
    pthread_cond_broadcast(&t->turned);
    pthread_mutex_unlock(&t->lock);
}

static struct timespec timespec_of(uint64_t usec)
{
    return (struct timespec){.tv_sec = (time_t)(usec / GR_USEC_PER_SEC),
                             .tv_nsec = (long)(usec % GR_USEC_PER_SEC) * 1000};
}

// The pace of one client: the next call is due an interval after the last was, or now when that
// is over. false: it is to end.
static bool await_due(struct client *c, uint64_t *due)
{
    struct gr_traffic *t = c->t;
    uint64_t interval = GR_USEC_PER_SEC * t->asked.clients / t->asked.rate,
             now = gr_mono_now().usec;
    *due = *due + interval > now ? *due + interval : now;
    const struct timespec until = timespec_of(*due);
    pthread_mutex_lock(&t->lock);
    int r = 0;
    while (!t->over && r == 0 && gr_mono_now().usec < *due)
        r = pthread_cond_clockwait(&t->turned, &t->lock, CLOCK_MONOTONIC, &until);
    bool over = t->over;
    pthread_mutex_unlock(&t->lock);
    return !over;
}

static void set_up(CURL *curl, struct client *c, struct curl_slist *headers)
{
    curl_easy_setopt(curl, CURLOPT_URL, c->t->asked.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_MSEC_MAX);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "{}");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
}

static void *run(void *userdata)
{
    struct client *c = userdata;
    const char *extra = c->t->asked.header;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (headers && *extra)
        (void)!curl_slist_append(headers, extra);
    CURL *curl = curl_easy_init();
    if (curl && headers) {
        uint64_t due = gr_mono_now().usec;
        set_up(curl, c, headers);
        while (await_due(c, &due)) {
            long status = 0, connections = 0;
            c->version[0] = '\0';
            c->closes = c->rescued = false;
            CURLcode code = curl_easy_perform(curl);
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
            curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connections);
            count(c, code, status, connections);
        }
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return NULL;
}

int gr_traffic_new(const struct gr_traffic_asked *asked, struct gr_traffic **ret,
                   struct gr_error *e)
{
    struct gr_traffic *t = calloc(1, sizeof *t);
    if (!t)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    t->asked = *asked;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->turned, NULL);
    int r = 0;
    unsigned n = asked->clients;
    t->n = n; // the pace depends on it
    for (unsigned i = 0; i < n && !r; i++) {
        t->clients[i].t = t;
        r = pthread_create(&t->clients[i].thread, NULL, run, &t->clients[i]);
        if (r)
            n = i;
    }
    if (r) {
        pthread_mutex_lock(&t->lock);
        t->n = n;
        pthread_mutex_unlock(&t->lock);
        gr_traffic_free(t);
        return gr_error_set(e, -r, GR_REASON_INTERNAL, "cannot start a client: %s", strerror(r));
    }
    *ret = t;
    return 0;
}

void gr_traffic_free(struct gr_traffic *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->over = true;
    pthread_cond_broadcast(&t->turned);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < t->n; i++)
        pthread_join(t->clients[i].thread, NULL);
    pthread_cond_destroy(&t->turned);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

const struct gr_name *gr_traffic_module(const struct gr_traffic *t)
{
    return &t->asked.module;
}

void gr_traffic_look(struct gr_traffic *t, struct gr_traffic_seen *ret)
{
    pthread_mutex_lock(&t->lock);
    *ret = t->seen;
    pthread_mutex_unlock(&t->lock);
}

void gr_traffic_mark(struct gr_traffic *t)
{
    pthread_mutex_lock(&t->lock);
    t->seen.n_versions = 0;
    t->seen.first_harm = t->seen.last_harm = (struct gr_wall){0};
    pthread_mutex_unlock(&t->lock);
}

struct goal {
    uint64_t answered, turns[GR_DRILL_CLIENTS_MAX];
};

static bool is_reached(const struct gr_traffic *t, const struct goal *g)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->clients[i].turns < g->turns[i])
            return false;
    return t->seen.answered >= g->answered;
}

// With the lock held, which it lets go of at the end.
static int await_goal(struct gr_traffic *t, const struct goal *g, uint64_t timeout_usec)
{
    const struct timespec until = timespec_of(gr_mono_now().usec + timeout_usec);
    int r = 0;
    while (!is_reached(t, g) && r == 0)
        r = pthread_cond_clockwait(&t->turned, &t->lock, CLOCK_MONOTONIC, &until);
    bool reached = is_reached(t, g);
    pthread_mutex_unlock(&t->lock);
    return reached ? 0 : -ETIME;
}

int gr_traffic_await_turns(struct gr_traffic *t, unsigned turns, uint64_t timeout_usec)
{
    struct goal g = {0};
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n; i++) // the call that is under way was begun before
        g.turns[i] = t->clients[i].turns + 1 + turns;
    return await_goal(t, &g, timeout_usec);
}

int gr_traffic_await(struct gr_traffic *t, uint64_t n, uint64_t timeout_usec)
{
    struct goal g = {0};
    pthread_mutex_lock(&t->lock);
    g.answered = t->seen.answered + n;
    return await_goal(t, &g, timeout_usec);
}
