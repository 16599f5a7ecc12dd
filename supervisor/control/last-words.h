// What graylingd leaves behind when it ends by a fault of its own: one line in the state directory,
// written by the handler of the fatal signal. A signal from outside (kill, the OOM killer, a
// watchdog) and a power cut leave none: that is how the next start tells them apart.
#pragma once
#include "base/macros.h"
#include <stddef.h>

#define GR_LAST_WORDS_MAX 64
// Reads what the process before left ("SIGSEGV"; "": nothing) and is ready to leave the same.
// Once per process. Fails: errno of the file; *ret is "" then, and nothing will be left.
GR_MUST_CHECK int gr_last_words_arm(const char *state_dir, char ret[GR_LAST_WORDS_MAX]);
