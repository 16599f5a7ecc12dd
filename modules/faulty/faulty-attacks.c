// What a hostile module tries to get out of its process, or to harm those who speak with it. Built
// into the isolated versions only: in the worker some of it would succeed.
#include "faulty.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// --- out of the process ------------------------------------------------------------------------

// By numbers: most of these names a module may not even import. -1: errno says why not.
static long read_file(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long write_beside_itself(void)
{
    return open("/tmp/faulty-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long write_itself(void) // its own file in the store
{
    char line[512];
    long r = -1;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (!path || !strstr(path, "faulty-"))
            continue;
        path[strcspn(path, "\n")] = 0;
        r = open(path, O_WRONLY | O_CLOEXEC);
        break;
    }
    int why = errno;
    if (maps)
        fclose(maps);
    errno = why;
    return r;
}

static long read_parent(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", syscall(SYS_getppid));
    return open(path, O_RDONLY | O_CLOEXEC);
}

static long call_control_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long start_program(void)
{
    const char *const none[] = {NULL};
    return syscall(SYS_execve, "/bin/true", none, none);
}

static long start_process(void)
{
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long trace_parent(void)
{
    return syscall(SYS_ptrace, 16 /* attach */, syscall(SYS_getppid), 0, 0);
}

static long end_parent(void)
{
    return syscall(SYS_kill, syscall(SYS_getppid), SIGKILL);
}

static long end_everybody(void)
{
    return syscall(SYS_kill, -1, SIGKILL);
}

static long raise_limit(void)
{
    const struct rlimit more = {1 << 20, 1 << 20};
    return syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, NULL);
}

static long new_namespace(void)
{
    return syscall(SYS_unshare, 0x10000000 /* of users */);
}

int32_t faulty_escape(struct faulty *f, struct grayling_call *call)
{
    static const struct {
        const char *name;
        long (*try)(void);
    } ways[] = {
        {"read", read_file},         {"create", write_beside_itself}, {"store", write_itself},
        {"mem", read_parent},        {"socket", call_control_socket}, {"exec", start_program},
        {"fork", start_process},     {"ptrace", trace_parent},        {"kill", end_parent},
        {"kill-all", end_everybody}, {"limit", raise_limit},          {"namespace", new_namespace},
    };
    char text[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && len < sizeof text; i++) {
        errno = 0;
        int why = ways[i].try() == -1 ? errno : 0;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%d", i ? " " : "",
                                ways[i].name, why);
    }
    return respond_failure(f->host, call, GRAYLING_ABORTED, "%s", text);
}

// --- at the ring -------------------------------------------------------------------------------

#define SLOT_BYTES (36u * 1024) // a slot's words, as far as anybody looks at them
#define ROUNDS 40

static uint64_t next(uint64_t *seed) // xorshift, Marsaglia 2003
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

// Lengths, indices, names, codes and states of every slot, at random; and whoever sleeps is woken.
static void scribble_over(char *ring, uint64_t size, uint64_t *seed)
{
    uint64_t stride = ((const uint64_t *)(void *)ring)[1];
    for (uint64_t at = 4096; at + SLOT_BYTES <= size && stride > SLOT_BYTES; at += stride) {
        volatile uint32_t *words = (volatile uint32_t *)(void *)(ring + at);
        for (unsigned n = 0; n < 64; n++) {
            uint64_t dice = next(seed);
            words[1 + dice % 200] = dice & 1 << 20 ? UINT32_MAX : (uint32_t)(dice >> 32);
        }
        words[0] = (uint32_t)(next(seed) % 9);
        syscall(SYS_futex, words, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    }
}

int32_t faulty_scribble(struct faulty *f, struct grayling_call *call)
{
    static _Atomic uint64_t seeds = 88172645463325252;
    uint64_t seed = atomic_fetch_add(&seeds, 2);
    char line[512];
    (void)call;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (!strstr(line, "memfd:grayling-ring") || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        for (unsigned i = 0; i < ROUNDS; i++)
            scribble_over((char *)from, to - from, &seed);
        f->host->log(f->host, GRAYLING_LOG_INFO, "faulty has scribbled over its ring");
    }
    if (maps)
        fclose(maps);
    return GRAYLING_OK;
}
