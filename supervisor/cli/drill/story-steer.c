// What a story asks of an instance as an operator would, and what it breaks.
#include "base/fs.h"
#include "base/json.h"
#include "cli/drill/story.h"
#include "cli/output.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

static cJSON *command(void)
{
    cJSON *body = cJSON_CreateObject();
    if (body && cJSON_AddStringToObject(body, "actor", "drill") &&
        cJSON_AddStringToObject(body, "reason", "the drill says so"))
        return body;
    cJSON_Delete(body);
    return NULL;
}

static int post(struct gr_story *s, const char *path, cJSON *take, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *body = take;
    if (!body)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    return gr_world_ask(s->w, "POST", path, body, NULL, e);
}

// The rollout and the step that the order is about: those that stand now, as a person sees them.
static int add_step(struct gr_story *s, const char *module, cJSON *body, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *answer = NULL;
    char path[256];
    int64_t n;
    snprintf(path, sizeof path, "/v1/modules/%s", module);
    int r = gr_world_ask(s->w, "GET", path, NULL, &answer, e);
    if (r >= 0 && gr_json_read_int(gr_output_find(answer, "rollout.id"), &n) &&
        !gr_json_add_int(body, "rollout", n))
        r = -ENOMEM;
    if (r >= 0 && gr_json_read_int(gr_output_find(answer, "rollout.step"), &n) &&
        !gr_json_add_int(body, "step", n))
        r = -ENOMEM;
    return r;
}

// A refusal that is expected has to say `refused`.
static int ask(struct gr_story *s, const char *verb, const char *module, const char *refused,
               struct gr_error *e)
{
    char path[256];
    cJSON *body = command();
    snprintf(path, sizeof path, "/v1/modules/%s/%s", module, verb);
    int r = body && strcmp(verb, "undo") ? add_step(s, module, body, e) : 0;
    if (r < 0) {
        cJSON_Delete(body);
        return r;
    }
    r = post(s, path, body, e);
    if (!refused)
        return r;
    if (r >= 0)
        return gr_error_set(e, -EIO, GR_REASON_NONE, "expected to be refused, and was not");
    if (strstr(e->message, refused) || !strcmp(gr_reason_name(e->reason), refused))
        return 0;
    gr_error_wrap(e, "expected a refusal with \"%.100s\", got", refused);
    return r;
}

static int lift(struct gr_story *s, const char *module, struct gr_error *e)
{
    char path[256];
    const char *hash = gr_story_hash(s, module);
    snprintf(path, sizeof path, "/v1/quarantine/%.100s/lift",
             *hash ? hash + strlen("sha256:") : "");
    return post(s, path, command(), e);
}

static int freeze(struct gr_story *s, const char *module, const char *duration, struct gr_error *e)
{
    cJSON *body = command(), *list = body ? cJSON_AddArrayToObject(body, "modules") : NULL;
    cJSON *name = list ? cJSON_CreateString(module) : NULL;
    if (!name || !cJSON_AddItemToArray(list, name) ||
        (duration && !cJSON_AddStringToObject(body, "for", duration))) {
        cJSON_Delete(body);
        body = NULL;
    }
    return post(s, duration ? "/v1/freeze" : "/v1/thaw", body, e);
}

static int fault_worker(struct gr_story *s, const char *how, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *status = NULL;
    int r = gr_world_ask(s->w, "GET", "/v1/status", NULL, &status, e);
    double pid = r < 0 ? 0 : cJSON_GetNumberValue(gr_output_find(status, "worker.pid"));
    if (r >= 0 && !(pid > 1))
        return gr_error_set(e, -ESRCH, GR_REASON_NONE, "there is no worker");
    GR_AUTO_CLOSE int fd = r < 0 ? -1 : pidfd_open((pid_t)pid, 0);
    if (fd < 0 || pidfd_send_signal(fd, strcmp(how, "kill") ? SIGTERM : SIGKILL, NULL, 0) < 0)
        return r < 0 ? r : gr_error_set(e, -errno, GR_REASON_NONE, "the worker is gone already");
    return 0;
}

static int fault_etcd(struct gr_story *s, const char *how, struct gr_error *e)
{
    static const char *const names[] = {"killed",  "started",   "silent",
                                        "resumed", "compacted", "replaced"};
    for (unsigned i = 0; i < GR_COUNT(names); i++)
        if (!strcmp(names[i], how))
            return gr_world_etcd(s->w, (enum gr_world_etcd)i, e);
    return -EINVAL;
}

// What disks do: a new inode, so that what is mapped stays as it is.
static int damage(int dir_fd, const char *name, bool flip)
{
    GR_AUTO_BUF struct gr_buf bytes = GR_BUF(GR_ARTIFACT_BYTES_DEFAULT);
    int r = gr_fs_read(dir_fd, name, &bytes);
    if (r >= 0)
        r = gr_fs_unlink(dir_fd, name);
    if (r < 0 || !flip || bytes.len < 4096)
        return r;
    bytes.data[4000] ^= 1;
    return gr_fs_write_atomic(dir_fd, name, bytes.data, bytes.len, 0444);
}

static int fault_stored(struct gr_story *s, char *const *a, struct gr_error *e)
{
    char store[PATH_MAX], prefix[256];
    snprintf(store, sizeof store, "%s/state/store", s->w->dir);
    snprintf(prefix, sizeof prefix, "%s-%s-", a[0], a[1]);
    DIR *dir = opendir(store);
    int r = dir ? -ENOENT : -errno;
    for (struct dirent *d; dir && r == -ENOENT && (d = readdir(dir));)
        if (!strncmp(d->d_name, prefix, strlen(prefix)))
            r = damage(dirfd(dir), d->d_name, !strcmp(a[2], "flipped"));
    if (dir)
        closedir(dir);
    return r < 0 ? gr_error_set(e, r, GR_REASON_NONE, "%s%s is not in the store: %s", prefix, "*",
                                strerror(-r))
                 : 0;
}

int gr_story_steer(struct gr_story *s, const struct gr_drill_line *l, struct gr_error *e)
{
    char *const *a = l->args;
    switch ((unsigned)l->act) { // the others are not of this file
    case GR_DRILL_ASK:
        return ask(s, a[0], a[1], a[2], e);
    case GR_DRILL_LIFT:
        return lift(s, a[0], e);
    case GR_DRILL_REPLACE:
        return post(s, "/v1/worker/replace", command(), e);
    case GR_DRILL_ACCEPT:
        return post(s, "/v1/source/accept-rewind", command(), e);
    case GR_DRILL_FREEZE:
        return freeze(s, a[0], a[1], e);
    case GR_DRILL_THAW:
        return freeze(s, a[0], NULL, e);
    case GR_DRILL_FAULT_SUPERVISOR:
        return gr_world_stop(s->w, strcmp(a[0], "kill") ? SIGTERM : SIGKILL, e);
    case GR_DRILL_FAULT_WORKER:
        return fault_worker(s, a[0], e);
    case GR_DRILL_FAULT_ETCD:
        return fault_etcd(s, a[0], e);
    case GR_DRILL_FAULT_STORED:
        return fault_stored(s, a, e);
    case GR_DRILL_FAULT_POINT:
        snprintf(s->w->armed, sizeof s->w->armed, "%s", a[0]);
        return 0;
    case GR_DRILL_START:
        return gr_world_start(s->w, false, e);
    case GR_DRILL_START_DYING:
        return gr_world_start(s->w, true, e);
    default:
        return -ENOSYS;
    }
}
