// A piece of the way of a release that is run again and again, each time with another failure in
// it.
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>

enum story_end { STORY_OLD, STORY_NEW, STORY_BETWEEN };

struct story {
    const char *name;
    // Once, in an empty directory that all the runs share. Nothing fails meanwhile.
    void (*begin)(const char *dir);
    // Makes of the directory what each run finds. Nothing fails meanwhile.
    void (*prepare)(const char *dir);
    // The code under test. Fails: with a sentence in *e.
    int (*run)(const char *dir, struct gr_error *e);
    // What is left. *why: what is wrong with STORY_BETWEEN. Nothing fails meanwhile.
    enum story_end (*judge)(const char *dir, char *why, size_t cap);
};
extern const struct story story_journal, story_verify, story_load, story_documents;

// "<dir>/<name>" in a buffer of 256.
const char *story_path(const char *dir, const char *name, char *buf);
// What a story needs of its surroundings and does not have ends the program.
void story_must(bool holds, const char *what);
void story_copy(const char *from, const char *to);
