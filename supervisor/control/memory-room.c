// Reads /proc/PID/statm, /proc/PID/cgroup, prlimit(2) and the groups' memory.max, memory.current
// and memory.stat. Must not keep anything open, nor decide what too much is.
#include "control/memory-room.h"
#include "base/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define TEXT_BYTES 8192 // memory.stat has some 1,500

static int read_text(const char *path, char *text)
{
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_BYTES - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

// Keeps the limit that is the nearest.
static void consider(struct gr_memory_room *ret, uint64_t used, uint64_t limit, const char *of,
                     const char *name)
{
    uint64_t share = limit == 0 ? UINT32_MAX : (uint64_t)((double)used * 10000 / (double)limit);
    unsigned permyriad = share < UINT32_MAX ? (unsigned)share : UINT32_MAX;
    if (ret->limit_bytes && permyriad <= ret->permyriad)
        return;
    *ret = (struct gr_memory_room){
        .used_bytes = used, .limit_bytes = limit ? limit : 1, .permyriad = permyriad};
    snprintf(ret->of, sizeof ret->of, "%s%.90s", of, name);
}

// --- the process
// ----------------------------------------------------------------------------------

struct statm { // bytes
    uint64_t size, resident, data;
};

static int read_statm(pid_t pid, struct statm *ret)
{
    char path[48], text[TEXT_BYTES];
    uint64_t pages[6], page = (uint64_t)sysconf(_SC_PAGESIZE);
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    int r = read_text(path, text);
    if (r < 0)
        return r;
    char *p = text;
    for (size_t i = 0; i < GR_COUNT(pages); i++) {
        char *end;
        pages[i] = strtoull(p, &end, 10);
        if (end == p)
            return -EPROTO;
        p = end;
    }
    *ret = (struct statm){pages[0] * page, pages[1] * page, pages[5] * page};
    return 0;
}

static void consider_own(struct gr_memory_room *ret, pid_t pid, const struct statm *m)
{
    struct rlimit l;
    if (prlimit(pid, RLIMIT_DATA, NULL, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
        consider(ret, m->data, l.rlim_cur, "LimitDATA= of the worker", "");
    if (prlimit(pid, RLIMIT_AS, NULL, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
        consider(ret, m->size, l.rlim_cur, "LimitAS= of the worker", "");
}

// --- its groups
// -----------------------------------------------------------------------------------

// false: the file is not there, or says "max".
static bool read_number(const char *cgroups, const char *group, const char *file, uint64_t *ret)
{
    char path[4352], text[TEXT_BYTES], *end;
    snprintf(path, sizeof path, "%s%s/%s", cgroups, group, file);
    if (read_text(path, text) < 0)
        return false;
    *ret = strtoull(text, &end, 10);
    return end != text && (*end == '\n' || *end == '\0');
}

static uint64_t inactive_files(const char *cgroups, const char *group)
{
    static const char key[] = "\ninactive_file ";
    char path[4352], text[TEXT_BYTES];
    snprintf(path, sizeof path, "%s%s/memory.stat", cgroups, group);
    const char *at = read_text(path, text) < 0 ? NULL : strstr(text, key);
    return at ? strtoull(at + sizeof key - 1, NULL, 10) : 0;
}

static void consider_group(struct gr_memory_room *ret, const char *cgroups, const char *group)
{
    uint64_t limit, used;
    if (!read_number(cgroups, group, "memory.max", &limit) ||
        !read_number(cgroups, group, "memory.current", &used))
        return;
    uint64_t cheap = inactive_files(cgroups, group);
    consider(ret, used > cheap ? used - cheap : 0, limit, "MemoryMax= of ", *group ? group : "/");
}

// Its own and all above it: the line of cgroup2 is "0::/a/b".
static void consider_groups(struct gr_memory_room *ret, pid_t pid, const char *cgroups)
{
    char path[48], text[TEXT_BYTES];
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (read_text(path, text) < 0)
        return;
    char *group = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (!group)
        return;
    group = strchr(group, '/');
    group[strcspn(group, "\n")] = '\0';
    for (char *end = group + strlen(group);; *end = '\0') {
        if (end == group + 1) // the root itself
            *group = '\0';
        consider_group(ret, cgroups, group);
        end = strrchr(group, '/');
        if (!end)
            return;
    }
}

int gr_memory_room_read(pid_t pid, uint64_t given_bytes, const char *cgroups,
                        struct gr_memory_room *ret)
{
    struct statm m;
    struct gr_memory_room room = {0};
    int r = read_statm(pid, &m);
    if (r < 0)
        return r;
    if (given_bytes)
        consider(&room, m.resident, given_bytes, "[Dispatch] MemoryLimit=", "");
    consider_own(&room, pid, &m);
    consider_groups(&room, pid, cgroups);
    *ret = room;
    return 0;
}
