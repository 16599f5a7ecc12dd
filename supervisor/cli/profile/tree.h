// The calls that were met, as a tree: a node is a function as called from its parent, with the
// samples in it. From it come folded stacks, the flame graph and the list of functions.
#pragma once
#include "cli/profile/recording.h"
#include <stdio.h>

struct gr_call_node {
    char *function;                       // its name; "[libc.so.6]" when none is known
    char *module;                         // "pay-1.1.0"; "" none: the host's, or a library's
    uint64_t self, total;                 // samples
    struct gr_call_node *children, *next; // by name
};
struct gr_call_tree {
    struct gr_call_node root; // the process
    size_t n, dropped;        // nodes; stacks that had no place
    char **unread;            // files whose functions could not be read, each with why
    size_t n_unread;
};
// `module`: only stacks with a function of that module ("pay"); NULL: all. Reads the files that the
// recording names. Fails: -ENOMEM.
GR_MUST_CHECK int gr_call_tree_build(const struct gr_recording *r, const char *module,
                                     struct gr_call_tree *ret);
void gr_call_tree_done(struct gr_call_tree *t);
// One line each stack, outermost first: "grayling-worker;main;hot_loop@pay-1.1.0 42".
void gr_call_tree_fold(const struct gr_call_tree *t, FILE *to);

struct gr_hot_function {
    const char *function, *module; // borrowed from the tree
    uint64_t self, total;          // a function that calls itself counts once in total
};
// By self, largest first. Owns: *ret by the caller (free). Fails: -ENOMEM.
GR_MUST_CHECK int gr_call_tree_functions(const struct gr_call_tree *t, struct gr_hot_function **ret,
                                         size_t *ret_n);
