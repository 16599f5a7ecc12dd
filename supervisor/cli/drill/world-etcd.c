// The own etcd of a throw-away instance, and what is done to it.
#include "base/fs.h"
#include "cli/curl.h"
#include "cli/drill/process.h"
#include "cli/drill/world.h"
#include "cli/output.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#define READY_USEC (60 * GR_USEC_PER_SEC)
#define AGAIN_MSEC 50

static int post(struct gr_world *w, const char *path, const char *body, cJSON **ret,
                struct gr_error *e)
{
    char url[128];
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v3/%s", w->etcd_port, path);
    const struct gr_curl_ask ask = {.url = url,
                                    .method = "POST",
                                    .body = body,
                                    .body_len = strlen(body),
                                    .timeout_usec = 15 * GR_USEC_PER_SEC};
    int r = gr_curl(&ask, &answer, e);
    if (r < 0)
        return r;
    if (answer.status != 200)
        return gr_error_set(e, -EIO, GR_REASON_NONE, "etcd answered %ld to %s: %.200s",
                            answer.status, path, answer.body.len ? answer.body.data : "");
    if (ret)
        *ret = cJSON_ParseWithLength(answer.body.data, answer.body.len);
    return 0;
}

// etcd tells nobody when it is ready: a refused connection is tried again a moment later, unless it
// has ended.
static int await_ready(struct gr_world *w, struct gr_error *e)
{
    char log[PATH_MAX], words[512];
    uint64_t until = gr_mono_now().usec + READY_USEC;
    struct pollfd p = {.fd = w->etcd.pidfd, .events = POLLIN};
    while (gr_mono_now().usec < until) {
        if (post(w, "kv/range", "{\"key\":\"eA==\"}", NULL, e) >= 0)
            return 0;
        if (poll(&p, 1, AGAIN_MSEC) == 1)
            break;
    }
    snprintf(log, sizeof log, "%s/etcd.log", w->dir);
    return gr_error_set(e, -EIO, GR_REASON_NONE, "the drill's own etcd did not start: %s",
                        gr_process_last_words(log, words));
}

static int start(struct gr_world *w, struct gr_error *e)
{
    char program[PATH_MAX], client[64], peer[64], cluster[80], data[PATH_MAX], log[PATH_MAX];
    int r = gr_process_find("etcd", program, sizeof program);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE,
                            "there is no etcd in PATH; install it, or run drills that need none");
    if (!w->etcd_port &&
        (gr_process_free_port(&w->etcd_port) < 0 || gr_process_free_port(&w->etcd_peer) < 0))
        return gr_error_set(e, -EADDRINUSE, GR_REASON_INTERNAL, "no port of 127.0.0.1 is free");
    snprintf(client, sizeof client, "http://127.0.0.1:%u", w->etcd_port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", w->etcd_peer);
    snprintf(cluster, sizeof cluster, "drill=%s", peer);
    snprintf(data, sizeof data, "%s/etcd-%u", w->dir, w->etcd_member);
    snprintf(log, sizeof log, "%s/etcd.log", w->dir);
    char *argv[] = {program,
                    (char[]){"--name"},
                    (char[]){"drill"},
                    (char[]){"--data-dir"},
                    data,
                    (char[]){"--listen-client-urls"},
                    client,
                    (char[]){"--advertise-client-urls"},
                    client,
                    (char[]){"--listen-peer-urls"},
                    peer,
                    (char[]){"--initial-advertise-peer-urls"},
                    peer,
                    (char[]){"--initial-cluster"},
                    cluster,
                    (char[]){"--initial-cluster-token"},
                    data, // another member at the same address is another cluster
                    (char[]){"--unsafe-no-fsync"},
                    (char[]){"--logger"},
                    (char[]){"zap"},
                    (char[]){"--log-level"},
                    (char[]){"error"},
                    NULL};
    r = gr_process_spawn(argv, NULL, log, &w->etcd, e);
    return r < 0 ? r : await_ready(w, e);
}

static int compact(struct gr_world *w, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    char body[128];
    int r = post(w, "kv/range", "{\"key\":\"eA==\"}", &answer, e);
    if (r < 0)
        return r;
    snprintf(body, sizeof body, "{\"revision\":\"%.32s\",\"physical\":true}",
             gr_output_text(answer, "header.revision"));
    return post(w, "kv/compaction", body, NULL, e);
}

int gr_world_etcd(struct gr_world *w, enum gr_world_etcd how, struct gr_error *e)
{
    switch (how) {
    case GR_WORLD_ETCD_KILLED:
        gr_process_kill(&w->etcd);
        return 0;
    case GR_WORLD_ETCD_STARTED:
        return w->etcd.pid ? 0 : start(w, e);
    case GR_WORLD_ETCD_SILENT:
        return w->etcd.pid ? pidfd_send_signal(w->etcd.pidfd, SIGSTOP, NULL, 0) : 0;
    case GR_WORLD_ETCD_RESUMED:
        return w->etcd.pid ? pidfd_send_signal(w->etcd.pidfd, SIGCONT, NULL, 0) : 0;
    case GR_WORLD_ETCD_COMPACTED:
        return compact(w, e);
    case GR_WORLD_ETCD_REPLACED:
        gr_process_kill(&w->etcd);
        w->etcd_member++;
        return start(w, e);
    }
    return -EINVAL;
}
