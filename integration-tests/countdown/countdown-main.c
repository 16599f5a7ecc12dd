// Runs each story once for each allocation and each system call in it, with that one failing. Every
// run either succeeds all the same or says why not in a sentence; what is left is wholly old or
// wholly new; nothing crashes, and with a leak checker nothing leaks.
//
// countdown [STORY] [EVERY [FIRST]]: only one story; every Nth point, from this one on.
#include "inject.h"
#include "story.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHECKS_LEAKS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CHECKS_LEAKS 1
#endif
#ifdef CHECKS_LEAKS
#include <sanitizer/lsan_interface.h>
#define LEAKS() (__lsan_do_recoverable_leak_check() != 0)
#else
#define LEAKS() false
#endif
#define LEAK_CHECK_EVERY 50

static const struct story *const stories[] = {&story_journal, &story_verify, &story_load,
                                              &story_documents};

struct counts {
    unsigned long points, runs, refused, survived, old, new, wrong;
    unsigned long at; // of the run that goes on now
};

const char *story_path(const char *dir, const char *name, char *buf)
{
    snprintf(buf, 256, "%.100s/%.150s", dir, name);
    return buf;
}

void story_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "countdown: expected otherwise: %s\n", what);
    abort();
}

void story_copy(const char *from, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    story_must(in >= 0 && out >= 0 && fstat(in, &st) == 0 &&
                   sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size,
               from);
    close(in);
    close(out);
}

static void complain(struct counts *c, const struct story *s, enum inject_kind kind,
                     unsigned long nth, const char *failed, const char *what, const char *how)
{
    c->wrong++;
    fprintf(stderr, "%s: %s %lu (%s): %s%s\n", s->name,
            kind == INJECT_CALL ? "system call" : "allocation", nth, failed ? failed : "none", what,
            how);
}

// nth 0: nothing fails, and the points are counted.
static void run_one(const struct story *s, const char *dir, enum inject_kind kind,
                    unsigned long nth, struct counts *c)
{
    struct gr_error e = {0};
    char why[512] = "";
    const char *failed;
    s->prepare(dir);
    inject_arm(kind, nth);
    int k = s->run(dir, &e);
    unsigned long passed = inject_disarm(&failed);
    enum story_end end = s->judge(dir, why, sizeof why);
    if (end == STORY_BETWEEN)
        complain(c, s, kind, nth, failed, "neither old nor new: ", why);
    if (k < 0 && !e.message[0])
        complain(c, s, kind, nth, failed, "refused without a sentence: ", strerror(-k));
    if (!nth) {
        c->points = passed;
        if (k < 0)
            complain(c, s, kind, nth, failed, "refused though nothing failed: ", e.message);
        return;
    }
    c->runs++;
    c->refused += k < 0;
    c->survived += k == 0;
    c->old += end == STORY_OLD;
    c->new += end == STORY_NEW;
}

static void run_story(const struct story *s, const char *dir, enum inject_kind kind,
                      unsigned long every, unsigned long first, struct counts *c)
{
    run_one(s, dir, kind, 0, c);
    for (unsigned long nth = first; nth <= c->points; nth += every) {
        c->at = nth;
        run_one(s, dir, kind, nth, c);
        if (c->runs % LEAK_CHECK_EVERY == 0 && LEAKS()) {
            complain(c, s, kind, nth, NULL, "something leaked since the last look", "");
            return;
        }
    }
    if (LEAKS())
        complain(c, s, kind, c->at, NULL, "something leaked since the last look", "");
}

// In a child: a crash is told with the point that it came of.
static bool count_down(const struct story *s, const char *dir, enum inject_kind kind,
                       unsigned long every, unsigned long first)
{
    struct counts *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    story_must(c != MAP_FAILED, "memory that is shared");
    pid_t pid = fork();
    int status = 0;
    story_must(pid >= 0, "another process");
    if (pid == 0) {
        story_must(inject_init(), "the hooks of SQLite");
        s->begin(dir);
        run_story(s, dir, kind, every, first, c);
        _exit(0);
    }
    story_must(waitpid(pid, &status, 0) == pid, "the end of the other process");
    if (status != 0)
        complain(c, s, kind, c->at, NULL, "the process ended", "");
    printf("%-10s %-12s %6lu points %6lu runs %6lu refused %6lu survived %6lu old %6lu new %3lu "
           "wrong\n",
           s->name, kind == INJECT_CALL ? "system calls" : "allocations", c->points, c->runs,
           c->refused, c->survived, c->old, c->new, c->wrong);
    fflush(stdout);
    bool ok = c->wrong == 0 && c->points > 0;
    munmap(c, sizeof *c);
    return ok;
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static bool tell(const struct story *s, unsigned long every, unsigned long first)
{
    bool ok = true;
    for (enum inject_kind kind = INJECT_ALLOCATION; kind <= INJECT_CALL; kind++) {
        char dir[] = "/dev/shm/grayling-countdown-XXXXXX"; // whose fsync costs nothing
        story_must(mkdtemp(dir) != NULL, dir);
        ok &= count_down(s, dir, kind, every, first);
        (void)nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
    }
    return ok;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "all";
    unsigned long every = argc > 2 ? strtoul(argv[2], NULL, 10) : 1,
                  first = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    bool ok = every > 0 && first > 0, known = false;
    for (size_t i = 0; every && first && i < sizeof stories / sizeof *stories; i++)
        if (strcmp(only, "all") == 0 || strcmp(only, stories[i]->name) == 0) {
            known = true;
            ok &= tell(stories[i], every, first);
        }
    if (!known)
        fprintf(stderr, "Usage: countdown [all|journal|verify|load|documents] [EVERY [FIRST]]\n");
    return ok && known ? 0 : 1;
}
