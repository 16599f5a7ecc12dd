// A client that sends exactly the bytes it is given and reads whole answers. Every failure but a
// closed connection ends the test.
#pragma once
#include "base/macros.h"
#include "worker/live/fake-supervisor.h"
#include <stdbool.h>

struct client {
    int fd;
    size_t len;
    char buffer[1 << 20]; // received, not yet taken
};
struct answer {
    int status; // 0: the connection ended without an answer
    char head[4096];
    size_t body_len;
    char body[256 * 1024];
};
struct client *client_tcp(const struct fake *f);
struct client *client_unix(const struct fake *f);
void client_free(struct client *c);
void client_send(struct client *c, const void *bytes, size_t len);
void client_text(struct client *c, const char *text);
// One whole answer by its Content-Length; 100 Continue is skipped unless asked for.
void client_read(struct client *c, struct answer *ret);
// true: the peer closed (or reset) and there is nothing more to read.
bool client_closed(struct client *c);
// Reads up to the end; the bytes are in c->buffer, terminated.
void client_rest(struct client *c);
// Value of a header of an answer; it lives until this thread asks for the next one. NULL: not
// there.
const char *answer_header(const struct answer *a, const char *name);
// "POST /path" with json and Content-Length, in one write.
void client_post(struct client *c, const char *path, const char *body);
