// What store.c and store-collect.c share.
#pragma once
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
