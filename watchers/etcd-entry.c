// See etcd-entry.h.
#include "watchers/etcd-entry.h"
#include "base/limits.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct gr_source_keys gr_source_keys_documents(const struct gr_name *service)
{
    struct gr_source_keys k = {.suffix = "/v2", .what = "module", .max = GR_MODULES_MAX};
    snprintf(k.prefix, sizeof k.prefix, "/modules/%s/", service->s);
    return k;
}

struct gr_source_keys gr_source_keys_intents(const struct gr_name *service)
{
    struct gr_source_keys k = {.suffix = "", .what = "module", .max = GR_MODULES_MAX};
    snprintf(k.prefix, sizeof k.prefix, "/grayling/v1/%s/intents/", service->s);
    return k;
}

struct gr_source_keys gr_source_keys_quarantine(const struct gr_name *service)
{
    struct gr_source_keys k = {.suffix = "", .what = "digest", .max = GR_QUARANTINE_KEYS_MAX};
    snprintf(k.prefix, sizeof k.prefix, "/grayling/v1/%s/quarantine/", service->s);
    return k;
}

// Foreign bytes for a sentence.
static void printable(const char *bytes, size_t len, char *ret, size_t cap)
{
    size_t n = 0;
    for (; n < len && n + 1 < cap; n++)
        ret[n] = bytes[n] >= 0x20 && bytes[n] < 0x7f ? bytes[n] : '?';
    ret[n] = '\0';
}

int gr_etcd_entry_from_kv(const struct gr_source_keys *keys, struct gr_etcd_kv *kv,
                          struct gr_entry *ret)
{
    size_t before = strlen(keys->prefix), after = strlen(keys->suffix);
    if (kv->key_len <= before + after || memcmp(kv->key, keys->prefix, before) != 0)
        return 0;
    const char *name = kv->key + before;
    size_t name_len = kv->key_len - before - after;
    if (memcmp(name + name_len, keys->suffix, after) != 0 || memchr(name, '/', name_len))
        return 0;
    *ret =
        (struct gr_entry){.mod_revision = kv->mod_revision, .create_revision = kv->create_revision};
    char shown[160];
    printable(kv->key, kv->key_len, shown, sizeof shown);
    if (gr_name_parse(name, name_len, &ret->module) < 0) {
        ret->module = (struct gr_name){0};
        gr_error_set(&ret->error, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                     "The key \"%s\" does not name a %s: expected [a-z0-9][a-z0-9._-]{0,63} "
                     "between %s and %s. Delete it and write the document under a valid name.",
                     shown, keys->what, keys->prefix,
                     keys->suffix[0] ? keys->suffix : "the key's end");
    } else if (kv->value_len > GR_DOCUMENT_BYTES_MAX) {
        gr_error_set(&ret->error, -E2BIG, GR_REASON_TOO_LARGE,
                     "The document at \"%s\" has %zu bytes; at most %u are taken. Move bulk "
                     "configuration into the artifact.",
                     shown, kv->value_len, GR_DOCUMENT_BYTES_MAX);
    } else {
        ret->value = gr_steal(kv->value);
        ret->value_len = kv->value_len;
    }
    return 1;
}
