// Small things about processes and ports that a throw-away instance is made of.
#pragma once
#include "base/child.h"
#include <stdint.h>

// A port of 127.0.0.1 that nobody listens on now. Fails: negative errno.
GR_MUST_CHECK int gr_process_free_port(unsigned *ret);
// The directories of $PATH. Fails: -ENOENT.
GR_MUST_CHECK int gr_process_find(const char *name, char *buf, size_t cap);
// graylingd, beside this program or in ../sbin. Fails: -ENOENT.
GR_MUST_CHECK int gr_process_find_daemon(char *buf, size_t cap, struct gr_error *e);
// With stdout and stderr appended to `log`. `extra` ("NAME=VALUE", NULL-terminated) is added to the
// environment, from which GRAYLING_FAULT is taken out.
GR_MUST_CHECK int gr_process_spawn(char *const argv[], const char *const *extra, const char *log,
                                   struct gr_child *ret, struct gr_error *e);
// Until it has ended. Fails: -ETIME.
GR_MUST_CHECK int gr_process_await(struct gr_child *c, uint64_t timeout_usec);
// SIGKILL, and waits. Nothing runs: nothing happens.
void gr_process_kill(struct gr_child *c);
// The last bytes of a log, on one line; buf of 512.
const char *gr_process_last_words(const char *log, char buf[512]);
