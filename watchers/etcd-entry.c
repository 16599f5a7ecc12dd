// See etcd-entry.h.
#include "watchers/etcd-entry.h"
#include "base/limits.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char suffix[] = "/v2";
#define SUFFIX_LEN (sizeof suffix - 1)

int gr_etcd_service_prefix(const struct gr_name *service, struct gr_buf *ret)
{
    return gr_buf_printf(ret, "/modules/%s/", service->s);
}

// Foreign bytes for a sentence.
static void printable(const char *bytes, size_t len, char *ret, size_t cap)
{
    size_t n = 0;
    for (; n < len && n + 1 < cap; n++)
        ret[n] = bytes[n] >= 0x20 && bytes[n] < 0x7f ? bytes[n] : '?';
    ret[n] = '\0';
}

int gr_etcd_entry_from_kv(struct gr_bytes prefix, struct gr_etcd_kv *kv, struct gr_entry *ret)
{
    if (kv->key_len <= prefix.len + SUFFIX_LEN || memcmp(kv->key, prefix.data, prefix.len) != 0)
        return 0;
    const char *name = kv->key + prefix.len;
    size_t name_len = kv->key_len - prefix.len - SUFFIX_LEN;
    if (memcmp(name + name_len, suffix, SUFFIX_LEN) != 0 || memchr(name, '/', name_len))
        return 0;
    *ret =
        (struct gr_entry){.mod_revision = kv->mod_revision, .create_revision = kv->create_revision};
    char shown[160];
    printable(kv->key, kv->key_len, shown, sizeof shown);
    if (gr_name_parse(name, name_len, &ret->module) < 0) {
        ret->module = (struct gr_name){0};
        gr_error_set(&ret->error, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                     "The key \"%s\" does not name a module: expected [a-z0-9][a-z0-9._-]{0,63} "
                     "before /v2. Delete it and write the document under a valid name.",
                     shown);
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
