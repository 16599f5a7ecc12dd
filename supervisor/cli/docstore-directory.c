// Documents in a directory: read as the daemon reads them; each file is replaced atomically. A
// module that stands in a batch file
// ({"modules":{...}}) is changed there, because two documents of one name are refused. Other
// grayctls are kept out by a lock on the directory; an editor is not, so the comparison is only as
// good as the last read.
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/docstore.h"
#include "watchers/directory-read.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>

#define BATCH_BYTES_MAX (16 * GR_DOCUMENT_BYTES_MAX)

struct directory_store {
    struct gr_docstore base;
    char *path;
};

static int get(struct gr_docstore *base, struct gr_docstore_entry *entries, size_t n,
               struct gr_error *e)
{
    struct directory_store *s = (struct directory_store *)base;
    GR_CLEANUP(gr_snapshot_freep) struct gr_snapshot *all = NULL;
    int r = gr_directory_read(s->path, NULL, &all, e);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        const struct gr_entry *found = gr_snapshot_find(all, &entries[i].module);
        if (!found)
            continue;
        entries[i].present = true;
        entries[i].revision = found->mod_revision;
        entries[i].value = strdup(found->value ? found->value : "");
        if (!entries[i].value)
            r = gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    }
    return r;
}

static int cannot_write(const struct directory_store *s, const char *file, int r,
                        struct gr_error *e)
{
    return gr_error_set(
        e, r, GR_REASON_INTERNAL,
        "cannot write %s/%.255s: %s; check the permissions of the directory and the space left",
        s->path, file, strerror(-r));
}

// The batch file that names the module, parsed; 0: there is none.
static int find_batch(int dir_fd, const struct gr_name *module, char file[NAME_MAX + 1],
                      cJSON **ret)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *d;
    int found = 0;
    while (dir && !found && (d = readdir(dir))) {
        GR_AUTO_BUF struct gr_buf bytes = GR_BUF(BATCH_BYTES_MAX);
        GR_AUTO_JSON cJSON *doc = NULL;
        if (!gr_directory_is_document(d->d_name) || gr_fs_read(dir_fd, d->d_name, &bytes) < 0 ||
            !bytes.len || gr_json_parse(bytes.data, bytes.len, BATCH_BYTES_MAX, &doc, NULL) < 0)
            continue;
        if (gr_json_get(gr_json_get(doc, "modules"), module->s)) {
            strcpy(file, d->d_name);
            *ret = gr_steal(doc);
            found = 1;
        }
    }
    if (dir)
        closedir(dir);
    return found;
}

static int write_one(const struct directory_store *s, int dir_fd,
                     const struct gr_docstore_change *c, struct gr_error *e)
{
    char file[NAME_MAX + 1];
    GR_AUTO_JSON cJSON *batch = NULL;
    GR_AUTO_FREE char *text = NULL;
    if (find_batch(dir_fd, &c->module, file, &batch)) {
        cJSON *document = cJSON_Parse(c->value); // our own text
        if (!document ||
            !cJSON_ReplaceItemInObjectCaseSensitive(
                cJSON_GetObjectItemCaseSensitive(batch, "modules"), c->module.s, document)) {
            cJSON_Delete(document);
            return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
        }
        text = gr_json_format_pretty(batch);
    } else {
        snprintf(file, sizeof file, "%s.json", c->module.s);
        text = strdup(c->value);
    }
    int r = text ? gr_fs_write_atomic(dir_fd, file, text, strlen(text), 0644) : -ENOMEM;
    return r < 0 ? cannot_write(s, file, r, e) : 0;
}

static int check_unchanged(struct gr_docstore *base, const struct gr_docstore_change *changes,
                           size_t n, struct gr_error *e)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        GR_CLEANUP(gr_docstore_entry_done)
        struct gr_docstore_entry now = {.module = changes[i].module};
        r = get(base, &now, 1, e);
        if (r >= 0 && now.revision != changes[i].expected)
            r = gr_docstore_conflict(&now, changes[i].expected, e);
    }
    return r;
}

static int put(struct gr_docstore *base, const struct gr_docstore_change *changes, size_t n,
               int64_t *ret_revision, struct gr_error *e)
{
    struct directory_store *s = (struct directory_store *)base;
    GR_AUTO_CLOSE int dir_fd = -1;
    int r = gr_fs_open_dir(s->path, &dir_fd);
    if (r >= 0 && flock(dir_fd, LOCK_EX) < 0)
        r = -errno;
    if (r < 0)
        return cannot_write(s, "", r, e);
    r = check_unchanged(base, changes, n, e);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = write_one(s, dir_fd, &changes[i], e);
    int64_t newest = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        GR_CLEANUP(gr_docstore_entry_done)
        struct gr_docstore_entry now = {.module = changes[i].module};
        r = get(base, &now, 1, e);
        newest = now.revision > newest ? now.revision : newest;
    }
    if (r >= 0)
        *ret_revision = newest;
    return r;
}

static void free_store(struct gr_docstore *base)
{
    struct directory_store *s = (struct directory_store *)base;
    free(s->path);
    free(s);
}

static const struct gr_docstore_ops ops_of_directory = {get, put, free_store};

int gr_docstore_directory_new(const char *path, struct gr_docstore **ret, struct gr_error *e)
{
    struct directory_store *s = calloc(1, sizeof *s);
    char *copy = s ? strdup(path) : NULL;
    if (!copy) {
        free(s);
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    }
    s->base.ops = &ops_of_directory;
    s->path = copy;
    snprintf(s->base.place, sizeof s->base.place, "directory %.240s", path);
    *ret = &s->base;
    return 0;
}
