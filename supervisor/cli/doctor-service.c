// Is this installation in order: configuration, directories, daemon, source.
#include "base/json.h"
#include "base/release.h"
#include "cli/curl.h"
#include "cli/docstore.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPACE_WANTED (256ull << 20)

static void check_directory(struct gr_doctor *d, const char *check, const char *path, int mode)
{
    struct statvfs fs;
    struct stat st;
    if (access(path, mode) < 0) {
        gr_doctor_add(d, errno == ENOENT ? GR_HEALTH_WARN : GR_HEALTH_FAIL, check,
                      "%s: %s; the service makes it at its first start, or its permissions are "
                      "wrong (run as the service's user or root)",
                      path, strerror(errno));
        return;
    }
    if (statvfs(path, &fs) < 0)
        return;
    if (stat(path, &st) == 0 && st.st_mode & (S_IWGRP | S_IWOTH))
        gr_doctor_add(d, GR_HEALTH_FAIL, check,
                      "%s can be written by others, who could change what serves: chmod go-w %s",
                      path, path);
    unsigned long long free_bytes = (unsigned long long)fs.f_bavail * fs.f_frsize;
    if (free_bytes < SPACE_WANTED)
        gr_doctor_add(d, GR_HEALTH_WARN, check,
                      "%s: %llu MiB are free; expected %llu for modules and journal: make room",
                      path, free_bytes >> 20, SPACE_WANTED >> 20);
    else
        gr_doctor_add(d, GR_HEALTH_OK, check, "%s, %llu MiB free", path, free_bytes >> 20);
}

static void check_config(struct gr_doctor *d)
{
    const struct gr_config *c;
    struct gr_error e = {0};
    if (gr_cli_settings(d->cli, &c, &e) < 0) {
        gr_doctor_add(d, GR_HEALTH_FAIL, "configuration", "%s", e.message);
        return;
    }
    gr_doctor_add(d, GR_HEALTH_OK, "configuration", "service %s, instance %s", c->service.s,
                  c->instance.s);
    struct stat st;
    d->service = stat(c->state_dir, &st) == 0 ? st.st_uid : geteuid();
    check_directory(d, "state directory", c->state_dir, R_OK | W_OK | X_OK);
    gr_doctor_check_store(d, c->state_dir);
    gr_doctor_check_secrets(d, c, gr_wall_now());
    if (!c->trust_root_file)
        gr_doctor_add(d, GR_HEALTH_WARN, "trust",
                      "no trust root: whoever can write the desired state decides what runs; set "
                      "[Trust] RootFile");
}

static void check_daemon(struct gr_doctor *d)
{
    struct gr_error e = {0};
    GR_AUTO_JSON cJSON *status = NULL;
    if (gr_cli_request(d->cli, "GET", "/v1/status", NULL, 0, &status, &e) < 0) {
        gr_doctor_add(d, GR_HEALTH_FAIL, "daemon", "%s", e.message);
        gr_doctor_check_files(d, 0);
        return;
    }
    int64_t worker = 0;
    (void)gr_json_read_int(gr_output_find(status, "worker.pid"), &worker);
    gr_doctor_check_files(d, (pid_t)worker);
    const char *phase = gr_output_text(status, "phase"),
               *version = gr_output_text(status, "version");
    gr_doctor_add(d, strcmp(phase, "Degraded") ? GR_HEALTH_OK : GR_HEALTH_WARN, "daemon", "%s%s",
                  phase,
                  strcmp(phase, "Degraded") ? "" : ": grayctl status says which module and why");
    if (*gr_output_text(status, "message"))
        gr_doctor_add(d, GR_HEALTH_WARN, "daemon's journal", "%s",
                      gr_output_text(status, "message"));
    if (strcmp(version, gr_release))
        gr_doctor_add(d, GR_HEALTH_WARN, "versions",
                      "daemon %s, grayctl %s: restart the service after an upgrade", version,
                      gr_release);
    const char *why = gr_output_text(status, "source.message");
    if (!cJSON_IsTrue(gr_output_find(status, "source.up")))
        gr_doctor_add(d, *why ? GR_HEALTH_FAIL : GR_HEALTH_WARN, "daemon's source", "%s",
                      *why ? why : "has not answered yet: look again in a moment");
    if (cJSON_IsTrue(gr_output_find(status, "source.held")))
        gr_doctor_add(
            d, GR_HEALTH_FAIL, "daemon's source",
            "rewound or foreign, and not followed: grayctl source accept-rewind when it is right");
}

static void check_etcd_version(struct gr_doctor *d, const char *endpoint)
{
    GR_CLEANUP(gr_curl_answer_done) struct gr_curl_answer answer = {0};
    GR_AUTO_JSON cJSON *version = NULL;
    char url[512];
    struct gr_error ignored;
    snprintf(url, sizeof url, "%s/version", endpoint);
    if (strncmp(endpoint, "http://", 7) ||
        gr_curl(&(struct gr_curl_ask){.url = url, .method = "GET"}, &answer, &ignored) < 0 ||
        gr_json_parse(answer.body.data ? answer.body.data : "", answer.body.len, 4096, &version,
                      &ignored) < 0)
        return; // TLS, or it did not answer: the read tells that
    gr_doctor_check_offset(d, answer.head.data, gr_wall_now());
    const char *text = gr_output_text(version, "etcdserver");
    if (strncmp(text, "3.", 2) || strtol(text + 2, NULL, 10) < 4)
        gr_doctor_add(d, GR_HEALTH_WARN, "etcd version", "%s; tested with 3.4 and 3.5: upgrade it",
                      text);
    else
        gr_doctor_add(d, GR_HEALTH_OK, "etcd version", "%s", text);
}

static void check_source(struct gr_doctor *d)
{
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    GR_CLEANUP(gr_docstore_entry_done) struct gr_docstore_entry nothing = {.module = {"doctor"}};
    struct gr_error e = {0};
    if (gr_docstore_open(d->cli, &store, &e) < 0) {
        gr_doctor_add(d, GR_HEALTH_FAIL, "source", "%s", e.message);
        return;
    }
    if (gr_docstore_get(store, &nothing, 1, &e) < 0)
        gr_doctor_add(d, GR_HEALTH_FAIL, "source", "%s: %.800s", store->place, e.message);
    else
        gr_doctor_add(d, GR_HEALTH_OK, "source", "%s answers", store->place);
    if (!strncmp(store->place, "etcd ", 5))
        check_etcd_version(d, store->place + 5);
}

void gr_doctor_check_service(struct gr_doctor *d)
{
    check_config(d);
    check_daemon(d);
    check_source(d);
}
