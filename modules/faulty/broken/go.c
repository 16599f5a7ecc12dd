// As a library that the Go toolchain built looks from outside: its two marks, and what its runtime
// needs of the process. No Go is needed to make it.
#include <signal.h>
#include <stdlib.h>

static const struct {
    unsigned name_bytes, text_bytes, type;
    char name[4];
    char text[20];
} go_note __attribute__((section(".note.go.buildid"), used, aligned(4))) = {
    sizeof "Go", 20, 4, "Go", "not/built/by/any/go"};

static char go_info[32] __attribute__((section(".go.buildinfo"), used, aligned(16))) =
    "\xff Go buildinf:";

static __thread int goroutine __attribute__((tls_model("initial-exec"), used));

__attribute__((used)) static int runtime_init(void)
{
    struct sigaction preempt = {.sa_handler = SIG_DFL};
    return ++goroutine + go_info[0] + sigaction(SIGURG, &preempt, NULL) + unsetenv("GOTRACEBACK");
}
