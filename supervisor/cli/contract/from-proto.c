// Reads what it needs of a FileDescriptorSet, service by service, and writes as it goes. Everything
// written has passed a check that leaves nothing to be quoted; comments lose what YAML would take
// for a line's end.
#include "cli/contract/from-proto.h"
#include "base/contract.h"
#include "base/utf8.h"
#include "cli/contract/wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

// Field numbers of descriptor.proto.
enum { SET_FILE = 1 };
enum { FILE_PACKAGE = 2, FILE_SERVICE = 6, FILE_SOURCE = 9 };
enum { SERVICE_NAME = 1, SERVICE_METHOD = 2 };
enum {
    METHOD_NAME = 1,
    METHOD_INPUT = 2,
    METHOD_OUTPUT = 3,
    METHOD_OPTIONS = 4,
    METHOD_CLIENT_STREAMS = 5,
    METHOD_SERVER_STREAMS = 6
};
enum { OPTIONS_IDEMPOTENCY = 34 }; // 0: unknown; 1: no side effects; 2: idempotent
enum { SOURCE_LOCATION = 1, LOCATION_PATH = 1, LOCATION_LEADING = 3 };

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define WORD LETTERS "0123456789_"
#define COMMENT_LINES_MAX 24 // of one service or method; a page of text belongs elsewhere
#define PATH_MAX_NUMBERS 4   // service 6, its index, method 2, its index

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_r_ = (call);                                                                       \
        if (try_r_ < 0)                                                                            \
            return try_r_;                                                                         \
    } while (0)

struct generation {
    const char *file;
    struct gr_wire source; // SourceCodeInfo; empty: no comments are known
    char package[GR_INTERFACE_MAX + 1];
    struct gr_buf *yaml;
    struct gr_proto_outcome outcome;
    struct gr_error *e;
};

static int malformed(struct generation *g)
{
    return gr_error_set(g->e, -EBADMSG, GR_REASON_INTERNAL,
                        "%.300s: protoc's description of it cannot be read; expected a "
                        "FileDescriptorSet: try another release of protoc",
                        g->file);
}

// The last field of that number, as protobuf has it; false: absent or malformed.
static bool find(struct gr_wire message, uint64_t number, struct gr_wire_field *ret)
{
    struct gr_wire_field f;
    bool found = false;
    int r;
    *ret = (struct gr_wire_field){0};
    while ((r = gr_wire_next(&message, &f)) == 1)
        if (f.number == number) {
            *ret = f;
            found = true;
        }
    return found && r == 0;
}

static bool is_set(struct gr_wire message, uint64_t number)
{
    struct gr_wire_field f;
    return find(message, number, &f) && f.type == GR_WIRE_VARINT && f.value != 0;
}

// "com.example.Pay": words begun by a letter; without `dots` one of them, else at least two.
static bool is_name(const char *text, bool dots)
{
    size_t n = 0;
    for (const char *p = text;; p++, n++) {
        if (strspn(p, LETTERS) == 0)
            return false;
        p += strspn(p, WORD);
        if (!*p)
            return dots == (n > 0);
        if (*p != '.')
            return false;
    }
}

// Copies text; what does not fit, or holds a NUL, becomes "".
static void read_text(struct gr_wire message, uint64_t number, char *ret, size_t cap)
{
    struct gr_wire_field f;
    *ret = '\0';
    if (!find(message, number, &f) || f.type != GR_WIRE_BYTES || f.bytes.left >= cap ||
        (f.bytes.left && memchr(f.bytes.at, 0, f.bytes.left)))
        return;
    if (f.bytes.left)
        memcpy(ret, f.bytes.at, f.bytes.left);
    ret[f.bytes.left] = '\0';
}

static bool same_path(struct gr_wire packed, const uint64_t *path, size_t n)
{
    uint64_t number;
    size_t i = 0;
    while (gr_wire_number(&packed, &number) == 1)
        if (i >= n || path[i++] != number)
            return false;
    return i == n;
}

// The comment before the thing that the path leads to.
static bool find_comment(struct gr_wire source, const uint64_t *path, size_t n, struct gr_wire *ret)
{
    struct gr_wire_field location, f;
    while (gr_wire_next(&source, &location) == 1) {
        if (location.number != SOURCE_LOCATION || location.type != GR_WIRE_BYTES ||
            !find(location.bytes, LOCATION_PATH, &f) || f.type != GR_WIRE_BYTES ||
            !same_path(f.bytes, path, n))
            continue;
        if (!find(location.bytes, LOCATION_LEADING, &f) || f.type != GR_WIRE_BYTES)
            return false;
        *ret = f.bytes;
        return true;
    }
    return false;
}

// Whether a sequence may stand in a comment: C1 controls, U+2028, U+2029 and U+FEFF end a line or
// the document for one reader or another.
static bool is_plain(const char *bytes, size_t n)
{
    static const char *const refused[] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
                                          "\xef\xbf\xbe", "\xef\xbf\xbf"};
    if (n == 1)
        return (*bytes >= ' ' && *bytes != 0x7f) || *bytes == '\t';
    if (n == 2 && (unsigned char)bytes[0] == 0xc2 && (unsigned char)bytes[1] < 0xa0)
        return false;
    for (size_t i = 0; i < GR_COUNT(refused); i++)
        if (n == 3 && !memcmp(bytes, refused[i], 3))
            return false;
    return n > 0;
}

static int write_line(struct generation *g, const char *indent, const char *line, size_t len)
{
    while (len > 0 && strchr(" \t\r", line[len - 1]))
        len--;
    TRY(gr_buf_printf(g->yaml, "%s#%s", indent, len && *line != ' ' ? " " : ""));
    for (size_t i = 0; i < len;) {
        size_t n = gr_utf8_sequence(line + i, len - i);
        bool plain = is_plain(line + i, n);
        TRY(gr_buf_append(g->yaml, plain ? line + i : "?", plain ? n : 1));
        i += n ? n : 1;
    }
    return gr_buf_append(g->yaml, "\n", 1);
}

static int write_comment(struct generation *g, const char *indent, const uint64_t *path, size_t n)
{
    struct gr_wire comment;
    if (!find_comment(g->source, path, n, &comment))
        return 0;
    const char *text = (const char *)comment.at;
    size_t left = comment.left;
    for (size_t i = 0; left > 0 && i < COMMENT_LINES_MAX; i++) {
        const char *end = memchr(text, '\n', left);
        size_t len = end ? (size_t)(end - text) : left;
        TRY(write_line(g, indent, text, len));
        len += end != NULL;
        text += len;
        left -= len;
    }
    return left ? gr_buf_printf(g->yaml, "%s# ...\n", indent) : 0;
}

// ".com.example.pay.ChargeRequest", as protoc writes it, without its first dot.
static int write_type(struct generation *g, struct gr_wire method, const char *name,
                      uint64_t number, const char *field)
{
    char type[GR_TYPE_MAX + 2];
    read_text(method, number, type, sizeof type);
    if (*type != '.' || !is_name(type + 1, true))
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: the %s of %s has no type of a package and at most %d bytes; "
                            "expected one like com.example.pay.ChargeRequest: give its file a "
                            "package",
                            g->file, field, name, GR_TYPE_MAX);
    return gr_buf_printf(g->yaml, "        %s: %s\n", field, type + 1);
}

static int write_method(struct generation *g, const char *interface, struct gr_wire method,
                        const uint64_t *path)
{
    char name[GR_METHOD_MAX + 1];
    struct gr_wire_field options;
    read_text(method, METHOD_NAME, name, sizeof name);
    if (!is_name(name, false))
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: a method of %s has a name that a contract cannot hold; "
                            "expected a letter, then letters, digits and _, at most %d",
                            g->file, interface, GR_METHOD_MAX);
    if (is_set(method, METHOD_CLIENT_STREAMS) || is_set(method, METHOD_SERVER_STREAMS))
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: %s/%s streams; expected one request and one response: leave "
                            "\"stream\" out, or move the method to a service that is not a "
                            "module's",
                            g->file, interface, name);
    if (++g->outcome.n_methods > GR_METHODS_MAX)
        return gr_error_set(g->e, -E2BIG, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: %s/%s is method %zu; expected at most %d in all services of "
                            "one module: make two modules of it",
                            g->file, interface, name, g->outcome.n_methods, GR_METHODS_MAX);
    TRY(write_comment(g, "      ", path, 4));
    TRY(gr_buf_printf(g->yaml, "      %s:\n", name));
    TRY(write_type(g, method, name, METHOD_INPUT, "input"));
    TRY(write_type(g, method, name, METHOD_OUTPUT, "output"));
    bool idempotent = find(method, METHOD_OPTIONS, &options) && options.type == GR_WIRE_BYTES &&
                      is_set(options.bytes, OPTIONS_IDEMPOTENCY);
    return gr_buf_printf(g->yaml, "        idempotent: %s\n", idempotent ? "true" : "false");
}

static int write_service(struct generation *g, struct gr_wire service, uint64_t index)
{
    uint64_t path[PATH_MAX_NUMBERS] = {FILE_SERVICE, index, SERVICE_METHOD, 0};
    char name[GR_INTERFACE_MAX + 1], interface[sizeof name + sizeof g->package];
    struct gr_wire_field f;
    size_t before = g->outcome.n_methods;
    int r;
    read_text(service, SERVICE_NAME, name, sizeof name);
    snprintf(interface, sizeof interface, "%s.%s", g->package, name);
    if (!is_name(name, false) || strlen(interface) > GR_INTERFACE_MAX)
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: its service %s has a name that a contract cannot hold; "
                            "expected words begun by a letter, with the package at most %d bytes",
                            g->file, name, GR_INTERFACE_MAX);
    TRY(write_comment(g, "  ", path, 2));
    TRY(gr_buf_printf(g->yaml, "  - interface: %s\n    version: 1.0.0\n    methods:\n", interface));
    while ((r = gr_wire_next(&service, &f)) == 1) {
        if (f.number != SERVICE_METHOD || f.type != GR_WIRE_BYTES)
            continue;
        TRY(write_method(g, interface, f.bytes, path));
        path[3]++;
    }
    if (r < 0)
        return malformed(g);
    if (g->outcome.n_methods == before)
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s: its service %s has no method; expected at least one: add it, "
                            "or remove the service",
                            g->file, name);
    g->outcome.n_interfaces++;
    return 0;
}

static int write_services(struct generation *g, struct gr_wire file)
{
    struct gr_wire_field f;
    int r;
    while ((r = gr_wire_next(&file, &f)) == 1)
        if (f.number == FILE_SERVICE && f.type == GR_WIRE_BYTES)
            TRY(write_service(g, f.bytes, g->outcome.n_interfaces));
    if (r < 0)
        return malformed(g);
    if (g->outcome.n_interfaces == 0)
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s declares no service; a module provides at least one: add "
                            "service NAME { rpc METHOD(REQUEST) returns (RESPONSE); }",
                            g->file);
    return 0;
}

static int write_contract(struct generation *g, const struct gr_name *module, struct gr_wire file)
{
    struct gr_wire_field f;
    read_text(file, FILE_PACKAGE, g->package, sizeof g->package);
    char probe[sizeof g->package + 2];
    snprintf(probe, sizeof probe, "%s.x", g->package);
    if (!is_name(probe, true))
        return gr_error_set(g->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%.300s has no package that a contract can name; an interface is "
                            "called package.Service: add a line like package com.example.pay;",
                            g->file);
    if (find(file, FILE_SOURCE, &f) && f.type == GR_WIRE_BYTES)
        g->source = f.bytes;
    TRY(gr_buf_printf(g->yaml,
                      "# Made from a .proto file; from here on yours. No codec is named, so JSON "
                      "and protobuf are both taken.\nmodule: %s\nversion: 1.0.0\nprovides:\n",
                      module->s));
    return write_services(g, file);
}

int gr_contract_from_proto(const char *file, const struct gr_name *module, const void *set,
                           size_t len, struct gr_buf *yaml, struct gr_proto_outcome *ret,
                           struct gr_error *e)
{
    struct generation g = {.file = file, .yaml = yaml, .e = e};
    struct gr_wire_field described;
    if (!find((struct gr_wire){.at = set, .left = len}, SET_FILE, &described) ||
        described.type != GR_WIRE_BYTES)
        return malformed(&g);
    *e = (struct gr_error){0};
    int r = write_contract(&g, module, described.bytes);
    if (r < 0 && !e->message[0])
        gr_error_set(e, r, GR_REASON_DOCUMENT_INVALID,
                     "%.300s makes a contract above %u bytes; shorten its comments", file,
                     GR_PROTO_YAML_MAX);
    if (r == 0)
        *ret = g.outcome;
    return r;
}
