// State on its way from one process to another: a memory object that the worker makes, whoever
// exports fills, the worker seals, and whoever imports reads. Both sides may be module code's
// process, so nothing of it is looked at before the kernel has said that nobody can write to it any
// more, and its size is fixed from the beginning: no number leads beyond its end.
#pragma once
#include "base/limits.h"
#include "base/macros.h"
#include <grayling/module.h>
#include <stdbool.h>

struct gr_parcel_label { // beside the bytes
    uint32_t schema;
    uint64_t size;   // of the state
    uint64_t object; // bytes of the memory object that it lies in, on both sides; 0: in none
};
// Numbers that a parcel can have.
bool gr_parcel_label_is_sound(const struct gr_parcel_label *l);

// GR_STATE_BYTES_MAX of address, none of memory; sealed against resizing. Fails: errno of
// memfd_create, ftruncate, fcntl.
GR_MUST_CHECK int gr_parcel_new(int *ret_fd);
// Writes from the beginning. Fails: -EFBIG, errno of pwrite (EFAULT: `data` is not there).
GR_MUST_CHECK int gr_parcel_put(int fd, const void *data, uint64_t size);
// From here on nobody can write. Fails: -EBUSY while somebody has it mapped to write; -EPERM when
// somebody has forbidden the seal.
GR_MUST_CHECK int gr_parcel_seal(int fd);
// A view to read. Fails: -EPERM for what is not sealed, -EPROTO for what is no parcel, or is
// smaller than its label says; errno of mmap. gr_parcel_close() follows.
GR_MUST_CHECK int gr_parcel_open(int fd, const struct gr_parcel_label *l,
                                 struct grayling_bytes *ret);
void gr_parcel_close(struct grayling_bytes *view); // {NULL, 0} is nothing
