// Runs drills one after the other; those that need the same kind of instance share one.
#pragma once
#include "cli/drill/result.h"

struct gr_runner_asked {
    struct gr_cli *cli;
    struct gr_drill **drills;
    size_t n;
    const char *modules, *results;
    bool live;   // against the instance that cli names
    bool strict; // what is skipped counts as failed
};
// Inside a guard: `dir` is for all that is written. Prints the results. Returns the exit status.
enum gr_exit gr_runner_run(void *asked, const char *dir);
// The columns of results.
void gr_runner_print(struct gr_cli *cli, const cJSON *results);
