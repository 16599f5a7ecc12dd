// The nearest of the limits is found: one that is given, those of setrlimit(2), those of groups,
// for which a directory stands in here.
#include "control/memory-room.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOWHERE "/nowhere"
#define GIB (UINT64_C(1) << 30)

static struct gr_memory_room look(pid_t pid, uint64_t given, const char *cgroups)
{
    struct gr_memory_room r;
    int k = gr_memory_room_read(pid, given, cgroups, &r);
    if (k < 0)
        fail_msg("%s", strerror(-k));
    return r;
}

static void the_given_limit_is_of_what_is_resident(void **state)
{
    (void)state;
    struct gr_memory_room none = look(getpid(), 0, NOWHERE);
    assert_int_equal(none.limit_bytes, 0);
    struct gr_memory_room r = look(getpid(), 1024 * GIB, NOWHERE);
    assert_true(r.used_bytes > 100000 && r.used_bytes < 64 * GIB);
    assert_true(r.limit_bytes == 1024 * GIB && r.permyriad < 1000);
    assert_string_equal(r.of, "[Dispatch] MemoryLimit=");
    r = look(getpid(), 4096, NOWHERE);
    assert_true(r.permyriad > 10000);
    assert_int_equal(gr_memory_room_read(-1, 0, NOWHERE, &r), -ENOENT);
}

static void limits_of_the_process_are_seen(void **state)
{
    (void)state;
    struct gr_memory_room before = look(getpid(), 1024 * GIB, NOWHERE);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) { // above what it has: a sanitizer reserves much
        const struct rlimit l = {UINT64_C(1) << 46, UINT64_C(1) << 46};
        char c = setrlimit(RLIMIT_DATA, &l) == 0 ? 'y' : 'n';
        _exit(write(ready[1], &c, 1) == 1 ? pause() : 1);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    struct gr_memory_room r = look(pid, 0, NOWHERE);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_string_equal(r.of, "LimitDATA= of the worker");
    assert_true(r.limit_bytes == UINT64_C(1) << 46 && r.used_bytes > 0);
    assert_true(before.used_bytes > 0);
}

// --- groups
// ---------------------------------------------------------------------------------------

struct groups {
    char root[64], own[4096]; // own: of this process, relative
};

static void put(const struct groups *g, const char *group, const char *file, const char *text)
{
    char path[8300];
    snprintf(path, sizeof path, "%s%s/%s", g->root, group, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_group(const struct groups *g, const char *group, const char *max,
                      const char *current, const char *stat)
{
    put(g, group, "memory.max", max);
    put(g, group, "memory.current", current);
    put(g, group, "memory.stat", stat);
}

// false: this process is in no group of cgroup2.
static bool make_groups(struct groups *g)
{
    char line[4200], path[8300];
    FILE *f = fopen("/proc/self/cgroup", "r");
    bool found = false;
    while (f && fgets(line, sizeof line, f) && !found)
        found = sscanf(line, "0::%4095s", g->own) == 1;
    if (f)
        fclose(f);
    if (!found)
        return false;
    strcpy(g->root, "/tmp/grayling-groups-XXXXXX");
    assert_non_null(mkdtemp(g->root));
    for (char *p = g->own + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        snprintf(path, sizeof path, "%s%s", g->root, g->own);
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *p = was;
        if (was == '\0')
            break;
    }
    return true;
}

static void remove_groups(const struct groups *g)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", g->root);
    assert_int_equal(system(command), 0);
}

static void the_nearest_group_counts_without_what_it_can_give_back(void **state)
{
    struct groups g = {0};
    (void)state;
    if (!make_groups(&g))
        skip();
    bool in_root = strcmp(g.own, "/") == 0;
    put_group(&g, in_root ? "" : g.own, "1000000\n", "900000\n",
              "anon 1\ninactive_anon 5\ninactive_file 400000\nslab 7\n");
    struct gr_memory_room r = look(getpid(), 0, g.root);
    assert_true(r.limit_bytes == 1000000 && r.used_bytes == 500000 && r.permyriad == 5000);
    assert_memory_equal(r.of, "MemoryMax= of /", 15);
    put_group(&g, in_root ? "" : g.own, "max\n", "900000\n", "anon 1\n");
    assert_int_equal(look(getpid(), 0, g.root).limit_bytes, 0);
    if (!in_root) { // one above it
        put_group(&g, "", "2000\n", "1900\n", "anon 1\n");
        put_group(&g, g.own, "1000000\n", "500000\n", "anon 1\n");
        r = look(getpid(), 0, g.root);
        assert_true(r.limit_bytes == 2000 && r.permyriad == 9500);
        assert_string_equal(r.of, "MemoryMax= of /");
    }
    put_group(&g, in_root ? "" : g.own, "0\n", "5\n", "anon 1\n");
    assert_int_equal(look(getpid(), 0, g.root).permyriad, UINT32_MAX);
    remove_groups(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_given_limit_is_of_what_is_resident),
        cmocka_unit_test(limits_of_the_process_are_seen),
        cmocka_unit_test(the_nearest_group_counts_without_what_it_can_give_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
