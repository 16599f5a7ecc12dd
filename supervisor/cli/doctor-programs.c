// Are all programs of this installation there, and of one release: a supervisor and a worker of two
// releases speak two dialects, and preflight would admit what the worker refuses.
#include "base/child.h"
#include "base/release.h"
#include "cli/doctor.h"
#include "cli/drill/process.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANSWER_USEC (10 * GR_USEC_PER_SEC) // also of a machine that is very busy

// "grayling-worker 1.2.3" -> "1.2.3"; "": it did not say.
static void ask_version(const char *path, const char *name, char ret[64])
{
    GR_AUTO_CLOSE int out = memfd_create("version", MFD_CLOEXEC);
    char program[PATH_MAX], text[128] = "";
    struct gr_child child;
    *ret = '\0';
    snprintf(program, sizeof program, "%s", path);
    char *argv[] = {program, (char[]){"--version"}, NULL};
    const struct gr_child_fd fds[] = {{out, STDOUT_FILENO}, {out, STDERR_FILENO}};
    if (out < 0 || gr_child_spawn(argv, NULL, fds, GR_COUNT(fds), &child, NULL) < 0)
        return;
    if (gr_process_await(&child, ANSWER_USEC) < 0)
        gr_process_kill(&child);
    size_t len = strlen(name);
    if (pread(out, text, sizeof text - 1, 0) > 0 && !strncmp(text, name, len) && text[len] == ' ')
        snprintf(ret, 64, "%.*s", (int)strcspn(text + len + 1, " \n"), text + len + 1);
}

static void check_program(struct gr_doctor *d, const char *name, const char *path)
{
    char version[64];
    ask_version(path, name, version);
    if (!strcmp(version, gr_release))
        gr_doctor_add(d, GR_HEALTH_OK, name, "%s, %s", version, path);
    else
        gr_doctor_add(d, GR_HEALTH_FAIL, name,
                      "%s is %s%s, and this grayctl is %s: a mixed installation, in which releases "
                      "may be refused or never end. Install the package again, then systemctl "
                      "restart grayling",
                      path, *version ? "of release " : "of a release that does not tell its number",
                      version, gr_release);
}

void gr_doctor_check_programs(struct gr_doctor *d)
{
    static const char *const names[] = {"grayling-worker", "grayling-preflight", "grayling-store"};
    char path[PATH_MAX];
    struct gr_error e = {0};
    if (gr_process_find_daemon(path, sizeof path, &e) < 0)
        gr_doctor_add(d, GR_HEALTH_WARN, "graylingd", "%s", e.message);
    else
        check_program(d, "graylingd", path);
    for (size_t i = 0; i < GR_COUNT(names); i++) {
        int r = gr_child_find_program(names[i], path, sizeof path);
        if (r < 0)
            gr_doctor_add(d, GR_HEALTH_FAIL, names[i],
                          "not found (%s): install it, or name its directory in GRAYLING_LIBEXEC",
                          strerror(-r));
        else
            check_program(d, names[i], path);
    }
}
