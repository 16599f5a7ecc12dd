// A host's own abort(), assert(), exit() and pthread_exit(), for programs that load modules. Linked
// into such a program they are what a module's calls bind to: inside a guarded call they end that
// call and not the process. From anywhere else they are what libc's are, but for one case: a module
// that wants to end the process, or a dispatch thread, outside of a guarded call ends the process
// as abort() does, with evidence.
#pragma once

// Finds what these functions hide; before threads and modules. A program that calls it has them.
void gr_endings_install(void);
