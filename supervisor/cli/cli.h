// What all verbs of grayctl share: the table of verbs, parsed arguments, the shared options and the
// exit statuses.
#pragma once
#include "base/error.h"
#include "control/config.h"
#include <cjson/cJSON.h>
#include <stdio.h>

enum gr_exit { // INTERFACES §6
    GR_EXIT_OK = 0,
    GR_EXIT_INTERNAL = 1,
    GR_EXIT_USAGE = 2,
    GR_EXIT_NOT_FOUND = 3,
    GR_EXIT_DEGRADED = 4, // degraded or rolled back
    GR_EXIT_REFUSED = 5,  // policy, signature, conflict
    GR_EXIT_TIMED_OUT = 6,
    GR_EXIT_UNREACHABLE = 7, // etcd or daemon
    GR_EXIT_INTERRUPTED = 130,
};
enum gr_exit gr_exit_of_error(const struct gr_error *e);
// What it means, as help and manual say it; NULL: there is no such status.
const char *gr_exit_meaning(int status);
#define GR_EXITS(status) (1u << (status)) // a member of gr_verb.exits; not for GR_EXIT_INTERRUPTED

struct gr_option {
    char letter;      // 0: none
    const char *name; // without "--"
    const char
        *value; // what help calls its value, which is also its kind (value-kind.h); NULL: a flag
    const char *help;
};
struct gr_cli;
struct gr_args;
struct gr_verb {
    const char *name,
        *words;           // "status", "[MODULE]"; each word is of a kind, or itself: "cat|check"
    const char *summary;  // one line
    const char *examples; // lines
    unsigned min_words, max_words;
    const struct gr_option *options; // ends with a zeroed one; NULL: only the shared ones
    enum gr_exit (*run)(struct gr_cli *cli, const struct gr_args *args);
    unsigned exits; // GR_EXITS() of how it may end, besides ok, internal, usage and interrupted
};

#define GR_ARGS_MAX 256
struct gr_args {
    const struct gr_verb *verb; // NULL: none was named
    size_t n_given;
    struct {
        const struct gr_option *option;
        const char *value;
    } given[GR_ARGS_MAX];
    size_t n_words;
    const char *words[GR_ARGS_MAX];
};
// argv without the program's name. Options may stand before and after the verb; "--" ends them.
// Fails: -EINVAL with a sentence that suggests the nearest.
GR_MUST_CHECK int gr_args_parse(int argc, char **argv, const struct gr_verb *verbs, size_t n_verbs,
                                struct gr_args *ret, struct gr_error *e);
bool gr_args_has(const struct gr_args *a, const char *name);
const char *gr_args_value(const struct gr_args *a,
                          const char *name); // the last one given; NULL: none
// The value of the shared -o, which a verb may hide by an --output of its own; NULL: none.
const char *gr_args_format(const struct gr_args *a);
size_t gr_args_list(const struct gr_args *a, const char *name, const char **ret,
                    size_t cap); // all, in order
// Fails: -EINVAL. Absent: *ret untouched.
GR_MUST_CHECK int gr_args_duration(const struct gr_args *a, const char *name, uint64_t *ret_usec,
                                   struct gr_error *e);
GR_MUST_CHECK int gr_args_number(const struct gr_args *a, const char *name, int64_t *ret,
                                 struct gr_error *e);
extern const struct gr_option gr_shared_options[]; // ends with a zeroed one

enum gr_format { GR_FORMAT_TABLE, GR_FORMAT_WIDE, GR_FORMAT_JSON, GR_FORMAT_JSONL, GR_FORMAT_NAME };
struct gr_cli {
    FILE *out, *err;
    enum gr_format format;
    bool color;
    const char *control_path, *config_path,
        *etcd_url;    // as given or from the environment; NULL: not
    const char *kind; // of what goes to stdout as JSON: the verb; NULL: none
    const struct gr_verb *verbs;
    size_t n_verbs;
    struct gr_config *config;   // of the file; loaded at first need
    struct gr_config *settings; // of the daemon; asked for at first need
};
// Reads the shared options and the environment.
GR_MUST_CHECK int gr_cli_init(struct gr_cli *cli, const struct gr_args *args, struct gr_error *e);
void gr_cli_done(struct gr_cli *cli);
// Borrowed. Fails as gr_config_load().
GR_MUST_CHECK int gr_cli_config(struct gr_cli *cli, const struct gr_config **ret,
                                struct gr_error *e);
// The configuration that the daemon in question runs with: asked of the socket that was named, else
// of the file; where there is no file, of the socket at its usual place. Borrowed. Fails: as both.
GR_MUST_CHECK int gr_cli_settings(struct gr_cli *cli, const struct gr_config **ret,
                                  struct gr_error *e);
// One request to the daemon's control socket. *ret (may be NULL) is the caller's. Blocks.
// Fails: -ECONNREFUSED (no daemon there), -ETIME, and what the daemon answered: its reason,
// sentence and a code after the HTTP status.
GR_MUST_CHECK int gr_cli_request(struct gr_cli *cli, const char *method, const char *path,
                                 const cJSON *body, uint64_t timeout_usec, cJSON **ret,
                                 struct gr_error *e);
// Body of a command: {"actor","reason"}; the caller's.
cJSON *gr_cli_command(const struct gr_args *args);
// POST of a command, whose body it takes.
GR_MUST_CHECK int gr_cli_post(struct gr_cli *cli, const char *path, cJSON *take_body, cJSON **ret,
                              struct gr_error *e);
// "error: Reason: sentence" on stderr; returns the exit status of it.
enum gr_exit gr_cli_fail(struct gr_cli *cli, const struct gr_error *e);
void gr_cli_say(struct gr_cli *cli, const char *format, ...) GR_PRINTF(2, 3); // talk, on stderr
const char *gr_cli_actor(void); // who asks: $SUDO_USER, login name or "uid N"; static storage

void gr_help_overview(FILE *to, const struct gr_verb *verbs, size_t n);
void gr_help_verb(FILE *to, const struct gr_verb *v);
// The nearest of names within two edits; NULL: none is near.
const char *gr_suggest(const char *word, const char *(*name)(const void *u, size_t i),
                       const void *u, size_t n);

// The table of verbs (grayctl-verbs.c).
extern const struct gr_verb gr_verbs[];
extern const size_t gr_n_verbs;
