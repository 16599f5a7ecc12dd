// Reads, checks, compares and writes documents.
#include "cli/document.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/input.h"
#include "state/desired.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FILE_BYTES_MAX (16 * GR_DOCUMENT_BYTES_MAX)

void gr_documents_done(struct gr_documents *d)
{
    for (size_t i = 0; i < d->n; i++) {
        cJSON_Delete(d->items[i].json);
        gr_docstore_entry_done(&d->items[i].now);
    }
    free(d->items);
    *d = (struct gr_documents){0};
}

static int no_memory(struct gr_error *e)
{
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

int gr_documents_add(struct gr_documents *d, const struct gr_name *module, cJSON *take,
                     struct gr_error *e)
{
    GR_AUTO_JSON cJSON *json = take;
    GR_AUTO_FREE char *text = json ? gr_json_format(json) : NULL;
    GR_CLEANUP(gr_desired_freep) struct gr_desired *checked = NULL;
    if (!text)
        return no_memory(e);
    for (size_t i = 0; i < d->n; i++)
        if (gr_name_equal(&d->items[i].module, module))
            return gr_error_set(e, -EEXIST, GR_REASON_DOCUMENT_INVALID,
                                "two documents are for %s; expected one", module->s);
    int r = gr_desired_parse(module, 0, text, strlen(text), &checked, e);
    if (r < 0) {
        gr_error_wrap(e, "%s", module->s);
        return r;
    }
    struct gr_document *more = reallocarray(d->items, d->n + 1, sizeof *more);
    if (!more)
        return no_memory(e);
    d->items = more;
    d->items[d->n++] = (struct gr_document){.module = *module, .json = gr_steal(json)};
    return 0;
}

// --- files
// -------------------------------------------------------------------------------------------------------------

// "pay" from "/some/where/pay.json". Fails: -EINVAL.
static int name_from_file(const char *file, struct gr_name *ret, struct gr_error *e)
{
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    size_t len = strlen(base);
    if (len > 5 && !strcmp(base + len - 5, ".json"))
        len -= 5;
    if (strcmp(file, "-") && gr_name_parse(base, len, ret) >= 0)
        return 0;
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s does not say for which module it is; add \"module\": \"NAME\" or name "
                        "the file NAME.json",
                        file);
}

static int add_single(struct gr_documents *d, const char *file, cJSON *take, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *json = take;
    struct gr_name module;
    GR_AUTO_JSON cJSON *name = cJSON_DetachItemFromObjectCaseSensitive(json, "module");
    int r = 0;
    if (name && (!cJSON_IsString(name) ||
                 gr_name_parse(name->valuestring, strlen(name->valuestring), &module) < 0))
        r = gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "%s: module: expected a name, [a-z0-9][a-z0-9._-]{0,63}", file);
    else if (!name)
        r = name_from_file(file, &module, e);
    return r < 0 ? r : gr_documents_add(d, &module, gr_steal(json), e);
}

static int add_batch(struct gr_documents *d, const char *file, cJSON *modules, struct gr_error *e)
{
    while (modules->child) {
        struct gr_name module;
        cJSON *one = cJSON_DetachItemViaPointer(modules, modules->child);
        if (gr_name_parse(one->string, strlen(one->string), &module) < 0) {
            gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                         "%s: modules: \"%.64s\" is not a name, [a-z0-9][a-z0-9._-]{0,63}", file,
                         one->string);
            cJSON_Delete(one);
            return -EINVAL;
        }
        int r = gr_documents_add(d, &module, one, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int gr_documents_read(struct gr_documents *d, const char *file, struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf bytes = GR_BUF(FILE_BYTES_MAX);
    GR_AUTO_JSON cJSON *json = NULL;
    int r = gr_input_read(file, &bytes, e);
    if (r < 0)
        return r;
    r = gr_json_parse(bytes.len ? bytes.data : "", bytes.len, FILE_BYTES_MAX, &json, e);
    if (r < 0) {
        gr_error_wrap(e, "%s", file);
        return r;
    }
    cJSON *modules = cJSON_GetObjectItemCaseSensitive(json, "modules");
    if (cJSON_IsObject(modules) && cJSON_GetArraySize(json) == 1)
        r = add_batch(d, file, modules, e);
    else
        r = add_single(d, file, gr_steal(json), e);
    return r;
}

int gr_document_sign(struct gr_document *d, const char *actor, const char *reason,
                     struct gr_error *e)
{
    bool ok = true;
    if (actor && !gr_json_get(d->json, "actor"))
        ok = cJSON_AddStringToObject(d->json, "actor", actor);
    if (ok && reason) {
        cJSON_DeleteItemFromObjectCaseSensitive(d->json, "reason");
        ok = cJSON_AddStringToObject(d->json, "reason", reason);
    }
    return ok ? 0 : no_memory(e);
}

// --- comparison
// --------------------------------------------------------------------------------------------------------

static bool is_about_the_writer(const cJSON *field)
{
    return !strcmp(field->string, "actor") || !strcmp(field->string, "reason");
}

static bool has_all_of(const cJSON *a, const cJSON *b) // every field of a is the same in b
{
    const cJSON *field;
    cJSON_ArrayForEach(field, a)
    {
        const cJSON *other = gr_json_get(b, field->string);
        if (!is_about_the_writer(field) && (!other || !cJSON_Compare(field, other, true)))
            return false;
    }
    return true;
}

int gr_documents_compare(struct gr_documents *d, struct gr_docstore *s, int64_t if_revision,
                         struct gr_error *e)
{
    GR_AUTO_FREE struct gr_docstore_entry *entries = calloc(d->n + 1, sizeof *entries);
    if (!entries)
        return no_memory(e);
    for (size_t i = 0; i < d->n; i++)
        entries[i].module = d->items[i].module;
    int r = gr_docstore_get(s, entries, d->n, e);
    for (size_t i = 0; i < d->n; i++)
        d->items[i].now = entries[i];
    for (size_t i = 0; r >= 0 && i < d->n; i++) {
        struct gr_document *one = &d->items[i];
        GR_AUTO_JSON cJSON *before =
            one->now.value ? cJSON_Parse(one->now.value) : NULL; // only compared
        one->changed = !before || !has_all_of(before, one->json) || !has_all_of(one->json, before);
        if (if_revision >= 0 && one->now.revision > if_revision)
            r = gr_docstore_conflict(&one->now, if_revision, e);
    }
    return r;
}

static void print_change(FILE *to, const char *name, const cJSON *before, const cJSON *after)
{
    GR_AUTO_FREE char *old = before ? gr_json_format(before) : NULL,
                      *new = after ? gr_json_format(after) : NULL;
    fprintf(to, "  %s: %s -> %s\n", name, old ? old : "(none)", new ? new : "(none)");
}

void gr_document_print_diff(FILE *to, const cJSON *before, const cJSON *after)
{
    const cJSON *field;
    cJSON_ArrayForEach(field, after)
    {
        const cJSON *other = gr_json_get(before, field->string);
        if (!other || !cJSON_Compare(field, other, true))
            print_change(to, field->string, other, field);
    }
    cJSON_ArrayForEach(field, before)
    {
        if (!gr_json_get(after, field->string))
            print_change(to, field->string, field, NULL);
    }
}

static void changes_done(struct gr_docstore_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(changes[i].value);
    free(changes);
}

int gr_documents_write(struct gr_documents *d, struct gr_docstore *s, int64_t *ret_revision,
                       struct gr_error *e)
{
    struct gr_docstore_change *changes = calloc(d->n + 1, sizeof *changes);
    size_t n = 0;
    int r = changes ? 0 : no_memory(e);
    *ret_revision = 0;
    for (size_t i = 0; r >= 0 && i < d->n; i++) {
        const struct gr_document *one = &d->items[i];
        if (!one->changed)
            continue;
        char *text = gr_json_format_pretty(one->json);
        if (!text)
            r = no_memory(e);
        else
            changes[n++] = (struct gr_docstore_change){one->module, one->now.revision, text};
    }
    if (r >= 0 && n)
        r = gr_docstore_put(s, changes, n, ret_revision, e);
    if (changes)
        changes_done(changes, n);
    return r;
}
