// 10,000 load and unload cycles of one module, half of them overlapped as in a swap: resident
// memory, descriptors and mappings before and after. Fails when descriptors or mappings grow or a
// version stays pinned.
//
//   bench-load [FILE.so [CYCLES]]        default: $GRAYLING_BUILD/modules/echo-1.0.0.so 10000
#include "dispatch/dispatch.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define WARM_UP 100

struct usage {
    long resident_kb, descriptors, mappings;
};

static long count_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    long n = 0;
    for (int c; f && (c = getc(f)) != EOF;)
        n += c == '\n';
    if (f)
        fclose(f);
    return n;
}

static struct usage measure(void)
{
    struct usage u = {.mappings = count_lines("/proc/self/maps")};
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f))
        (void)sscanf(line, "VmRSS: %ld", &u.resident_kb);
    if (f)
        fclose(f);
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        u.descriptors++;
    if (d)
        closedir(d);
    return u;
}

static int copy_file(const char *from, const char *to)
{
    struct stat st;
    GR_AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
    GR_AUTO_CLOSE int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (in < 0 || out < 0 || fstat(in, &st) < 0)
        return -1;
    return sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size ? 0 : -1;
}

// One exchange: the next version in, the routes over, the one before out. `files` are two copies
// that take turns.
static int cycle(struct gr_dispatch *d, const char *file, unsigned slot,
                 struct gr_instance **current, struct gr_error *e)
{
    struct gr_load load = {.path = file, .fd = -1, .slot = slot};
    struct gr_instance *next;
    struct gr_swap_result swapped;
    int r = gr_instance_load(d, &load, &next, e);
    if (r < 0)
        return r;
    struct gr_change change = {.module = gr_instance_contract(next)->module.s, .stable = next};
    r = gr_dispatch_swap(d, &change, 1, GR_USEC_PER_SEC, &swapped, e);
    if (r == 0 && *current)
        r = gr_instance_unload(d, *current, GR_USEC_PER_SEC);
    *current = next;
    return r;
}

static int run(struct gr_dispatch *d, const char *const files[2], unsigned cycles)
{
    struct gr_instance *current = NULL;
    struct usage before = {0};
    struct gr_error e = {0};
    for (unsigned i = 0; i < cycles + WARM_UP; i++) {
        if (i == WARM_UP)
            before = measure();
        if (cycle(d, files[i % 2], i % 2, &current, &e) < 0) {
            fprintf(stderr, "bench-load: cycle %u: %s\n", i, e.message);
            return 1;
        }
    }
    struct usage after = measure();
    printf("%u load, swap and unload cycles\n%-16s %10s %10s\n", cycles, "", "before", "after");
    printf("%-16s %10ld %10ld\n", "resident KB", before.resident_kb, after.resident_kb);
    printf("%-16s %10ld %10ld\n", "descriptors", before.descriptors, after.descriptors);
    printf("%-16s %10ld %10ld\n", "mappings", before.mappings, after.mappings);
    printf("%-16s %10d %10llu\n", "pinned", 0, (unsigned long long)gr_dispatch_pinned(d));
    // A few mappings come and go with the allocator; a leak would show thousands.
    return after.descriptors != before.descriptors || after.mappings > before.mappings + 16 ||
           gr_dispatch_pinned(d) != 0;
}

int main(int argc, char **argv)
{
    char path[4096], dir[] = "/tmp/grayling-load-XXXXXX", one[64], two[64];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(path, sizeof(path), "%s/modules/echo-1.0.0.so", build ? build : ".");
    const char *file = argc > 1 ? argv[1] : path;
    if (!mkdtemp(dir))
        return 1;
    snprintf(one, sizeof(one), "%s/one.so", dir);
    snprintf(two, sizeof(two), "%s/two.so", dir);
    struct gr_dispatch_options o = {.max_threads = 1};
    struct gr_dispatch *d;
    struct gr_error e = {0};
    int status = 1;
    if (copy_file(file, one) < 0 || copy_file(file, two) < 0)
        fprintf(stderr, "bench-load: cannot copy %s to %s\n", file, dir);
    else if (gr_dispatch_new(&o, &d, &e) < 0)
        fprintf(stderr, "bench-load: %s\n", e.message);
    else {
        status =
            run(d, (const char *const[]){one, two}, argc > 2 ? (unsigned)atoi(argv[2]) : 10000);
        gr_dispatch_free(d);
    }
    unlink(one);
    unlink(two);
    rmdir(dir);
    return status;
}
