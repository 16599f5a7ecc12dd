// A running instance as a drill sees it. Its documents are written under a lease of etcd.
#include "cli/drill/world.h"
#include "cli/output.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEASE_SEC 15

static int open_store(struct gr_world *w, const struct gr_config *c, struct gr_error *e)
{
    const struct gr_etcd_config etcd = {.n_endpoints = c->n_endpoints,
                                        .endpoints = (const char *const *)c->endpoints,
                                        .user = c->etcd_user,
                                        .password_file = c->etcd_password_file,
                                        .ca_file = c->etcd_ca_file,
                                        .cert_file = c->etcd_cert_file,
                                        .key_file = c->etcd_key_file};
    const struct gr_source_keys keys = gr_source_keys_documents(&c->service);
    if (!c->n_endpoints)
        return gr_error_set(e, -ENOSYS, GR_REASON_NONE,
                            "this instance follows a directory, where nothing disarms a drill by "
                            "itself when its runner dies; drills against a running instance need "
                            "etcd as its source");
    return gr_drill_store_etcd(&etcd, &keys, LEASE_SEC, &w->store, e);
}

int gr_world_live(struct gr_cli *cli, struct gr_world **ret, struct gr_error *e)
{
    const struct gr_config *c;
    struct gr_world *w = calloc(1, sizeof *w);
    if (!w)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    w->live = true;
    w->daemon.pidfd = w->etcd.pidfd = -1;
    w->cli = (struct gr_cli){.out = cli->out,
                             .err = cli->err,
                             .control_path = cli->control_path,
                             .config_path = cli->config_path,
                             .etcd_url = cli->etcd_url};
    int r = gr_cli_settings(&w->cli, &c, e);
    size_t root = r >= 0 && c->file_roots ? strcspn(c->file_roots, " ") : 0;
    if (r >= 0 && (!root || !c->n_listen || !strncmp(c->listen[0], "unix:", 5)))
        r = gr_error_set(e, -EINVAL, GR_REASON_NONE,
                         "a drill needs [Artifacts] FileRoots and a [Dispatch] Listen over TCP; "
                         "this instance has not both");
    if (r >= 0) {
        snprintf(w->incoming, sizeof w->incoming, "%.*s", (int)root, c->file_roots);
        snprintf(w->door, sizeof w->door, "%s", c->listen[0]);
        snprintf(w->admin, sizeof w->admin, "%s", c->admin_listen ? c->admin_listen : "");
        r = open_store(w, c, e);
    }
    if (r < 0)
        gr_world_free(w);
    else
        *ret = w;
    return r;
}
