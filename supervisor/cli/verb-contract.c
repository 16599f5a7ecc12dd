// contract generate: a module.yaml out of a .proto file. protoc reads the file, with its imports
// and its complaints; only what it says of the services is read here.
#include "base/child.h"
#include "base/fs.h"
#include "base/json.h"
#include "cli/contract/from-proto.h"
#include "cli/drill/process.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOTS_MAX 32
#define SET_FD 3
#define COMPLAINT_MAX 4096

struct asked {
    const char *input, *output, *module, *roots[ROOTS_MAX];
    size_t n_roots;
};

static int read_asked(const struct gr_args *args, struct asked *ret, struct gr_error *e)
{
    *ret = (struct asked){.input = gr_args_value(args, "input"),
                          .output = gr_args_value(args, "output"),
                          .module = gr_args_value(args, "module")};
    ret->n_roots = gr_args_list(args, "proto-path", ret->roots, ROOTS_MAX);
    if (!ret->input || !ret->output)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "contract generate needs --%s: contract generate --input FILE.proto "
                            "--output FILE.yaml",
                            ret->input ? "output" : "input");
    if (access(ret->input, R_OK) < 0)
        return gr_error_set(e, -errno, GR_REASON_NONE, "cannot read %.300s: %s", ret->input,
                            strerror(errno));
    return 0;
}

// "api/Pay.proto" -> "pay", unless the author says otherwise.
static int choose_name(const struct asked *a, struct gr_name *ret, struct gr_error *e)
{
    const char *slash = strrchr(a->input, '/'), *base = slash ? slash + 1 : a->input,
               *dot = strrchr(base, '.');
    char text[GR_NAME_MAX + 2];
    snprintf(text, sizeof text, "%.*s", dot && dot > base ? (int)(dot - base) : -1, base);
    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    const char *name = a->module ? a->module : text;
    if (gr_name_parse(name, strlen(name), ret) == 0)
        return 0;
    return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                        "%.80s is no module's name; expected a-z, 0-9, '.', '_' and '-', at most "
                        "64, beginning with a letter or digit: name one with --module",
                        name);
}

// What was written to a memfd, from its beginning.
static int read_back(int fd, struct gr_buf *b)
{
    char chunk[65536];
    ssize_t n;
    off_t at = 0;
    int r = 0;
    while (r == 0 && (n = pread(fd, chunk, sizeof chunk, at)) != 0) {
        r = n < 0 ? -errno : gr_buf_append(b, chunk, (size_t)n);
        at += n;
    }
    return r;
}

// What protoc wrote on standard error, in one line.
static void read_complaint(int fd, char ret[COMPLAINT_MAX])
{
    ssize_t n = pread(fd, ret, COMPLAINT_MAX - 1, 0);
    ret[n > 0 ? n : 0] = '\0';
    for (size_t len = strlen(ret); len > 0 && ret[len - 1] == '\n';)
        ret[--len] = '\0';
    for (char *p = ret; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
}

static int spawn_protoc(const struct asked *a, int set_fd, int complaint_fd, struct gr_child *ret,
                        struct gr_error *e)
{
    char program[PATH_MAX], roots[ROOTS_MAX][PATH_MAX], input[PATH_MAX];
    char *argv[ROOTS_MAX + 8];
    size_t n = 0, n_roots = 0;
    const struct gr_child_fd fds[] = {{set_fd, SET_FD}, {complaint_fd, STDERR_FILENO}};
    const char *slash = strrchr(a->input, '/');
    if (gr_process_find("protoc", program, sizeof program) < 0)
        return gr_error_set(e, -ENOENT, GR_REASON_NONE,
                            "protoc is not in PATH; it reads .proto files for this verb: apt "
                            "install protobuf-compiler libprotobuf-dev");
    for (; n_roots < a->n_roots; n_roots++)
        snprintf(roots[n_roots], PATH_MAX, "--proto_path=%s", a->roots[n_roots]);
    if (n_roots == 0)
        snprintf(roots[n_roots++], PATH_MAX, "--proto_path=%.*s",
                 slash ? (int)(slash - a->input) + 1 : 1, slash ? a->input : ".");
    snprintf(input, sizeof input, "%s%s", *a->input == '-' ? "./" : "", a->input);
    argv[n++] = program;
    argv[n++] = (char[]){"--include_source_info"};
    argv[n++] = (char[]){"--descriptor_set_out=/dev/fd/3"};
    for (size_t i = 0; i < n_roots; i++)
        argv[n++] = roots[i];
    argv[n++] = input;
    argv[n] = NULL;
    return gr_child_spawn(argv, NULL, fds, GR_COUNT(fds), ret, e);
}

// Appends the description of the file to *set.
static int describe(struct gr_cli *cli, const struct asked *a, struct gr_buf *set,
                    struct gr_error *e)
{
    GR_AUTO_CLOSE int set_fd = memfd_create("description", MFD_CLOEXEC);
    GR_AUTO_CLOSE int complaint_fd = memfd_create("complaint", MFD_CLOEXEC);
    char complaint[COMPLAINT_MAX];
    struct gr_child child;
    int status = 0;
    if (set_fd < 0 || complaint_fd < 0)
        return gr_error_set(e, -errno, GR_REASON_INTERNAL, "cannot make a memfd: %s",
                            strerror(errno));
    int r = spawn_protoc(a, set_fd, complaint_fd, &child, e);
    if (r < 0)
        return r;
    close(child.pidfd);
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    read_complaint(complaint_fd, complaint);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "protoc does not take %.200s: %.700s", a->input,
                            *complaint ? complaint : "it died");
    if (*complaint)
        gr_cli_say(cli, "%s", complaint);
    r = read_back(set_fd, set);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL,
                                "%.300s: its description cannot be read: %s; expected at most %u "
                                "bytes",
                                a->input, strerror(-r), GR_PROTO_DESCRIPTION_MAX)
                 : 0;
}

static bool is_there(int dir, const char *name, const struct gr_buf *yaml)
{
    GR_AUTO_BUF struct gr_buf old = GR_BUF(GR_PROTO_YAML_MAX);
    return gr_fs_read(dir, name, &old) == 0 && old.len == yaml->len &&
           !memcmp(old.data, yaml->data, old.len);
}

// What is there already is the author's: it is not overwritten unless he says so.
static int write_contract(const char *path, const struct gr_buf *yaml, bool force,
                          struct gr_error *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    GR_AUTO_FREE char *directory = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    GR_AUTO_CLOSE int dir = -1;
    int r = directory ? gr_fs_open_dir(directory, &dir) : -ENOMEM;
    if (r >= 0 && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && !force) {
        if (is_there(dir, name, yaml))
            return 0;
        return gr_error_set(e, -EEXIST, GR_REASON_NONE,
                            "%.300s is there already and says something else, so it was not "
                            "changed; write another file and compare, or give --force",
                            path);
    }
    if (r >= 0)
        r = gr_fs_write_atomic(dir, name, yaml->data, yaml->len, 0644);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL, "%.300s cannot be written: %s", path,
                                strerror(-r))
                 : 0;
}

static enum gr_exit tell(struct gr_cli *cli, const struct asked *a, const struct gr_name *module,
                         const struct gr_proto_outcome *o)
{
    static const struct gr_column columns[] = {
        {"File", "file", GR_CELL_TEXT, false},
        {"Module", "module", GR_CELL_TEXT, false},
        {"Version", "version", GR_CELL_TEXT, false},
    };
    GR_AUTO_JSON cJSON *made = cJSON_CreateObject();
    cJSON_AddStringToObject(made, "file", a->output);
    cJSON_AddStringToObject(made, "module", module->s);
    cJSON_AddStringToObject(made, "version", "1.0.0");
    cJSON_AddNumberToObject(made, "interfaces", (double)o->n_interfaces);
    cJSON_AddNumberToObject(made, "methods", (double)o->n_methods);
    gr_output_object(cli, made, columns, GR_COUNT(columns), "file");
    gr_cli_say(
        cli,
        "%zu interface%s and %zu method%s; add deadlines and what the module requires, then: "
        "grayling-contract %s",
        o->n_interfaces, o->n_interfaces == 1 ? "" : "s", o->n_methods,
        o->n_methods == 1 ? "" : "s", a->output);
    return GR_EXIT_OK;
}

enum gr_exit gr_verb_contract(struct gr_cli *cli, const struct gr_args *args)
{
    GR_AUTO_BUF struct gr_buf set = GR_BUF(GR_PROTO_DESCRIPTION_MAX);
    GR_AUTO_BUF struct gr_buf yaml = GR_BUF(GR_PROTO_YAML_MAX);
    struct gr_proto_outcome outcome;
    struct gr_name module;
    struct gr_error e = {0};
    struct asked a;
    int r = read_asked(args, &a, &e);
    if (r == 0)
        r = choose_name(&a, &module, &e);
    if (r == 0)
        r = describe(cli, &a, &set, &e);
    if (r == 0)
        r = gr_contract_from_proto(a.input, &module, set.data ? set.data : "", set.len, &yaml,
                                   &outcome, &e);
    bool to_file = strcmp(a.output ? a.output : "", "-") != 0;
    if (r == 0 && to_file)
        r = write_contract(a.output, &yaml, gr_args_has(args, "force"), &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    if (to_file)
        return tell(cli, &a, &module, &outcome);
    fwrite(yaml.data, 1, yaml.len, cli->out);
    return GR_EXIT_OK;
}
