// Lets one allocation, or one system call, of the code under test fail: the Nth that is made.
//
// Our own objects are linked with --wrap for the names in inject.c; cJSON and SQLite allocate, and
// SQLite calls the system, through the hooks that they have for it. What libsystemd, libelf and
// libcurl do for themselves is not counted.
#pragma once
#include <stdbool.h>

enum inject_kind { INJECT_NOTHING, INJECT_ALLOCATION, INJECT_CALL };

// Once, before anything else uses SQLite or cJSON. False: SQLite did not take the hooks.
bool inject_init(void);
// From now on passages of that kind are counted, and the nth fails. 0: none does.
void inject_arm(enum inject_kind kind, unsigned long nth);
// Ends it. Returns how many there were; *ret_name what failed, NULL: nothing did.
unsigned long inject_disarm(const char **ret_name);
