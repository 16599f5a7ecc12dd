// Is the store what it was written as: whose it is, who may write it, and whether the content of
// each file has the digest that its name says.
#include "base/digest.h"
#include "cli/doctor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS 16          // of a digest, in a file's name
#define FILES_READ_MAX 512 // far more than the store keeps

struct look {
    struct gr_doctor *d;
    const char *path;
    int dir;
    unsigned whole, damaged, aside;
};

// "pay-1.0.0-<16 digits>.so", "pay-1.0.0-<16 digits>.3.so": the digits. NULL: not a file of it.
static const char *digits_of(const char *name)
{
    size_t len = strlen(name);
    if (len < DIGITS + strlen(".so") || strcmp(name + len - strlen(".so"), ".so") != 0)
        return NULL;
    const char *dash = strrchr(name, '-');
    return dash && strspn(dash + 1, "0123456789abcdef") == DIGITS && dash[1 + DIGITS] == '.'
               ? dash + 1
               : NULL;
}

static void look_at(struct look *l, const char *name)
{
    char short_form[DIGITS + 1];
    struct gr_digest digest;
    uint64_t bytes;
    const char *digits = digits_of(name);
    size_t len = strlen(name), end = strlen(".damaged");
    if (len > end && !strcmp(name + len - end, ".damaged"))
        l->aside++;
    if (!digits || l->whole + l->damaged >= FILES_READ_MAX)
        return;
    GR_AUTO_CLOSE int fd = openat(l->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? -errno : gr_digest_fd(fd, &digest, &bytes);
    if (r == -ENOENT) // collected meanwhile
        return;
    bool same = r >= 0 && !strncmp(gr_digest_short(&digest, short_form), digits, DIGITS);
    l->whole += same;
    l->damaged += !same;
    if (r < 0)
        gr_doctor_add(l->d, GR_HEALTH_FAIL, "store",
                      "%s/%s cannot be read: %s; run doctor as root or as the service's user, else "
                      "look at the disk",
                      l->path, name, strerror(-r));
    else if (!same)
        gr_doctor_add(l->d, GR_HEALTH_FAIL, "store",
                      "%s/%s was changed after it was verified: its content has the digest %s, "
                      "expected %.16s as in its name. Look at the disk and at who was root here; "
                      "grayctl worker replace sets it aside and fetches it again",
                      l->path, name, short_form, digits);
}

static void look_at_files(struct look *l)
{
    GR_AUTO_CLOSE int fd = open(l->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
    if (!dir) {
        gr_doctor_add(l->d, GR_HEALTH_WARN, "store",
                      "%s cannot be read: %s; run doctor as root or as the service's user", l->path,
                      strerror(errno));
        return;
    }
    l->dir = fd;
    for (struct dirent *de; (de = readdir(dir));)
        look_at(l, de->d_name);
    closedir(dir);
    if (l->aside)
        gr_doctor_add(l->d, GR_HEALTH_WARN, "store",
                      "%u files of %s were found changed and set aside (.damaged): look at the "
                      "disk, then remove them",
                      l->aside, l->path);
    if (!l->damaged)
        gr_doctor_add(l->d, GR_HEALTH_OK, "store", "%s, %u files as their names say", l->path,
                      l->whole);
}

void gr_doctor_check_store(struct gr_doctor *d, const char *state_dir)
{
    GR_AUTO_FREE char *path = NULL;
    struct stat st, above;
    if (asprintf(&path, "%s/store", state_dir) < 0) {
        path = NULL;
        return;
    }
    if (stat(path, &st) < 0) {
        gr_doctor_add(d, GR_HEALTH_WARN, "store", "%s: %s; it is made at the first start", path,
                      strerror(errno));
        return;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        gr_doctor_add(d, GR_HEALTH_FAIL, "store", "%s can be written by others: chmod 0755 %s",
                      path, path);
    if (stat(state_dir, &above) == 0 && st.st_uid != above.st_uid)
        gr_doctor_add(d, GR_HEALTH_FAIL, "store",
                      "%s belongs to uid %u, expected %u as the state directory does: chown -R %u "
                      "%s",
                      path, (unsigned)st.st_uid, (unsigned)above.st_uid, (unsigned)above.st_uid,
                      path);
    struct look l = {.d = d, .path = path};
    look_at_files(&l);
}
