// See directory-read.h. Revisions come from ctime (microseconds): it goes forward also when
// somebody copies or renames an old file here, and it is the same after a restart. What changed in
// one file has one revision, and no two files share one: a file is what a transaction is in etcd.
// Where the clock is too coarse, the revision is raised by one.
#include "watchers/directory-read.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".json"
#define SUFFIX_LEN (sizeof SUFFIX - 1)
#define BATCH_BYTES_MAX (16 * GR_DOCUMENT_BYTES_MAX)

struct reading {
    const char *path;
    const struct gr_snapshot *previous;
    struct gr_snapshot *now;
    struct gr_error *e;
};

bool gr_directory_is_document(const char *file)
{
    size_t len = strlen(file);
    return file[0] != '.' && len > SUFFIX_LEN && !strcmp(file + len - SUFFIX_LEN, SUFFIX);
}

static int64_t usec_of(struct timespec t)
{
    return (int64_t)t.tv_sec * (int64_t)GR_USEC_PER_SEC + t.tv_nsec / 1000;
}

static bool has_same_bytes(const struct gr_entry *a, const struct gr_entry *b)
{
    if (!a->value || !b->value)
        return !a->value && !b->value && !strcmp(a->error.message, b->error.message);
    return a->value_len == b->value_len && !memcmp(a->value, b->value, a->value_len);
}

static int out_of_memory(const struct reading *r)
{
    return gr_error_set_retryable(r->e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
}

// The entry of a module; borrowed. A second one of the same name spoils the first: neither may win
// by chance.
static int add_entry(const struct reading *r, const char *file, const char *name, size_t len,
                     struct gr_entry **ret)
{
    struct gr_name module = {0};
    bool valid = gr_name_parse(name, len, &module) >= 0;
    for (size_t i = 0; valid && i < r->now->n; i++) {
        struct gr_entry *other = &r->now->entries[i];
        if (!gr_name_equal(&other->module, &module))
            continue;
        gr_entry_done(other);
        gr_error_set(&other->error, -EEXIST, GR_REASON_DOCUMENT_INVALID,
                     "Module \"%s\" has more than one document in %s, one of them in %.100s. Keep "
                     "one.",
                     module.s, r->path, file);
        return 0;
    }
    if (r->now->n == GR_MODULES_MAX)
        return gr_error_set(r->e, -E2BIG, GR_REASON_TOO_LARGE,
                            "There are more than %d documents in %s. Split the service, or remove "
                            "those that are not needed.",
                            GR_MODULES_MAX, r->path);
    struct gr_entry *entry = gr_snapshot_add(r->now);
    if (!entry)
        return out_of_memory(r);
    snprintf(entry->origin, sizeof entry->origin, "%s", file);
    if (valid)
        entry->module = module;
    else
        gr_error_set(&entry->error, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                     "\"%.*s\" in %s/%.100s does not name a module: expected "
                     "[a-z0-9][a-z0-9._-]{0,63}. Rename it.",
                     (int)(len < 100 ? len : 100), name, r->path, file);
    *ret = entry;
    return 1;
}

static int add_document(const struct reading *r, const char *file, const char *name,
                        size_t name_len, char *take_value, size_t len, int64_t changed)
{
    GR_AUTO_FREE char *value = take_value;
    struct gr_entry *entry;
    int n = add_entry(r, file, name, name_len, &entry);
    if (n <= 0)
        return n;
    if (!entry->error.reason && len > GR_DOCUMENT_BYTES_MAX)
        gr_error_set(&entry->error, -E2BIG, GR_REASON_TOO_LARGE,
                     "The document of \"%s\" in %s/%.100s has %zu bytes; at most %u are taken. "
                     "Move bulk configuration into the artifact.",
                     entry->module.s, r->path, file, len, GR_DOCUMENT_BYTES_MAX);
    if (!entry->error.reason) {
        entry->value = gr_steal(value);
        entry->value_len = len;
    }
    entry->mod_revision = entry->create_revision = changed;
    return 0;
}

static int add_batch(const struct reading *r, const char *file, const cJSON *modules,
                     int64_t changed)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, modules)
    {
        char *value = gr_json_format(item);
        if (!value)
            return out_of_memory(r);
        int n = add_document(r, file, item->string, strlen(item->string), value, strlen(value),
                             changed);
        if (n < 0)
            return n;
    }
    return 0;
}

static int add_unreadable(const struct reading *r, const char *file, int code, int64_t changed)
{
    struct gr_entry *entry;
    int n = add_entry(r, file, file, strlen(file) - SUFFIX_LEN, &entry);
    if (n <= 0)
        return n;
    if (!entry->error.reason)
        gr_error_set(&entry->error, code,
                     code == -E2BIG ? GR_REASON_TOO_LARGE : GR_REASON_DOCUMENT_INVALID,
                     "The document %s/%.100s cannot be read: %s. Make it a regular file (no link) "
                     "of at most %u bytes that the service may read.",
                     r->path, file, strerror(-code), BATCH_BYTES_MAX);
    entry->mod_revision = entry->create_revision = changed;
    return 0;
}

// {"modules": {...}} and nothing beside it; anything else is one document and judged by its
// decoder.
static const cJSON *batch_of(const cJSON *doc)
{
    const cJSON *modules = gr_json_get(doc, "modules");
    return cJSON_IsObject(modules) && cJSON_GetArraySize(doc) == 1 ? modules : NULL;
}

static int read_file(const struct reading *r, int dir_fd, const char *file)
{
    struct stat st;
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : add_unreadable(r, file, -errno, 0);
    int64_t changed = usec_of(st.st_ctim);
    if (!S_ISREG(st.st_mode))
        return add_unreadable(r, file, S_ISLNK(st.st_mode) ? -ELOOP : -EINVAL, changed);
    GR_AUTO_BUF struct gr_buf bytes = GR_BUF(BATCH_BYTES_MAX);
    int n = gr_fs_read(dir_fd, file, &bytes);
    if (n == -ENOENT)
        return 0;
    if (n < 0)
        return add_unreadable(r, file, n, changed);
    GR_AUTO_JSON cJSON *doc = NULL;
    const char *text = bytes.len ? bytes.data : "";
    n = gr_json_parse(text, bytes.len, BATCH_BYTES_MAX, &doc, NULL);
    const cJSON *modules = n >= 0 ? batch_of(doc) : NULL;
    if (modules)
        return add_batch(r, file, modules, changed);
    size_t len = bytes.len;
    char *value = len ? gr_buf_take(&bytes, &len) : strdup("");
    if (!value)
        return out_of_memory(r);
    return add_document(r, file, file, strlen(file) - SUFFIX_LEN, value, len, changed);
}

static int read_all(const struct reading *r, DIR *dir)
{
    struct dirent *d;
    while ((errno = 0, d = readdir(dir))) {
        if (!gr_directory_is_document(d->d_name))
            continue;
        int n = read_file(r, dirfd(dir), d->d_name);
        if (n < 0)
            return n;
    }
    if (errno)
        return gr_error_set_retryable(r->e, -errno, GR_REASON_SOURCE_UNREACHABLE,
                                      "The directory %s cannot be listed: %s.", r->path,
                                      strerror(errno));
    return 0;
}

// --- revisions
// ------------------------------------------------------------------------------------------------

struct change { // what one file brings that is new
    const char *file;
    int64_t revision; // its ctime, then what it is called
};
struct changes {
    size_t n;
    struct change *list;
};

static const struct gr_entry *find_before(const struct reading *r, const struct gr_entry *entry)
{
    return r->previous && entry->module.s[0] ? gr_snapshot_find(r->previous, &entry->module) : NULL;
}

static bool is_changed(const struct reading *r, const struct gr_entry *entry)
{
    const struct gr_entry *before = find_before(r, entry);
    return !before || !has_same_bytes(before, entry);
}

static struct change *find_change(struct changes *c, const char *file)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->list[i].file, file) == 0)
            return &c->list[i];
    return NULL;
}

static void note_change(struct changes *c, const char *file, int64_t revision)
{
    struct change *known = find_change(c, file);
    if (!known)
        c->list[c->n++] = (struct change){.file = file, .revision = revision};
    else if (revision > known->revision)
        known->revision = revision;
}

// Unchanged documents keep their revision; the others are noted with the least that theirs can be.
static void note_changed_documents(const struct reading *r, struct changes *c)
{
    for (size_t i = 0; i < r->now->n; i++) {
        struct gr_entry *entry = &r->now->entries[i];
        const struct gr_entry *before = find_before(r, entry);
        int64_t least = entry->mod_revision;
        if (!is_changed(r, entry)) {
            entry->mod_revision = before->mod_revision;
            entry->create_revision = before->create_revision;
            continue;
        }
        if (before && least <= before->mod_revision)
            least = before->mod_revision + 1;
        note_change(c, entry->origin, least);
    }
}

static bool is_gone(const struct reading *r, const struct gr_entry *before)
{
    return before->module.s[0] && !gr_snapshot_find(r->now, &before->module);
}

// A document that left a batch goes with the rest of that file; a file that left is a change of the
// directory.
static void note_gone_documents(const struct reading *r, struct changes *c, int64_t dir_changed)
{
    for (size_t i = 0; r->previous && i < r->previous->n; i++) {
        const struct gr_entry *before = &r->previous->entries[i];
        int64_t least =
            dir_changed > r->previous->revision ? dir_changed : r->previous->revision + 1;
        if (is_gone(r, before))
            note_change(c, before->origin, find_change(c, before->origin) ? 0 : least);
    }
}

static int by_revision_and_file(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->revision != y->revision)
        return x->revision < y->revision ? -1 : 1;
    return strcmp(x->file, y->file);
}

static void give_revisions(const struct reading *r, struct changes *c)
{
    if (c->n)
        qsort(c->list, c->n, sizeof *c->list, by_revision_and_file);
    for (size_t i = 1; i < c->n; i++)
        if (c->list[i].revision <= c->list[i - 1].revision)
            c->list[i].revision = c->list[i - 1].revision + 1;
    for (size_t i = 0; i < r->now->n; i++) {
        struct gr_entry *entry = &r->now->entries[i];
        const struct gr_entry *before = find_before(r, entry);
        if (!is_changed(r, entry))
            continue;
        entry->mod_revision = find_change(c, entry->origin)->revision;
        entry->create_revision = before ? before->create_revision : entry->mod_revision;
    }
    for (size_t i = 0; r->previous && i < r->previous->n; i++) {
        const struct gr_entry *before = &r->previous->entries[i];
        if (is_gone(r, before))
            gr_snapshot_note_gone(r->now, &before->module,
                                  find_change(c, before->origin)->revision);
    }
}

static int set_revisions(const struct reading *r, int64_t dir_changed)
{
    size_t most = r->now->n + (r->previous ? r->previous->n : 0) + 1;
    GR_AUTO_FREE struct change *list = calloc(most, sizeof *list);
    struct changes c = {.list = list};
    if (!list)
        return out_of_memory(r);
    if (r->previous)
        gr_snapshot_inherit_gone(r->now, r->previous);
    note_changed_documents(r, &c);
    note_gone_documents(r, &c, dir_changed);
    give_revisions(r, &c);
    return 0;
}

static int64_t revision_of(const struct reading *r, const struct stat *dir)
{
    int64_t revision = usec_of(dir->st_ctim);
    for (size_t i = 0; i < r->now->n; i++)
        if (r->now->entries[i].mod_revision > revision)
            revision = r->now->entries[i].mod_revision;
    for (size_t i = 0; i < r->now->n_gone; i++)
        if (r->now->gone[i].revision > revision)
            revision = r->now->gone[i].revision;
    if (!r->previous || revision > r->previous->revision)
        return revision;
    return r->previous->revision + (gr_snapshot_same(r->previous, r->now) ? 0 : 1);
}

int gr_directory_read(const char *path, const struct gr_snapshot *previous,
                      struct gr_snapshot **ret, struct gr_error *e)
{
    int fd;
    struct stat st;
    int n = gr_fs_open_dir(path, &fd);
    DIR *dir = n >= 0 ? fdopendir(fd) : NULL;
    if (!dir || fstat(fd, &st) < 0) {
        n = n < 0 ? n : -errno;
        if (dir)
            closedir(dir);
        return gr_error_set_retryable(e, n, GR_REASON_SOURCE_UNREACHABLE,
                                      "The directory %s cannot be read: %s. The last good state "
                                      "stays in force. Create it, or name another in [Source] "
                                      "Directory.",
                                      path, strerror(-n));
    }
    GR_CLEANUP(gr_snapshot_freep) struct gr_snapshot *now = calloc(1, sizeof *now);
    struct reading r = {.path = path, .previous = previous, .now = now, .e = e};
    n = now ? read_all(&r, dir) : out_of_memory(&r);
    closedir(dir);
    if (n < 0)
        return n;
    gr_snapshot_sort(now);
    n = set_revisions(&r, usec_of(st.st_ctim));
    if (n < 0)
        return n;
    now->revision = revision_of(&r, &st);
    *ret = gr_steal(now);
    return 0;
}
