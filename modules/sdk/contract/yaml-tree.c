// The tree is libyaml's own document; this file adds places, strictness and sentences.
#include "modules/sdk/contract/yaml-tree.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct gr_yaml {
    yaml_document_t document;
    char *file;
};

static yaml_node_t *node_of(const struct gr_yaml_node *n)
{
    // libyaml takes a pointer to non-const and changes nothing
    return yaml_document_get_node((yaml_document_t *)&n->yaml->document, n->id);
}

static const char *kind_of(const yaml_node_t *n)
{
    return n->type == YAML_MAPPING_NODE    ? "a mapping"
           : n->type == YAML_SEQUENCE_NODE ? "a list"
                                           : "a single value";
}

static const char *key_text(const struct gr_yaml_node *map, const yaml_node_pair_t *pair)
{
    struct gr_yaml_node key = {.yaml = map->yaml, .id = pair->key};
    return (const char *)node_of(&key)->data.scalar.value;
}

// A node below another one; its place reads "parent" before "step" after. A place that is too long
// for its buffer is shown cut off, with dots.
static struct gr_yaml_node child(const struct gr_yaml_node *parent, int id, const char *before,
                                 const char *step, const char *after)
{
    static const char dots[] = "...";
    struct gr_yaml_node n = {.yaml = parent->yaml, .id = id};
    int len = snprintf(n.path, sizeof n.path, "%s%s%s%s", parent->path, before, step, after);
    if (len >= (int)sizeof n.path)
        memcpy(n.path + sizeof n.path - sizeof dots, dots, sizeof dots);
    return n;
}

int gr_yaml_refuse(const struct gr_yaml_node *n, struct gr_error *e, const char *format, ...)
{
    char sentence[GR_MESSAGE_MAX - 2 * GR_YAML_PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s:%zu: %s%s%s", n->yaml->file,
                        node_of(n)->start_mark.line + 1, n->path, n->path[0] ? ": " : "", sentence);
}

// Loads the next document of the stream; an empty one has no root node.
static int load(yaml_parser_t *parser, const char *file, yaml_document_t *ret, struct gr_error *e)
{
    if (yaml_parser_load(parser, ret))
        return 0;
    if (parser->error == YAML_MEMORY_ERROR)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "%s: out of memory.", file);
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s:%zu: is not YAML: %s%s%s; correct the line.", file,
                        parser->problem_mark.line + 1, parser->problem, parser->context ? " " : "",
                        parser->context ? parser->context : "");
}

static int refuse_second_document(yaml_parser_t *parser, const char *file, struct gr_error *e)
{
    yaml_document_t more;
    int r = load(parser, file, &more, e);
    if (r < 0)
        return r;
    const yaml_node_t *root = yaml_document_get_root_node(&more);
    size_t line = root ? root->start_mark.line + 1 : 0;
    yaml_document_delete(&more);
    if (root)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s:%zu: a second document begins; a contract is one document, "
                            "remove the rest.",
                            file, line);
    return 0;
}

static int parse_document(yaml_parser_t *parser, const char *file, struct gr_yaml **ret,
                          struct gr_error *e)
{
    GR_AUTO_YAML struct gr_yaml *y = calloc(1, sizeof *y);
    if (!y || !(y->file = strdup(file)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "%s: out of memory.", file);
    int r = load(parser, file, &y->document, e);
    if (r < 0)
        return r;
    if (!yaml_document_get_root_node(&y->document))
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s:1: is empty; expected a contract, see docs/WRITING-MODULES.md.",
                            file);
    r = refuse_second_document(parser, file, e);
    if (r < 0)
        return r;
    *ret = gr_steal(y);
    return 0;
}

int gr_yaml_parse(const char *file, const char *text, size_t len, struct gr_yaml **ret,
                  struct gr_error *e)
{
    if (len > GR_YAML_BYTES_MAX)
        return gr_error_set(e, -E2BIG, GR_REASON_TOO_LARGE,
                            "%s: has %zu bytes; a contract may have %u, shorten it.", file, len,
                            GR_YAML_BYTES_MAX);
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "%s: out of memory.", file);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int r = parse_document(&parser, file, ret, e);
    yaml_parser_delete(&parser);
    return r;
}

void gr_yaml_free(struct gr_yaml *y)
{
    if (!y)
        return;
    yaml_document_delete(&y->document);
    free(y->file);
    free(y);
}

struct gr_yaml_node gr_yaml_root(const struct gr_yaml *y)
{
    return (struct gr_yaml_node){.yaml = y, .id = 1};
}

size_t gr_yaml_map_size(const struct gr_yaml_node *map)
{
    const yaml_node_t *n = node_of(map);
    return (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
}

struct gr_yaml_node gr_yaml_map_at(const struct gr_yaml_node *map, size_t i, const char **ret_key)
{
    const yaml_node_pair_t *pair = node_of(map)->data.mapping.pairs.start + i;
    *ret_key = key_text(map, pair);
    return child(map, pair->value, map->path[0] ? "." : "", *ret_key, "");
}

size_t gr_yaml_list_size(const struct gr_yaml_node *list)
{
    const yaml_node_t *n = node_of(list);
    return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

struct gr_yaml_node gr_yaml_list_at(const struct gr_yaml_node *list, size_t i)
{
    char index[24];
    snprintf(index, sizeof index, "%zu", i);
    return child(list, node_of(list)->data.sequence.items.start[i], "[", index, "]");
}

static int check_key(const struct gr_yaml_node *map, size_t i, const char *const *allowed,
                     struct gr_error *e)
{
    const yaml_node_pair_t *pairs = node_of(map)->data.mapping.pairs.start;
    struct gr_yaml_node key = {.yaml = map->yaml, .id = pairs[i].key};
    memcpy(key.path, map->path, sizeof key.path);
    if (node_of(&key)->type != YAML_SCALAR_NODE)
        return gr_yaml_refuse(&key, e, "a key must be a name, not %s; write name: value.",
                              kind_of(node_of(&key)));
    const char *text = key_text(map, &pairs[i]);
    for (size_t before = 0; before < i; before++)
        if (strcmp(key_text(map, &pairs[before]), text) == 0)
            return gr_yaml_refuse(&key, e, "\"%s\" is written twice in %s; keep one of them.", text,
                                  map->path[0] ? map->path : "the contract");
    for (size_t k = 0; allowed && allowed[k]; k++)
        if (strcmp(allowed[k], text) == 0)
            return 0;
    if (!allowed)
        return 0;
    return gr_yaml_refuse(&key, e, "\"%s\" is not a field of %s; correct its name or remove it.",
                          text, map->path[0] ? map->path : "a contract");
}

int gr_yaml_check_map(const struct gr_yaml_node *n, const char *const *allowed, struct gr_error *e)
{
    if (node_of(n)->type != YAML_MAPPING_NODE)
        return gr_yaml_refuse(n, e, "expected a mapping (name: value), found %s.",
                              kind_of(node_of(n)));
    for (size_t i = 0; i < gr_yaml_map_size(n); i++) {
        int r = check_key(n, i, allowed, e);
        if (r < 0)
            return r;
    }
    return 0;
}

bool gr_yaml_member(const struct gr_yaml_node *map, const char *key, struct gr_yaml_node *ret)
{
    for (size_t i = 0; i < gr_yaml_map_size(map); i++) {
        const char *name;
        struct gr_yaml_node n = gr_yaml_map_at(map, i, &name);
        if (strcmp(name, key) == 0) {
            *ret = n;
            return true;
        }
    }
    return false;
}

int gr_yaml_require(const struct gr_yaml_node *map, const char *key, struct gr_yaml_node *ret,
                    struct gr_error *e)
{
    if (gr_yaml_member(map, key, ret))
        return 0;
    return gr_yaml_refuse(map, e, "\"%s\" is missing; add it.", key);
}

int gr_yaml_check_list(const struct gr_yaml_node *n, struct gr_error *e)
{
    if (node_of(n)->type != YAML_SEQUENCE_NODE)
        return gr_yaml_refuse(n, e, "expected a list (- item), found %s.", kind_of(node_of(n)));
    return 0;
}

int gr_yaml_text(const struct gr_yaml_node *n, const char **ret, struct gr_error *e)
{
    const yaml_node_t *node = node_of(n);
    if (node->type != YAML_SCALAR_NODE)
        return gr_yaml_refuse(n, e, "expected a single value, found %s.", kind_of(node));
    const char *text = (const char *)node->data.scalar.value;
    if (node->data.scalar.length == 0 || strlen(text) != node->data.scalar.length)
        return gr_yaml_refuse(n, e, "expected a value, found %s.",
                              node->data.scalar.length == 0 ? "nothing" : "text with a NUL");
    *ret = text;
    return 0;
}

int gr_yaml_bool(const struct gr_yaml_node *n, bool *ret, struct gr_error *e)
{
    const char *text;
    int r = gr_yaml_text(n, &text, e);
    if (r < 0)
        return r;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return gr_yaml_refuse(n, e, "expected true or false, found \"%s\".", text);
    *ret = text[0] == 't';
    return 0;
}
