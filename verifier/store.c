// The content-addressed store: names, publishing, evidence.
#include "verifier/store.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "verifier/store-internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

int gr_store_name(const struct gr_store_key *k, char name[GR_STORE_NAME_MAX])
{
    char hex[17], copy[16] = "";
    if (k->copy)
        snprintf(copy, sizeof copy, ".%u", k->copy);
    int n = snprintf(name, GR_STORE_NAME_MAX, "%s-%s-%s%s" GR_STORE_SUFFIX, k->module->s,
                     k->version->text, gr_digest_short(k->digest, hex), copy);
    return (size_t)n < GR_STORE_NAME_MAX ? 0 : -ENAMETOOLONG;
}

static int sweep(int dir_fd)
{
    DIR *d;
    int r = gr_store_list(dir_fd, &d);
    if (r < 0)
        return r;
    for (struct dirent *de; r == 0 && (de = readdir(d));)
        if (strncmp(de->d_name, ".tmp-", 5) == 0) {
            r = gr_fs_unlink(dir_fd, de->d_name);
            // the writer of a supervisor that died has just given it its name; or nothing can be
            // written here, and what is there can be read
            if (r == -ENOENT || r == -EROFS)
                r = 0;
        }
    closedir(d);
    return r;
}

// A process that was killed may have made the directory, or a name in it, and not have come to its
// sync: what is found and taken for durable has to be so. What cannot be synced is served all the
// same; taking it for a new release syncs again, and fails with the reason.
static void make_lasting(const struct gr_store *s)
{
    GR_AUTO_CLOSE int parent = openat(s->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = gr_store_settle(s), k = parent < 0 ? 0 : gr_fs_sync_dir(parent);
    r = r < 0 ? r : k;
    if (r < 0 && r != -EROFS)
        gr_log(GR_LOG_WARNING, "what is in the store may not survive a power cut: %s",
               strerror(-r));
}

int gr_store_open(const char *dir, struct gr_store **ret, struct gr_error *e)
{
    struct gr_store *s = calloc(1, sizeof *s);
    if (!s)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for the store");
    s->dir_fd = -1;
    int r = (s->dir = strdup(dir)) ? gr_fs_mkdir_all(dir, 0755) : -ENOMEM;
    if (r == 0)
        r = gr_fs_open_dir(dir, &s->dir_fd);
    if (r == 0)
        r = sweep(s->dir_fd);
    if (r == 0)
        make_lasting(s);
    if (r < 0) {
        gr_store_close(s);
        return gr_error_set(e, r, GR_REASON_INTERNAL,
                            "the store %s cannot be opened: %s; make the directory writable for "
                            "the service",
                            dir, strerror(-r));
    }
    *ret = s;
    return 0;
}

void gr_store_close(struct gr_store *s)
{
    if (!s)
        return;
    gr_closep(&s->dir_fd);
    free(s->dir);
    free(s);
}

int gr_store_path(const struct gr_store *s, const struct gr_store_key *k, char **ret)
{
    char name[GR_STORE_NAME_MAX];
    int r = gr_store_name(k, name);
    if (r < 0)
        return r;
    return asprintf(ret, "%s/%s", s->dir, name) < 0 ? -ENOMEM : 0;
}

int gr_store_get(const struct gr_store *s, const struct gr_store_key *k, int *ret_fd)
{
    char name[GR_STORE_NAME_MAX];
    int r = gr_store_name(k, name);
    if (r < 0)
        return r;
    int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int gr_store_settle(const struct gr_store *s)
{
    int r = GR_FAULT("store.settle");
    return r < 0 ? r : gr_fs_sync_dir(s->dir_fd);
}

int gr_store_set_aside(const struct gr_store *s, const struct gr_store_key *k)
{
    char name[GR_STORE_NAME_MAX], aside[GR_STORE_NAME_MAX + sizeof GR_STORE_DAMAGED];
    int r = gr_store_name(k, name);
    if (r < 0)
        return r;
    snprintf(aside, sizeof aside, "%s" GR_STORE_DAMAGED, name);
    // an earlier damage of the same file tells as much as this one
    if (linkat(s->dir_fd, name, s->dir_fd, aside, 0) < 0 && errno != EEXIST)
        return -errno;
    return gr_fs_unlink(s->dir_fd, name);
}

// 1: the file's content has the digest of the key; 0: another.
static int holds(const struct gr_store_key *k, int fd)
{
    struct gr_digest d;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return 0;
    int r = gr_digest_fd(fd, &d, NULL);
    return r < 0 ? r : gr_digest_equal(&d, k->digest);
}

static int publish(const struct gr_store *s, const struct gr_store_key *k, const struct gr_bytes *b,
                   int *ret_fd)
{
    char name[GR_STORE_NAME_MAX];
    int r = gr_store_name(k, name);
    if (r == 0)
        r = GR_FAULT("store.write");
    if (r == 0)
        r = gr_fs_publish_fd(s->dir_fd, name, gr_bytes_fd(b), gr_bytes_size(b), 0444);
    if (r < 0 && r != -EEXIST)
        return r;
    GR_AUTO_CLOSE int fd = -1;
    r = gr_store_get(s, k, &fd);
    if (r == 0)
        r = holds(k, fd);
    if (r > 0)
        *ret_fd = gr_steal_fd(&fd);
    return r;
}

// The end of the disk is the journal's: going back must be journaled when nothing else fits any
// more.
int gr_store_check_room(const struct gr_store *s, const struct gr_store_key *k, uint64_t bytes,
                        struct gr_error *e)
{
    struct statvfs fs;
    if (fstatvfs(s->dir_fd, &fs) < 0) // then the writing itself will tell
        return 0;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes >= bytes + GR_STORE_MARGIN_BYTES)
        return 0;
    return gr_error_set_retryable(e, -ENOSPC, GR_REASON_DISK_FULL,
                                  "no room for module %s %s in the store %s: it has %" PRIu64
                                  " bytes, %" PRIu64 " are free there, and %u of them are kept for "
                                  "the journal; make room there, then write the key again",
                                  k->module->s, k->version->text, s->dir, bytes, free_bytes,
                                  GR_STORE_MARGIN_BYTES);
}

int gr_store_put(const struct gr_store *s, const struct gr_store_key *k, const struct gr_bytes *b,
                 int *ret_fd, struct gr_error *e)
{
    int r = gr_store_check_room(s, k, gr_bytes_size(b), e);
    if (r < 0)
        return r;
    r = publish(s, k, b, ret_fd);
    if (r == 0 || r == -ELOOP) { // somebody else's file, or a damaged one, has our name
        r = gr_store_set_aside(s, k);
        if (r == 0)
            r = publish(s, k, b, ret_fd);
        if (r == 0)
            r = -EIO;
    }
    return r > 0 ? 0 : gr_store_explain(s, k, r, e);
}

int gr_store_explain(const struct gr_store *s, const struct gr_store_key *k, int r,
                     struct gr_error *e)
{
    if (r == -ENOSPC || r == -EDQUOT)
        return gr_error_set_retryable(e, r, GR_REASON_DISK_FULL,
                                      "no room for module %s %s in the store %s: %s; make room "
                                      "there",
                                      k->module->s, k->version->text, s->dir, strerror(-r));
    return gr_error_set_retryable(e, r, GR_REASON_INTERNAL,
                                  "module %s %s cannot be written to the store %s: %s; look after "
                                  "its directory and disk",
                                  k->module->s, k->version->text, s->dir, strerror(-r));
}
