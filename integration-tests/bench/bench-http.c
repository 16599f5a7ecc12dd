// Open-loop HTTP/1.1 load at a fixed rate. Prints one JSON object.
//
//   bench-http --port N --path /p --rate N --seconds N [--connections N] [--data TEXT]
//              [--header LINE] [--interest HEADER] [--users N] [--control]
//
// --interest: a line "answer VALUE NSEC LAST RUN" (CLOCK_MONOTONIC) on stdout whenever that header
// of an answer differs from the answer before; the value before came last at LAST, and RUN times in
// a row. --users: a header x-user-id, by turns of so many users. --control: see open-loop.h.
#include "open-loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RATE_MAX 200000u
#define SECONDS_MAX 600u
#define USERS_MAX 10000000u
#define USER_HEADER "x-user-id: "

struct arguments {
    unsigned port;
    const char *path, *data, *header, *interest;
    unsigned rate, seconds, connections, users;
    bool control;
};

static bool read_number(const char *text, unsigned least, unsigned most, unsigned *ret)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || v < least || v > most)
        return false;
    *ret = (unsigned)v;
    return true;
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"path", required_argument, NULL, 'u'},
        {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'},
        {"data", required_argument, NULL, 'd'},
        {"connections", required_argument, NULL, 'c'},
        {"interest", required_argument, NULL, 'i'},
        {"users", required_argument, NULL, 'n'},
        {"control", no_argument, NULL, 'w'},
        {"header", required_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool ok = true;
    for (int o; ok && (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p')
            ok = read_number(optarg, 1, 65535, &a->port);
        else if (o == 'r')
            ok = read_number(optarg, 1, RATE_MAX, &a->rate);
        else if (o == 's')
            ok = read_number(optarg, 1, SECONDS_MAX, &a->seconds);
        else if (o == 'c')
            ok = read_number(optarg, 1, OPEN_LOOP_CONNECTIONS_MAX, &a->connections);
        else if (o == 'u')
            a->path = optarg;
        else if (o == 'd')
            a->data = optarg;
        else if (o == 'n')
            ok = read_number(optarg, 1, USERS_MAX, &a->users);
        else if (o == 'h')
            a->header = optarg;
        else if (o == 'i')
            a->interest = optarg;
        else if (o == 'w')
            a->control = true;
        else
            ok = false;
    }
    return ok && optind == argc && a->port && a->rate && a->seconds && a->path[0] == '/';
}

static void print_result(const struct arguments *a, const struct open_loop_result *r,
                         const struct bench_record *record)
{
    static const char *const names[] = {"status", "refused", "closed", "malformed", "unanswered"};
    printf("{\"rate\":%u,\"seconds\":%.3f,\"due\":%" PRIu64 ",\"answered\":%" PRIu64
           ",\"idle_closed\":%" PRIu64 ",\"failed\":{",
           a->rate, (double)r->elapsed_nsec / 1e9, r->due, r->answered, r->idle_closed);
    for (unsigned i = 0; i < OPEN_LOOP_FATES; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", names[i], r->fates[i]);
    printf("},");
    (void)!bench_record_print(record, stdout);
    printf("}\n");
}

static int run(const struct arguments *a)
{
    char request[OPEN_LOOP_REQUEST_MAX];
    int n = snprintf(request, sizeof request,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n%s%s%s\r\n%s",
                     a->path, strlen(a->data), a->header, *a->header ? "\r\n" : "",
                     a->users ? USER_HEADER "00000000\r\n" : "", a->data);
    if (n < 0 || (size_t)n >= sizeof request)
        return -E2BIG;
    struct open_loop_options o = {
        .address = {.sin_family = AF_INET,
                    .sin_port = htons((uint16_t)a->port),
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .request = request,
        .request_len = (size_t)n,
        .interest = a->interest,
        .users = a->users,
        .rate = a->rate,
        .seconds = a->seconds,
        .connections = a->connections,
        .control = a->control,
    };
    if (a->users)
        o.user_at = (size_t)(strstr(request, USER_HEADER) - request) + strlen(USER_HEADER);
    static struct bench_record record;
    struct open_loop_result result;
    int k = bench_record_init(&record, (size_t)a->rate * a->seconds);
    if (k == 0)
        k = open_loop_run(&o, &record, &result);
    if (k == 0)
        print_result(a, &result, &record);
    bench_record_done(&record);
    return k;
}

int main(int argc, char **argv)
{
    // sixty-four bytes of JSON, as the payload of every peer
    struct arguments a = {
        .path = "/",
        .connections = 64,
        .header = "",
        .data = "\"01234567890123456789012345678901234567890123456789012345678901\"",
    };
    if (!read_arguments(argc, argv, &a)) {
        fprintf(stderr, "usage: bench-http --port N --path /p --rate N --seconds N "
                        "[--connections N] [--data TEXT] [--header LINE] [--interest HEADER] "
                        "[--users N] [--control]\n");
        return 2;
    }
    int k = run(&a);
    if (k < 0)
        fprintf(stderr, "bench-http: %s\n", strerror(-k));
    return k < 0;
}
