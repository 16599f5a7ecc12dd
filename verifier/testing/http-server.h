// A server that misbehaves in one way per path, on a loopback port, in a thread of the test. Plain
// sockets, so that it can break every rule.
#pragma once
#include <stddef.h>

struct test_server;
// Serves `body` (borrowed):
//   /good            200 with the body              /missing   404
//   /truncated       announces all, sends half      /reset     sends half, then resets the
//   connection /endless         sends for ever                 /slow      answers with the headers
//   and then nothing /flaky           503, then the body             /half      announces half and
//   sends half /loop            redirects to itself            /moved     redirects to /good
//   /to-private      redirects to 10.0.0.1          /to-name   redirects to /good by the name
//   localhost /to-file         redirects to file:///etc/passwd
struct test_server *test_server_start(const void *body, size_t len);
unsigned test_server_port(const struct test_server *s);
unsigned test_server_hits(const struct test_server *s); // requests so far
void test_server_stop(struct test_server *s);
