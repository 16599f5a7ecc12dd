// The HTTP/1.1 side of the open-loop client: a pool of keep-alive connections that send requests
// when they are due, whatever became of those before. One thread, one epoll. Every request has one
// of the fates below; none is sent twice.
#pragma once
#include "response.h"
#include "samples.h"
#include <netinet/in.h>

#define OPEN_LOOP_CONNECTIONS_MAX 1024u
#define OPEN_LOOP_REQUEST_MAX 8192u
#define OPEN_LOOP_USER_DIGITS 8

enum open_loop_fate {     // of those that did not end with status 200
    OPEN_LOOP_STATUS,     // answered, with another status
    OPEN_LOOP_REFUSED,    // no connection could be made
    OPEN_LOOP_CLOSED,     // the connection ended before the answer
    OPEN_LOOP_MALFORMED,  // the answer is no HTTP/1.1 with a length
    OPEN_LOOP_UNANSWERED, // not answered when the drain was over
    OPEN_LOOP_FATES
};

struct open_loop_options {
    struct sockaddr_in address;
    const char *request; // the whole of it, head and body
    size_t request_len;
    size_t user_at;       // where in it OPEN_LOOP_USER_DIGITS digits name the user; users > 0 only
    unsigned users;       // request i comes from user i modulo users; 0: the request as it is
    const char *interest; // header whose change is told on stdout; NULL: none
    uint64_t rate, seconds;
    unsigned connections;
    bool control; // reads "window BEGIN END" lines from stdin; its end ends the load early
};
struct open_loop_result {
    uint64_t due, answered; // answered: with status 200
    uint64_t fates[OPEN_LOOP_FATES];
    uint64_t idle_closed; // connections that the peer closed between two requests: no loss
    uint64_t elapsed_nsec;
};

// Blocks for `seconds` and the drain. Fails: negative errno when it cannot be set up; what happens
// to requests is a result.
int open_loop_run(const struct open_loop_options *o, struct bench_record *record,
                  struct open_loop_result *ret);
