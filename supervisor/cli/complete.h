// What may stand at the cursor of a command line, from the table of verbs and the daemon.
#pragma once
#include "cli/cli.h"

// `words` are those after the program's name; the last one, which may be empty, is being written.
// Prints "CANDIDATE\tSUMMARY" lines on cli->out, and ":files" or ":files .so" where files may
// stand. Says nothing of what goes wrong: completion is silent. Blocks for a second at most.
void gr_complete(struct gr_cli *cli, const char *const *words, size_t n);
