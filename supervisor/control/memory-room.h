// How much memory a process may have and how much of it is used, by whichever limit is the nearest:
// of its control group and those above it, of its own (setrlimit), or one that is given.
#pragma once
#include "base/macros.h"
#include <stdint.h>
#include <sys/types.h>

#define GR_ROOM_NAME_MAX 128
struct gr_memory_room {
    uint64_t used_bytes, limit_bytes; // limit 0: there is none
    unsigned permyriad;               // the used part; more than 10000 when it is over
    char of[GR_ROOM_NAME_MAX];        // whose limit: "MemoryMax= of /system.slice/x.service"
};
// `given_bytes` 0: none; else what the process's resident memory is compared with. `cgroups`:
// where cgroup2 is mounted; where it is not, groups set no limit that is seen here. What a group
// can give back at once (inactive files) is not counted as used. Fails: as gr_usage_read().
GR_MUST_CHECK int gr_memory_room_read(pid_t pid, uint64_t given_bytes, const char *cgroups,
                                      struct gr_memory_room *ret);
