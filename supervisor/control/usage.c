// Reads /proc/PID/stat and counts /proc/PID/fd. Must not keep anything open.
#include "control/usage.h"
#include "base/macros.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Of the fields after the name, which may hold anything and is in brackets: state is the first.
enum { FIELD_THREADS = 17, FIELD_STARTED = 19, FIELD_RESIDENT = 21, FIELDS };

static int read_stat(int dir, char *text, size_t cap)
{
    GR_AUTO_CLOSE int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, cap - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

static int parse_stat(const char *text, uint64_t fields[FIELDS])
{
    const char *p = strrchr(text, ')');
    if (!p || p[1] != ' ' || !p[2])
        return -EPROTO;
    p += 3; // the state is a letter
    for (size_t i = 1; i < FIELDS; i++) {
        char *end;
        errno = 0;
        fields[i] =
            (uint64_t)strtoll(p, &end, 10); // some before those that are asked for are signed
        if (end == p || (errno && i >= FIELD_THREADS && i != FIELD_RESIDENT - 1))
            return -EPROTO;
        p = end;
    }
    return 0;
}

static int count_descriptors(int dir, uint64_t *ret)
{
    int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    uint64_t n = 0;
    for (const struct dirent *entry; (entry = readdir(d));)
        n += entry->d_name[0] != '.';
    closedir(d);
    *ret = n;
    return 0;
}

int gr_usage_read(pid_t pid, struct gr_usage *ret)
{
    char path[32], text[1024];
    uint64_t fields[FIELDS], descriptors = 0;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    GR_AUTO_CLOSE int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); // stays this process's
    int r = dir < 0 ? -errno : read_stat(dir, text, sizeof text);
    if (r == 0)
        r = parse_stat(text, fields);
    if (r == 0)
        r = count_descriptors(dir, &descriptors);
    if (r < 0)
        return r;
    *ret = (struct gr_usage){
        // when it was started, in ticks since the boot, beside its number: never both again
        .process = fields[FIELD_STARTED] << 22 | ((uint64_t)pid & 0x3fffff),
        .value = {[GR_RESOURCE_MEMORY] = fields[FIELD_RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE),
                  [GR_RESOURCE_DESCRIPTORS] = descriptors,
                  [GR_RESOURCE_THREADS] = fields[FIELD_THREADS]}};
    return 0;
}
