// Named fault points, compiled into test builds only (GR_FAULT_POINTS=1).
// GRAYLING_FAULT="name:N:kill" or "name:N:error:ENOSPC" (several joined by ','): the Nth passage
// kills the process (SIGKILL), ends it as a fault of its own would (abort, "name:N:crash"), or
// returns the error. GRAYLING_FAULT_TRACE=FILE appends each passed
// name. GR_FAULT(name) is 0 or a negative errno.
#pragma once
#if GR_FAULT_POINTS
int gr_fault_point(const char *name);
#define GR_FAULT(name) gr_fault_point(name)
#else
#define GR_FAULT(name) (0)
#endif
