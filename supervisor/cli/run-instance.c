// Directories, settings, document and process of the instance that module run starts. Must never
// write outside of its directory.
#include "cli/run-instance.h"
#include "base/fs.h"
#include "cli/drill/process.h"
#include "cli/local-artifact.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define SETS_MAX 10

int gr_run_prepare(struct gr_run_instance *r, const char *dir, struct gr_error *e)
{
    static const char *const names[] = {"state", "run", "incoming", "modules.d"};
    char path[PATH_MAX];
    GR_AUTO_CLOSE int dir_fd = -1;
    *r = (struct gr_run_instance){.dir = dir, .log_fd = -1, .daemon = {.pidfd = -1}};
    int k = gr_fs_open_dir(dir, &dir_fd);
    for (size_t i = 0; k >= 0 && i < GR_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        k = gr_fs_mkdir_all(path, 0755);
    }
    if (k >= 0) // no file of the host is read
        k = gr_fs_write_atomic(dir_fd, "grayling.conf", "", 0, 0644);
    return k < 0 ? gr_error_set(e, k, GR_REASON_INTERNAL, "cannot write below %.300s: %s", dir,
                                strerror(-k))
                 : 0;
}

static int copy(const struct gr_run_instance *r, const char *file, const struct gr_inspection *i,
                char *ret_path, size_t cap)
{
    char dir[PATH_MAX], name[GR_DIGEST_TEXT_MAX + 8], digest[17];
    GR_AUTO_CLOSE int dir_fd = -1, fd = open(file, O_RDONLY | O_CLOEXEC);
    snprintf(dir, sizeof dir, "%s/incoming", r->dir);
    snprintf(name, sizeof name, "%s.so", gr_digest_short(&i->digest, digest));
    snprintf(ret_path, cap, "file://%s/incoming/%s", r->dir, name);
    int k = fd < 0 ? -errno : gr_fs_open_dir(dir, &dir_fd);
    if (k >= 0)
        k = gr_fs_publish_fd(dir_fd, name, fd, i->bytes, 0444);
    return k == -EEXIST ? 0 : k; // named by its digest
}

// It serves at once and is not taken back: whoever tries his own build wants to see it fail.
static cJSON *document(const struct gr_inspection *i, const char *source, const char *config)
{
    GR_AUTO_JSON cJSON *o = gr_local_document(i, &source, 1);
    cJSON *strategy = o ? cJSON_AddObjectToObject(o, "strategy") : NULL;
    bool ok = strategy && cJSON_AddStringToObject(strategy, "bake", "0s");
    if (ok && config)
        ok = cJSON_AddItemToObject(o, "config", cJSON_Parse(config));
    return ok ? gr_steal(o) : NULL;
}

int gr_run_want(struct gr_run_instance *r, const char *file, const struct gr_inspection *i,
                const char *config, struct gr_error *e)
{
    char source[PATH_MAX + 256], dir[PATH_MAX], name[GR_NAME_MAX + 8];
    GR_AUTO_CLOSE int dir_fd = -1;
    if (gr_digest_equal(&r->wanted, &i->digest))
        return 0;
    int k = copy(r, file, i, source, sizeof source);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_INTERNAL, "cannot copy %.300s below %.300s: %s", file,
                            r->dir, strerror(-k));
    GR_AUTO_JSON cJSON *o = document(i, source, config);
    GR_AUTO_FREE char *text = o ? gr_json_format(o) : NULL;
    if (!text)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    snprintf(dir, sizeof dir, "%s/modules.d", r->dir);
    snprintf(name, sizeof name, "%s.json", i->contract->module.s);
    k = gr_fs_open_dir(dir, &dir_fd);
    if (k >= 0)
        k = gr_fs_write_atomic(dir_fd, name, text, strlen(text), 0644);
    if (k < 0)
        return gr_error_set(e, k, GR_REASON_INTERNAL, "cannot write %.300s/%s: %s", dir, name,
                            strerror(-k));
    r->wanted = i->digest;
    return 1;
}

static void set_environment(void)
{
    static const char *const foreign[] = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                          "NOTIFY_SOCKET", "GRAYLING_FAULT"};
    for (size_t i = 0; i < GR_COUNT(foreign); i++)
        unsetenv(foreign[i]);
    setenv("GRAYLING_LOG_LEVEL", "info", 1); // its lines are how we know what it does
}

int gr_run_start(struct gr_run_instance *r, const char *listen, struct gr_error *e)
{
    char program[PATH_MAX], config[PATH_MAX], sets[SETS_MAX][PATH_MAX + 64], option[] = "--set";
    char *argv[4 + 2 * SETS_MAX] = {program, (char[]){"--config"}, config};
    size_t n = 0, at = 3;
    int pipe_fds[2];
    snprintf(config, sizeof config, "%s/grayling.conf", r->dir);
    snprintf(sets[n++], sizeof *sets, "Service.Name=module-run");
    snprintf(sets[n++], sizeof *sets, "Service.StateDirectory=%s/state", r->dir);
    snprintf(sets[n++], sizeof *sets, "Service.RuntimeDirectory=%s/run", r->dir);
    snprintf(sets[n++], sizeof *sets, "Source.Etcd=");
    snprintf(sets[n++], sizeof *sets, "Source.Directory=%s/modules.d", r->dir);
    snprintf(sets[n++], sizeof *sets, "Dispatch.Listen=%s", listen);
    snprintf(sets[n++], sizeof *sets, "Dispatch.AccessLog=yes");
    snprintf(sets[n++], sizeof *sets, "Dispatch.BreakerFaults=0");
    snprintf(sets[n++], sizeof *sets, "Admin.Listen=");
    snprintf(sets[n++], sizeof *sets, "Artifacts.FileRoots=%s/incoming", r->dir);
    for (size_t i = 0; i < n; i++) {
        argv[at++] = option;
        argv[at++] = sets[i];
    }
    int k = gr_process_find_daemon(program, sizeof program, e);
    if (k < 0)
        return k;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "no pipe: %s", strerror(errno));
    set_environment();
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    r->log_fd = pipe_fds[0];
    const struct gr_child_fd fds[] = {{pipe_fds[1], STDOUT_FILENO}, {pipe_fds[1], STDERR_FILENO}};
    k = gr_child_spawn(argv, NULL, fds, GR_COUNT(fds), &r->daemon, e);
    close(pipe_fds[1]);
    return k;
}

void gr_run_stop(struct gr_run_instance *r)
{
    if (r->daemon.pid)
        pidfd_send_signal(r->daemon.pidfd, SIGTERM, NULL, 0);
}

void gr_run_done(struct gr_run_instance *r)
{
    gr_process_kill(&r->daemon);
    if (r->log_fd >= 0)
        close(r->log_fd);
    r->log_fd = -1;
}
