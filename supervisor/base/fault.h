// Named fault points, compiled into test builds only (GR_FAULT_POINTS=1).
// GRAYLING_FAULT="name:N:kill" or "name:N:error:ENOSPC" (several joined by ','): the Nth passage
// kills the process (SIGKILL), ends it as a fault of its own would (abort, "name:N:crash"), or
// returns the error. GRAYLING_FAULT_TRACE=FILE appends each passed name, and hit:NAME where one
// acts.
//
// GR_FAULT(name) is 0 or a negative errno; GR_INSTANT(name) only marks an instant at which the
// process may die. The names lie in the section "gr_fault_points" of a program, '?' before those
// that can fail and '!' before instants, each ended by a NUL: a sweep reads them there.
#pragma once
#if GR_FAULT_POINTS
int gr_fault_point(const char *name);
#define GR_FAULT_LISTED(kind, name)                                                                \
    __extension__({                                                                                \
        static const char gr_fault_listed[] __attribute__((section("gr_fault_points"), used)) =    \
            kind name;                                                                             \
        gr_fault_listed + 1;                                                                       \
    })
#define GR_FAULT(name) gr_fault_point(GR_FAULT_LISTED("?", name))
#define GR_INSTANT(name) ((void)gr_fault_point(GR_FAULT_LISTED("!", name)))
#else
#define GR_FAULT(name) (0)
#define GR_INSTANT(name) ((void)0)
#endif
