// What doctor says of a machine that cannot run Grayling, each time one that really cannot: system
// calls are refused by a filter, limits are lowered, the kernel says an old number.
#include "base/json.h"
#include "base/macros.h"
#include "cli/doctor.h"
#include "cli/output.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool nothing(void)
{
    return true;
}

// The call with this number fails from now on, in this process.
static bool refuse(unsigned number, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = GR_COUNT(filter), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool no_membarrier(void)
{
    return refuse(SYS_membarrier, EPERM);
}

static bool no_landlock(void)
{
    return refuse(SYS_landlock_create_ruleset, ENOSYS);
}

static bool no_seccomp(void)
{
    return refuse(SYS_prctl, EINVAL);
}

static bool no_clock(void)
{
    return refuse(SYS_adjtimex, EPERM) && refuse(SYS_clock_adjtime, EPERM);
}

static bool old_kernel(void)
{
    return personality(UNAME26) >= 0;
}

static bool few_files(void)
{
    return setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 64, .rlim_max = 1024}) == 0;
}

static bool says(const struct gr_doctor *d, const char *check, const char *state, const char *part)
{
    const cJSON *line;
    cJSON_ArrayForEach(line, d->lines) if (!strcmp(gr_output_text(line, "check"), check))
    {
        if (!strcmp(gr_output_text(line, "state"), state) &&
            strstr(gr_output_text(line, "message"), part))
            return true;
        fprintf(stderr, "%s %s: %s\n", check, gr_output_text(line, "state"),
                gr_output_text(line, "message"));
    }
    return false;
}

static void each_is_told(void **unused)
{
    static const struct {
        bool (*break_it)(void);
        const char *check, *state, *part;
    } all[] = {
        {nothing, "kernel", "ok", "Linux "},
        {nothing, "membarrier", "ok", "are there"},
        {nothing, "seccomp", "ok", "can be set"},
        {old_kernel, "kernel", "fail", "Linux 2.6."},
        {old_kernel, "kernel", "fail", "expected 5.10 or later (pidfd, membarrier): upgrade"},
        {no_membarrier, "membarrier", "fail", "not available (Operation not permitted)"},
        {no_membarrier, "membarrier", "fail", "allow membarrier(2) in the container's seccomp"},
        {no_seccomp, "seccomp", "fail", "cannot confine candidates: use a kernel with"},
        {no_landlock, "landlock", "warn", "not available (Function not implemented)"},
        {no_clock, "clock", "warn", "its state cannot be read: Operation not permitted"},
        {few_files, "open files", "warn", "at most 1024 (of this shell"},
        {few_files, "open files", "warn", "expected 20000, a connection takes one: raise LimitNO"},
    };
    (void)unused;
    for (size_t i = 0; i < GR_COUNT(all); i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            struct gr_doctor d = {.lines = cJSON_CreateArray()};
            if (!all[i].break_it())
                _exit(2);
            gr_doctor_check_host(&d);
            gr_doctor_check_files(&d, 0);
            bool said = says(&d, all[i].check, all[i].state, all[i].part);
            cJSON_Delete(d.lines);
            _exit(said ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("%s: expected %s \"%s\", got %d", all[i].check, all[i].state, all[i].part,
                     status);
    }
}

// The limit that counts is that of who holds the connections, not that of the person who asks.
static void files_are_those_of_the_worker(void **unused)
{
    struct gr_doctor d = {.lines = cJSON_CreateArray()};
    int ends[2];
    char c;
    (void)unused;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        bool set = few_files();
        (void)!read(ends[0], &c, 1); // until it was looked at
        _exit(!set);
    }
    close(ends[0]);
    struct rlimit few = {64, 1024};
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
    gr_doctor_check_files(&d, pid);
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(says(&d, "open files", "warn", "at most 1024 (of the worker)"));
    cJSON_Delete(d.lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_is_told),
                                       cmocka_unit_test(files_are_those_of_the_worker)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
