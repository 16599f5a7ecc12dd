// What the store's files share.
#pragma once
#include "verifier/store.h"
#include <dirent.h>

#define GR_STORE_NAME_MAX 256
#define GR_STORE_SUFFIX ".so"
#define GR_STORE_DAMAGED ".damaged"

struct gr_store {
    char *dir;
    int dir_fd;
};
// Starts a listing of its own, so that the store's descriptor keeps its place. closedir by the
// caller.
int gr_store_list(int dir_fd, DIR **ret);
// Fails: -ENAMETOOLONG.
int gr_store_name(const struct gr_store_key *k, char name[GR_STORE_NAME_MAX]);
// Fails: DiskFull, with the numbers. Whoever writes into the store asks first.
int gr_store_check_room(const struct gr_store *s, const struct gr_store_key *k, uint64_t bytes,
                        struct gr_error *e);
// The sentence for a file that could not be written: DiskFull or Internal, worth another try.
// Returns code.
int gr_store_explain(const struct gr_store *s, const struct gr_store_key *k, int code,
                     struct gr_error *e);
