// What the store may forget: per module the oldest files beyond the count, never one that somebody
// needs.
#include "base/fs.h"
#include "base/limits.h"
#include "verifier/store-internal.h"
#include "verifier/store.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert(GR_STORE_COPIES_MAX <= 10, "a copy's number is one digit in its name");

struct entry {
    char name[GR_STORE_NAME_MAX];
    size_t module_len; // of the module in the name
    struct timespec written;
};
struct listing {
    struct entry *entries;
    size_t n;
};

int gr_store_list(int dir_fd, DIR **ret)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *d = fdopendir(fd);
    if (!d) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret = d;
    return 0;
}

// The 16 hex of "<stem>-<16 hex>.so" or "<stem>-<16 hex>.<digit>.so"; NULL: neither.
static const char *find_hex(const char *name)
{
    size_t len = strlen(name), suffix = strlen(GR_STORE_SUFFIX);
    if (len < suffix || len >= GR_STORE_NAME_MAX || strcmp(name + len - suffix, GR_STORE_SUFFIX))
        return NULL;
    len -= suffix;
    if (len > 2 && name[len - 2] == '.' && name[len - 1] > '0' && name[len - 1] <= '9')
        len -= 2;
    if (len <= 17 || name[len - 17] != '-' || strspn(name + len - 16, "0123456789abcdef") != 16)
        return NULL;
    return name + len - 16;
}

// Takes a name of the store apart. A module called "a-1.0.0" is counted with "a": its files are
// merely kept a little shorter.
static bool parse_name(const char *name, size_t *ret_module_len)
{
    const char *hex = find_hex(name);
    if (!hex)
        return false;
    char stem[GR_STORE_NAME_MAX];
    size_t len = (size_t)(hex - 1 - name);
    memcpy(stem, name, len);
    stem[len] = '\0';
    for (char *dash = strchr(stem, '-'); dash; dash = strchr(dash + 1, '-')) {
        struct gr_version v;
        if (gr_version_parse(dash + 1, &v) == 0) {
            *ret_module_len = (size_t)(dash - stem);
            return true;
        }
    }
    return false;
}

// A digest that is needed keeps its copies: one of them may be what a worker has mapped.
static bool kept(const char *name, const struct gr_digest *keep, size_t n_keep)
{
    const char *hex = find_hex(name);
    char wanted[17];
    for (size_t i = 0; hex && i < n_keep; i++)
        if (memcmp(gr_digest_short(&keep[i], wanted), hex, 16) == 0)
            return true;
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static int add(struct listing *l, int dir_fd, const char *name, size_t module_len)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    struct entry *grown = reallocarray(l->entries, l->n + 1, sizeof *grown);
    if (!grown)
        return -ENOMEM;
    l->entries = grown;
    struct entry *new = &grown[l->n++];
    *new = (struct entry){.module_len = module_len, .written = st.st_mtim};
    memcpy(new->name, name, strlen(name) + 1);
    return 0;
}

// Evidence of damage is counted like a module of its own, with an empty name.
static int list(const struct gr_store *s, const struct gr_digest *keep, size_t n_keep,
                struct listing *l)
{
    DIR *d = NULL;
    int r = gr_store_list(s->dir_fd, &d);
    if (r < 0)
        return r;
    for (struct dirent *de; r == 0 && (de = readdir(d));) {
        size_t module_len = 0;
        bool damaged = ends_with(de->d_name, GR_STORE_DAMAGED);
        if (damaged && strlen(de->d_name) < GR_STORE_NAME_MAX)
            r = add(l, s->dir_fd, de->d_name, 0);
        else if (parse_name(de->d_name, &module_len) && !kept(de->d_name, keep, n_keep))
            r = add(l, s->dir_fd, de->d_name, module_len);
    }
    closedir(d);
    return r;
}

static int by_module_then_newest(const void *a_, const void *b_)
{
    const struct entry *a = a_, *b = b_;
    if (a->module_len != b->module_len)
        return a->module_len < b->module_len ? -1 : 1;
    int r = strncmp(a->name, b->name, a->module_len);
    if (r)
        return r;
    if (a->written.tv_sec != b->written.tv_sec)
        return a->written.tv_sec > b->written.tv_sec ? -1 : 1;
    if (a->written.tv_nsec != b->written.tv_nsec)
        return a->written.tv_nsec > b->written.tv_nsec ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool same_module(const struct entry *a, const struct entry *b)
{
    return a->module_len == b->module_len && strncmp(a->name, b->name, a->module_len) == 0;
}

int gr_store_collect(const struct gr_store *s, const struct gr_digest *keep, size_t n_keep)
{
    struct listing l = {0};
    int r = list(s, keep, n_keep, &l), removed = 0;
    if (r == 0 && l.n)
        qsort(l.entries, l.n, sizeof *l.entries, by_module_then_newest);
    size_t rank = 0;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        rank = i && same_module(&l.entries[i - 1], &l.entries[i]) ? rank + 1 : 0;
        if (rank < GR_STORE_KEEP_COUNT)
            continue;
        r = gr_fs_unlink(s->dir_fd, l.entries[i].name);
        removed += r == 0;
    }
    free(l.entries);
    return r < 0 ? r : removed;
}
