// grayling-contract: the command line of the contract compiler. Exit status as grayctl's: 0 ok,
// 1 internal, 2 usage, 5 the contract was refused.
#include "base/fs.h"
#include "modules/sdk/contract/compile.h"
#include "modules/sdk/contract/yaml-tree.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define SOURCE_BYTES_MAX (8u * GR_CONTRACT_JSON_MAX)

static const char usage[] =
    "Usage: grayling-contract [OPTION]... MODULE.yaml\n"
    "Checks a module's contract and prints it as JSON.\n"
    "  --module NAME      refuse a contract of another module\n"
    "  --version VERSION  put VERSION in place of the declared version\n"
    "  --output FILE.c    write the C source of the ELF note instead of printing\n"
    "  --help\n";

struct arguments {
    struct gr_contract_options contract;
    const char *output;
};

static void parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {{"module", required_argument, NULL, 'm'},
                                            {"version", required_argument, NULL, 'v'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'm':
            a->contract.module = optarg;
            break;
        case 'v':
            a->contract.version = optarg;
            break;
        case 'o':
            a->output = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (argc - optind != 1) {
        fputs(usage, stderr);
        exit(2);
    }
    a->contract.file = argv[optind];
}

// Opens the directory of a path; *ret_name is the rest of it (borrowed).
static int open_parent(const char *path, int *ret_fd, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    GR_AUTO_FREE char *directory = len ? strndup(path, len) : strdup(".");
    if (!directory)
        return -ENOMEM;
    *ret_name = path + len;
    return gr_fs_open_dir(directory, ret_fd);
}

static int read_file(const char *path, struct gr_buf *b)
{
    GR_AUTO_CLOSE int fd = -1;
    const char *name;
    int r = open_parent(path, &fd, &name);
    return r < 0 ? r : gr_fs_read(fd, name, b);
}

// As a whole or not at all, so that a build never compiles half a note.
static int write_file(const char *path, const struct gr_buf *b)
{
    GR_AUTO_CLOSE int fd = -1;
    const char *name;
    int r = open_parent(path, &fd, &name);
    return r < 0 ? r : gr_fs_write_atomic(fd, name, b->data, b->len, 0644);
}

static int fail(const char *what, const char *path, int r)
{
    fprintf(stderr, "grayling-contract: cannot %s %s: %s.\n", what, path, strerror(-r));
    return 1;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    parse_arguments(argc, argv, &a);
    GR_AUTO_BUF struct gr_buf yaml = GR_BUF(GR_YAML_BYTES_MAX);
    GR_AUTO_BUF struct gr_buf json = GR_BUF(GR_CONTRACT_JSON_MAX);
    GR_AUTO_BUF struct gr_buf source = GR_BUF(SOURCE_BYTES_MAX);
    struct gr_error e = {0};
    int r = read_file(a.contract.file, &yaml);
    if (r < 0)
        return fail("read", a.contract.file, r);
    if (gr_contract_compile(&a.contract, yaml.data ? yaml.data : "", yaml.len, &json, &e) < 0) {
        fprintf(stderr, "%s\n", e.message);
        return 5;
    }
    if (!a.output) {
        puts(json.data);
        return 0;
    }
    r = gr_contract_emit_note(json.data, &source);
    if (r == 0)
        r = write_file(a.output, &source);
    return r < 0 ? fail("write", a.output, r) : 0;
}
