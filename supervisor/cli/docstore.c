// Finds out where the desired state lives and hands over to etcd or the directory.
#include "cli/docstore.h"
#include "base/json.h"
#include "cli/output.h"
#include "watchers/source.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int open_etcd(const struct gr_config *c, const char *url, const struct gr_source_keys *keys,
                     struct gr_docstore **ret, struct gr_error *e)
{
    struct gr_etcd_config etcd = {.n_endpoints = c->n_endpoints,
                                  .endpoints = (const char *const *)c->endpoints,
                                  .user = c->etcd_user,
                                  .password_file = c->etcd_password_file,
                                  .ca_file = c->etcd_ca_file,
                                  .cert_file = c->etcd_cert_file,
                                  .key_file = c->etcd_key_file};
    if (url) {
        etcd.n_endpoints = 1;
        etcd.endpoints = &url;
    }
    return gr_docstore_etcd_new(&etcd, keys, ret, e);
}

static int settings(struct gr_cli *cli, const struct gr_config **ret, struct gr_error *e)
{
    int r = gr_cli_settings(cli, ret, e);
    if (r < 0)
        gr_error_wrap(e, "where the desired state lives is not known");
    return r;
}

int gr_docstore_open(struct gr_cli *cli, struct gr_docstore **ret, struct gr_error *e)
{
    const struct gr_config *c;
    int r = settings(cli, &c, e);
    if (r < 0)
        return r;
    const struct gr_source_keys keys = gr_source_keys_documents(&c->service);
    return c->n_endpoints || cli->etcd_url ? open_etcd(c, cli->etcd_url, &keys, ret, e)
                                           : gr_docstore_directory_new(c->directory, ret, e);
}

static int open_below(struct gr_cli *cli,
                      struct gr_source_keys (*keys_of)(const struct gr_name *service),
                      struct gr_docstore **ret, struct gr_error *e)
{
    const struct gr_config *c;
    int r = settings(cli, &c, e);
    if (r < 0)
        return r;
    const struct gr_source_keys keys = keys_of(&c->service);
    *ret = NULL;
    return c->n_endpoints || cli->etcd_url ? open_etcd(c, cli->etcd_url, &keys, ret, e) : 0;
}

int gr_docstore_open_intents(struct gr_cli *cli, struct gr_docstore **ret, struct gr_error *e)
{
    return open_below(cli, gr_source_keys_intents, ret, e);
}

int gr_docstore_open_quarantine(struct gr_cli *cli, struct gr_docstore **ret, struct gr_error *e)
{
    return open_below(cli, gr_source_keys_quarantine, ret, e);
}

void gr_docstore_free(struct gr_docstore *s)
{
    if (s)
        s->ops->free(s);
}

int gr_docstore_get(struct gr_docstore *s, struct gr_docstore_entry *entries, size_t n,
                    struct gr_error *e)
{
    return s->ops->get(s, entries, n, e);
}

int gr_docstore_put(struct gr_docstore *s, const struct gr_docstore_change *changes, size_t n,
                    int64_t *ret_revision, struct gr_error *e)
{
    return s->ops->put(s, changes, n, ret_revision, e);
}

void gr_docstore_entry_done(struct gr_docstore_entry *entry)
{
    free(entry->value);
    entry->value = NULL;
}

int gr_docstore_conflict(const struct gr_docstore_entry *now, int64_t expected, struct gr_error *e)
{
    cJSON *document = now->value ? cJSON_Parse(now->value) : NULL; // only shown
    const char *actor = gr_output_text(document, "actor"),
               *version = gr_output_text(document, "version");
    const char *verb = gr_output_text(document, "verb"), *at = gr_output_text(document, "at");
    if (*verb)
        gr_error_set(
            e, -EBUSY, GR_REASON_NONE,
            "%.128s was faster: %.32s of rollout %.0f, step %.0f of %s, at %.40s (revision "
            "%" PRId64 "); nothing of yours was written. Look with grayctl get %s",
            *actor ? actor : "somebody", verb,
            cJSON_GetNumberValue(gr_output_find(document, "rollout")),
            cJSON_GetNumberValue(gr_output_find(document, "step")), now->module.s,
            *at ? at : "an unknown time", now->revision, now->module.s);
    else if (!now->present)
        gr_error_set(e, -EBUSY, GR_REASON_NONE,
                     "%s was removed meanwhile; expected revision %" PRId64
                     ". Look with grayctl get %s and write again",
                     now->module.s, expected, now->module.s);
    else
        gr_error_set(e, -EBUSY, GR_REASON_NONE,
                     "%s was changed by %.128s to version %.128s (revision %" PRId64
                     "); expected revision %" PRId64 ". Look with grayctl get %s and write again",
                     now->module.s, *actor ? actor : "somebody", *version ? version : "unknown",
                     now->revision, expected, now->module.s);
    cJSON_Delete(document);
    return -EBUSY;
}
