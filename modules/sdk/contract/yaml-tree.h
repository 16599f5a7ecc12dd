// A YAML text as a tree of nodes that know their place: every complaint names file, line and field.
// Knows YAML and nothing about contracts.
#pragma once
#include "base/error.h"
#include <stddef.h>

#define GR_YAML_BYTES_MAX (64u * 1024) // a contract is a page of text
#define GR_YAML_PATH_MAX 256

struct gr_yaml; // one parsed document

// A place in the document. Valid as long as the document; a value, copy it freely.
struct gr_yaml_node {
    const struct gr_yaml *yaml;
    int id;                      // libyaml's number, 1 is the root
    char path[GR_YAML_PATH_MAX]; // "provides[0].methods.Charge"
};

// Owns: *ret by caller. `file` is the name that complaints carry (copied).
// Fails: -EINVAL/DocumentInvalid (syntax, empty, a second document), -E2BIG, -ENOMEM.
GR_MUST_CHECK int gr_yaml_parse(const char *file, const char *text, size_t len,
                                struct gr_yaml **ret, struct gr_error *e);
void gr_yaml_free(struct gr_yaml *y);
static inline void gr_yaml_freep(struct gr_yaml **y)
{
    gr_yaml_free(*y);
}
#define GR_AUTO_YAML GR_CLEANUP(gr_yaml_freep)
struct gr_yaml_node gr_yaml_root(const struct gr_yaml *y);

// Refuses the node: "file:line: path: sentence". Returns -EINVAL.
int gr_yaml_refuse(const struct gr_yaml_node *n, struct gr_error *e, const char *format, ...)
    GR_PRINTF(3, 4);

// A mapping without duplicate or non-scalar keys. allowed: NULL-terminated list of the only keys;
// NULL: any.
GR_MUST_CHECK int gr_yaml_check_map(const struct gr_yaml_node *n, const char *const *allowed,
                                    struct gr_error *e);
// The value of a key of a checked mapping; false: not there, *ret untouched.
bool gr_yaml_member(const struct gr_yaml_node *map, const char *key, struct gr_yaml_node *ret);
GR_MUST_CHECK int gr_yaml_require(const struct gr_yaml_node *map, const char *key,
                                  struct gr_yaml_node *ret, struct gr_error *e);
// Entries of a mapping in the order in which they were written.
size_t gr_yaml_map_size(const struct gr_yaml_node *map);
struct gr_yaml_node gr_yaml_map_at(const struct gr_yaml_node *map, size_t i, const char **ret_key);

GR_MUST_CHECK int gr_yaml_check_list(const struct gr_yaml_node *n, struct gr_error *e);
size_t gr_yaml_list_size(const struct gr_yaml_node *list);
struct gr_yaml_node gr_yaml_list_at(const struct gr_yaml_node *list, size_t i);

// The text of a scalar (borrowed, no NUL inside). Fails: -EINVAL for lists, mappings, empty text.
GR_MUST_CHECK int gr_yaml_text(const struct gr_yaml_node *n, const char **ret, struct gr_error *e);
// true and false only; YAML's yes, no, on and off are refused because readers differ about them.
GR_MUST_CHECK int gr_yaml_bool(const struct gr_yaml_node *n, bool *ret, struct gr_error *e);
