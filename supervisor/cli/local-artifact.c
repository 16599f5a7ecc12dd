// Owns the way from a document to its file on this machine, and from a file to its document. Never
// goes to the network.
#include "cli/local-artifact.h"
#include "base/json.h"
#include <string.h>

static const char *path_of(const char *source)
{
    static const char scheme[] = "file://";
    bool local = strncmp(source, scheme, sizeof scheme - 1) == 0;
    return local && source[sizeof scheme - 1] == '/' ? source + sizeof scheme - 1 : NULL;
}

bool gr_local_artifact(const struct gr_desired *d, struct gr_inspection *ret)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        struct gr_inspection found = {0};
        struct gr_error e = {0};
        const char *path = path_of(d->sources[i]);
        if (!path || gr_inspect_file(path, &found, &e) < 0)
            continue;
        if (found.contract && gr_digest_equal(&found.digest, &d->digest)) {
            *ret = found;
            return true;
        }
        gr_inspection_done(&found);
    }
    return false;
}

cJSON *gr_local_document(const struct gr_inspection *i, const char *const *sources, size_t n)
{
    char digest[GR_DIGEST_TEXT_MAX];
    cJSON *o = cJSON_CreateObject(), *list;
    bool ok = o && cJSON_AddStringToObject(o, "version", i->contract->version.text) &&
              cJSON_AddStringToObject(o, "version_hash", gr_digest_format(&i->digest, digest)) &&
              (list = cJSON_AddArrayToObject(o, "source")) && gr_json_add_uint(o, "size", i->bytes);
    for (size_t k = 0; ok && k < n; k++)
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(sources[k]));
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}
