// The fields of module.yaml, one function each: checks the field and writes its JSON member.
// Everything written has passed a check that leaves no character to be escaped.
#include "modules/sdk/contract/compile.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/limits.h"
#include "modules/sdk/contract/yaml-tree.h"
#include <errno.h>
#include <grayling/module.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define WORD LETTERS DIGITS "_"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_r_ = (call);                                                                       \
        if (try_r_ < 0)                                                                            \
            return try_r_;                                                                         \
    } while (0)

struct compilation {
    const struct gr_contract_options *options;
    struct gr_buf *json;
    struct gr_error *e;
};

static bool is_word(const char *text, size_t max)
{
    size_t len = strlen(text);
    return len <= max && strspn(text, WORD) == len && strspn(text, LETTERS) > 0;
}

// "com.example.pay.PayService": words, each begun by a letter, joined by dots; at least two.
static bool is_dotted(const char *text)
{
    if (strlen(text) > GR_INTERFACE_MAX)
        return false;
    size_t dots = 0;
    for (const char *p = text;;) {
        size_t word = strspn(p, WORD);
        if (strspn(p, LETTERS) == 0)
            return false;
        p += word;
        if (*p == '\0')
            return dots > 0;
        if (*p++ != '.')
            return false;
        dots++;
    }
}

static int write_text(struct compilation *c, const char *before, const char *text)
{
    return gr_buf_printf(c->json, "%s\"%s\"", before, text);
}

static int compile_module(struct compilation *c, const struct gr_yaml_node *root)
{
    struct gr_yaml_node n;
    const char *text;
    struct gr_name name;
    TRY(gr_yaml_require(root, "module", &n, c->e));
    TRY(gr_yaml_text(&n, &text, c->e));
    if (gr_name_parse(text, strlen(text), &name) < 0)
        return gr_yaml_refuse(
            &n, c->e, "\"%s\" is no module name; expected [a-z0-9][a-z0-9._-]{0,63}.", text);
    if (c->options->module && strcmp(c->options->module, text) != 0)
        return gr_yaml_refuse(
            &n, c->e, "says \"%s\" while the build makes module \"%s\"; make them the same.", text,
            c->options->module);
    return write_text(c, "{\"module\":", text);
}

static int compile_version(struct compilation *c, const struct gr_yaml_node *root)
{
    struct gr_yaml_node n;
    const char *text;
    struct gr_version version;
    TRY(gr_yaml_require(root, "version", &n, c->e));
    TRY(gr_yaml_text(&n, &text, c->e));
    if (gr_version_parse(text, &version) < 0)
        return gr_yaml_refuse(
            &n, c->e, "\"%s\" is no semantic version; expected one like 1.0.0 (semver.org).", text);
    if (c->options->version) {
        text = c->options->version;
        if (gr_version_parse(text, &version) < 0)
            return gr_yaml_refuse(&n, c->e,
                                  "the build's version \"%s\" is no semantic version; expected one "
                                  "like 1.0.0 (semver.org).",
                                  text);
    }
    return write_text(c, ",\"version\":", text);
}

// Appends one of two words; the first when the field is absent.
static int compile_choice(struct compilation *c, const struct gr_yaml_node *map, const char *field,
                          const char *first, const char *second, const char *before)
{
    struct gr_yaml_node n;
    const char *text = first;
    if (gr_yaml_member(map, field, &n))
        TRY(gr_yaml_text(&n, &text, c->e));
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0)
        return gr_yaml_refuse(&n, c->e, "expected %s or %s, found \"%s\".", first, second, text);
    return write_text(c, before, text);
}

// Appends a duration in its shortest exact form.
static int compile_duration(struct compilation *c, const struct gr_yaml_node *n, const char *before)
{
    const char *text;
    uint64_t usec;
    char shortest[32];
    TRY(gr_yaml_text(n, &text, c->e));
    if (gr_duration_parse(text, &usec) < 0 || usec == 0)
        return gr_yaml_refuse(
            n, c->e, "expected a duration like 250ms or 2s, greater than zero, found \"%s\".",
            text);
    return write_text(c, before, gr_duration_format(usec, shortest));
}

// Appends the message type "input":"...", if the field is there.
static int compile_type(struct compilation *c, const struct gr_yaml_node *map, const char *field)
{
    struct gr_yaml_node n;
    const char *text;
    if (!gr_yaml_member(map, field, &n))
        return 0;
    TRY(gr_yaml_text(&n, &text, c->e));
    if (!is_dotted(text))
        return gr_yaml_refuse(
            &n, c->e, "\"%s\" is no message type; expected one like com.example.pay.ChargeRequest.",
            text);
    return gr_buf_printf(c->json, "\"%s\":\"%s\",", field, text);
}

// The members of a method are all optional but the last, so each brings the comma that follows it.
static int compile_method(struct compilation *c, const struct gr_yaml_node *n, const char *name)
{
    static const char *const fields[] = {"input",    "output",     "codec",
                                         "deadline", "idempotent", NULL};
    struct gr_yaml_node member;
    bool idempotent = false;
    if (!is_word(name, GR_METHOD_MAX))
        return gr_yaml_refuse(
            n, c->e, "\"%s\" is no method name; expected letters, digits and _, at most %d.", name,
            GR_METHOD_MAX);
    TRY(gr_yaml_check_map(n, fields, c->e));
    TRY(gr_buf_printf(c->json, "\"%s\":{", name));
    TRY(compile_type(c, n, "input"));
    TRY(compile_type(c, n, "output"));
    if (gr_yaml_member(n, "codec", &member)) {
        TRY(compile_choice(c, n, "codec", "json", "proto", "\"codec\":"));
        TRY(gr_buf_printf(c->json, ","));
    }
    if (gr_yaml_member(n, "deadline", &member)) {
        TRY(compile_duration(c, &member, "\"deadline\":"));
        TRY(gr_buf_printf(c->json, ","));
    }
    if (gr_yaml_member(n, "idempotent", &member))
        TRY(gr_yaml_bool(&member, &idempotent, c->e));
    return gr_buf_printf(c->json, "\"idempotent\":%s}", idempotent ? "true" : "false");
}

static int compile_interface_name(struct compilation *c, const struct gr_yaml_node *n,
                                  const char *text)
{
    if (!is_dotted(text))
        return gr_yaml_refuse(
            n, c->e, "\"%s\" is no interface name; expected one like com.example.pay.PayService.",
            text);
    return 0;
}

// Interfaces of a module are told apart by name only, so a name may be there once.
static int refuse_repeated_interface(struct compilation *c, const struct gr_yaml_node *provides,
                                     size_t index, const struct gr_yaml_node *n, const char *text)
{
    for (size_t i = 0; i < index; i++) {
        struct gr_yaml_node before = gr_yaml_list_at(provides, i), name;
        const char *other;
        TRY(gr_yaml_require(&before, "interface", &name, c->e));
        TRY(gr_yaml_text(&name, &other, c->e));
        if (strcmp(other, text) == 0)
            return gr_yaml_refuse(n, c->e, "\"%s\" is provided twice; keep one of them.", text);
    }
    return 0;
}

static int compile_interface(struct compilation *c, const struct gr_yaml_node *provides,
                             size_t index, size_t *n_methods)
{
    static const char *const fields[] = {"interface", "version", "methods", NULL};
    struct gr_yaml_node n = gr_yaml_list_at(provides, index), member, methods;
    const char *text;
    struct gr_version version;
    TRY(gr_yaml_check_map(&n, fields, c->e));
    TRY(gr_yaml_require(&n, "interface", &member, c->e));
    TRY(gr_yaml_text(&member, &text, c->e));
    TRY(compile_interface_name(c, &member, text));
    TRY(refuse_repeated_interface(c, provides, index, &member, text));
    TRY(write_text(c, index ? ",{\"interface\":" : "{\"interface\":", text));
    TRY(gr_yaml_require(&n, "version", &member, c->e));
    TRY(gr_yaml_text(&member, &text, c->e));
    if (gr_version_parse(text, &version) < 0)
        return gr_yaml_refuse(&member, c->e,
                              "\"%s\" is no semantic version; expected one like 1.0.0.", text);
    TRY(write_text(c, ",\"version\":", text));
    TRY(gr_yaml_require(&n, "methods", &methods, c->e));
    TRY(gr_yaml_check_map(&methods, NULL, c->e));
    size_t count = gr_yaml_map_size(&methods);
    *n_methods += count;
    if (count == 0 || *n_methods > GR_METHODS_MAX)
        return gr_yaml_refuse(&methods, c->e,
                              "brings the module to %zu methods; expected at least one here and at "
                              "most %d in all.",
                              *n_methods, GR_METHODS_MAX);
    TRY(gr_buf_printf(c->json, ",\"methods\":{"));
    for (size_t i = 0; i < count; i++) {
        const char *name;
        struct gr_yaml_node method = gr_yaml_map_at(&methods, i, &name);
        TRY(gr_buf_printf(c->json, "%s", i ? "," : ""));
        TRY(compile_method(c, &method, name));
    }
    return gr_buf_printf(c->json, "}}");
}

static int compile_provides(struct compilation *c, const struct gr_yaml_node *root)
{
    struct gr_yaml_node provides;
    size_t n_methods = 0;
    TRY(gr_yaml_require(root, "provides", &provides, c->e));
    TRY(gr_yaml_check_list(&provides, c->e));
    if (gr_yaml_list_size(&provides) == 0)
        return gr_yaml_refuse(&provides, c->e, "is empty; a module provides an interface, add it.");
    TRY(gr_buf_printf(c->json, ",\"provides\":["));
    for (size_t i = 0; i < gr_yaml_list_size(&provides); i++)
        TRY(compile_interface(c, &provides, i, &n_methods));
    return gr_buf_printf(c->json, "]");
}

static int check_range(struct compilation *c, const struct gr_yaml_node *n, const char *text)
{
    struct gr_range range;
    struct gr_error why = {0};
    return gr_range_parse(text, &range, &why) < 0 ? gr_yaml_refuse(n, c->e, "%s.", why.message) : 0;
}

static int check_need(struct compilation *c, const struct gr_yaml_node *root, const char *field,
                      const struct gr_yaml_node *need, const char *name)
{
    struct gr_yaml_node required, twice;
    const char *range;
    TRY(compile_interface_name(c, need, name));
    if (strcmp(field, "optional") == 0 && gr_yaml_member(root, "requires", &required) &&
        gr_yaml_member(&required, name, &twice))
        return gr_yaml_refuse(need, c->e, "is required already; keep one of the two.");
    TRY(gr_yaml_text(need, &range, c->e));
    return check_range(c, need, range);
}

// The entry whose name comes next after `last` in the order of bytes.
static struct gr_yaml_node next_need(const struct gr_yaml_node *needs, const char *last,
                                     const char **ret_name)
{
    struct gr_yaml_node next = {0};
    *ret_name = NULL;
    for (size_t i = 0; i < gr_yaml_map_size(needs); i++) {
        const char *name;
        struct gr_yaml_node need = gr_yaml_map_at(needs, i, &name);
        if (strcmp(name, last) <= 0 || (*ret_name && strcmp(name, *ret_name) >= 0))
            continue;
        next = need;
        *ret_name = name;
    }
    return next;
}

// Which interfaces the module calls, sorted: always written, {} when it calls none.
static int compile_needs(struct compilation *c, const struct gr_yaml_node *root, const char *field)
{
    struct gr_yaml_node needs;
    const char *name = "", *range;
    TRY(gr_buf_printf(c->json, ",\"%s\":{", field));
    if (!gr_yaml_member(root, field, &needs))
        return gr_buf_printf(c->json, "}");
    TRY(gr_yaml_check_map(&needs, NULL, c->e));
    size_t count = gr_yaml_map_size(&needs);
    if (count > GR_MODULES_MAX)
        return gr_yaml_refuse(&needs, c->e, "names %zu interfaces; expected at most %d.", count,
                              GR_MODULES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct gr_yaml_node need = gr_yaml_map_at(&needs, i, &name);
        TRY(check_need(c, root, field, &need, name));
    }
    name = "";
    for (size_t i = 0; i < count; i++) {
        struct gr_yaml_node need = next_need(&needs, name, &name);
        TRY(gr_yaml_text(&need, &range, c->e));
        TRY(gr_buf_printf(c->json, "%s\"%s\":\"%s\"", i ? "," : "", name, range));
    }
    return gr_buf_printf(c->json, "}");
}

// Whether, or with which group of modules, this one must be upgraded in one rollout.
static int compile_upgrade_lock(struct compilation *c, const struct gr_yaml_node *root)
{
    struct gr_yaml_node n;
    const char *text;
    struct gr_name group;
    if (!gr_yaml_member(root, "upgrade_lock", &n))
        return 0;
    TRY(gr_yaml_text(&n, &text, c->e));
    if (strcmp(text, "false") == 0) // as when it is absent
        return 0;
    if (strcmp(text, "true") == 0)
        return gr_buf_printf(c->json, ",\"upgrade_lock\":true");
    if (gr_name_parse(text, strlen(text), &group) < 0)
        return gr_yaml_refuse(&n, c->e,
                              "expected true, false or the name of a group "
                              "([a-z0-9][a-z0-9._-]{0,63}), found \"%s\".",
                              text);
    return write_text(c, ",\"upgrade_lock\":", text);
}

// Appends a share between 0 and 1 as decimal digits, without zeros that say nothing.
static int compile_share(struct compilation *c, const struct gr_yaml_node *n, const char *before)
{
    const char *text;
    TRY(gr_yaml_text(n, &text, c->e));
    size_t len = strlen(text);
    bool fraction =
        strncmp(text, "0.", 2) == 0 && len > 2 && len <= 12 && strspn(text + 2, DIGITS) == len - 2;
    if (!fraction && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
        return gr_yaml_refuse(n, c->e, "expected a share between 0 and 1 like 0.001, found \"%s\".",
                              text);
    while (fraction && text[len - 1] == '0')
        len--;
    if (fraction && text[len - 1] == '.')
        len--;
    return gr_buf_printf(c->json, "%s%.*s", before, (int)len, text);
}

static int compile_sla(struct compilation *c, const struct gr_yaml_node *root)
{
    static const char *const fields[] = {"p99", "error_rate", NULL};
    struct gr_yaml_node sla, n;
    if (!gr_yaml_member(root, "sla", &sla))
        return 0;
    TRY(gr_yaml_check_map(&sla, fields, c->e));
    if (gr_yaml_map_size(&sla) == 0) // as when it is absent
        return 0;
    TRY(gr_buf_printf(c->json, ",\"sla\":{"));
    bool p99 = gr_yaml_member(&sla, "p99", &n);
    if (p99)
        TRY(compile_duration(c, &n, "\"p99\":"));
    if (gr_yaml_member(&sla, "error_rate", &n))
        TRY(compile_share(c, &n, p99 ? ",\"error_rate\":" : "\"error_rate\":"));
    return gr_buf_printf(c->json, "}");
}

static int read_schema(struct compilation *c, const struct gr_yaml_node *n, unsigned *ret)
{
    const char *text;
    TRY(gr_yaml_text(n, &text, c->e));
    if (strspn(text, DIGITS) != strlen(text) || strlen(text) > 9 || text[0] == '0')
        return gr_yaml_refuse(n, c->e, "expected a schema number from 1 on, found \"%s\".", text);
    *ret = (unsigned)strtoul(text, NULL, 10); // at most nine digits
    return 0;
}

// Appends the numbers, sorted.
static int compile_imports(struct compilation *c, const struct gr_yaml_node *list)
{
    unsigned sorted[GR_STATE_IMPORTS_MAX];
    size_t count = gr_yaml_list_size(list);
    if (count > GR_STATE_IMPORTS_MAX)
        return gr_yaml_refuse(list, c->e, "lists %zu schema numbers; expected at most %d.", count,
                              GR_STATE_IMPORTS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct gr_yaml_node item = gr_yaml_list_at(list, i);
        unsigned schema;
        size_t at = i;
        TRY(read_schema(c, &item, &schema));
        for (; at > 0 && sorted[at - 1] > schema; at--)
            sorted[at] = sorted[at - 1];
        if (at > 0 && sorted[at - 1] == schema)
            return gr_yaml_refuse(&item, c->e, "schema %u is listed twice; keep one.", schema);
        sorted[at] = schema;
    }
    for (size_t i = 0; i < count; i++)
        TRY(gr_buf_printf(c->json, "%s%u", i ? "," : "", sorted[i]));
    return 0;
}

static int compile_state(struct compilation *c, const struct gr_yaml_node *root)
{
    static const char *const fields[] = {"schema", "imports", NULL};
    struct gr_yaml_node state, n;
    unsigned schema;
    if (!gr_yaml_member(root, "state", &state))
        return 0;
    TRY(gr_yaml_check_map(&state, fields, c->e));
    TRY(gr_yaml_require(&state, "schema", &n, c->e));
    TRY(read_schema(c, &n, &schema));
    TRY(gr_buf_printf(c->json, ",\"state\":{\"schema\":%u,\"imports\":[", schema));
    if (gr_yaml_member(&state, "imports", &n)) {
        TRY(gr_yaml_check_list(&n, c->e));
        TRY(compile_imports(c, &n));
    }
    return gr_buf_printf(c->json, "]}");
}

static int compile_contract(struct compilation *c, const struct gr_yaml_node *root)
{
    static const char *const fields[] = {"module",    "version",      "provides", "requires",
                                         "optional",  "upgrade_lock", "sla",      "state",
                                         "execution", "isolation",    NULL};
    TRY(gr_yaml_check_map(root, fields, c->e));
    TRY(compile_module(c, root));
    TRY(compile_version(c, root));
    TRY(gr_buf_printf(c->json, ",\"abi\":{\"major\":%u,\"minor\":%u}", GRAYLING_ABI_MAJOR,
                      GRAYLING_ABI_MINOR));
    TRY(compile_provides(c, root));
    TRY(compile_needs(c, root, "requires"));
    TRY(compile_needs(c, root, "optional"));
    TRY(compile_upgrade_lock(c, root));
    TRY(compile_sla(c, root));
    TRY(compile_state(c, root));
    TRY(compile_choice(c, root, "execution", "inline", "pool", ",\"execution\":"));
    TRY(compile_choice(c, root, "isolation", "worker", "process", ",\"isolation\":"));
    return gr_buf_printf(c->json, "}");
}

int gr_contract_compile(const struct gr_contract_options *o, const char *yaml, size_t len,
                        struct gr_buf *json, struct gr_error *e)
{
    GR_AUTO_YAML struct gr_yaml *tree = NULL;
    struct compilation c = {.options = o, .json = json, .e = e};
    TRY(gr_yaml_parse(o->file, yaml, len, &tree, e));
    struct gr_yaml_node root = gr_yaml_root(tree);
    return compile_contract(&c, &root);
}
