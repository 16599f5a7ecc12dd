// The memory of a parcel, and its seals.
#include "dispatch/parcel.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define ALL_SEALS (SIZE_SEALS | F_SEAL_WRITE)

bool gr_parcel_label_is_sound(const struct gr_parcel_label *l)
{
    return l->size <= GR_STATE_BYTES_MAX && l->object <= GR_STATE_BYTES_MAX &&
           (l->object == 0 || l->size <= l->object);
}

int gr_parcel_new(int *ret_fd)
{
    int fd = memfd_create("grayling-parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // before Linux 6.3
        fd = memfd_create("grayling-parcel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)GR_STATE_BYTES_MAX) < 0 || fcntl(fd, F_ADD_SEALS, SIZE_SEALS) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int gr_parcel_put(int fd, const void *data, uint64_t size)
{
    if (size > GR_STATE_BYTES_MAX)
        return -EFBIG;
    for (uint64_t at = 0; at < size;) {
        ssize_t n = pwrite(fd, (const char *)data + at, size - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (uint64_t)n;
    }
    return 0;
}

int gr_parcel_seal(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return -errno;
    if ((seals & ALL_SEALS) == ALL_SEALS)
        return 0;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 ? -errno : 0;
}

int gr_parcel_open(int fd, const struct gr_parcel_label *l, struct grayling_bytes *ret)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) < 0)
        return -errno;
    if ((seals & ALL_SEALS) != ALL_SEALS)
        return -EPERM;
    if (!gr_parcel_label_is_sound(l) || l->size > (uint64_t)st.st_size)
        return -EPROTO;
    if (l->size == 0) {
        *ret = (struct grayling_bytes){NULL, 0};
        return 0;
    }
    // PRIVATE: before Linux 6.7 what is sealed against writing cannot be mapped SHARED at all
    void *view = mmap(NULL, l->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (view == MAP_FAILED)
        return -errno;
    *ret = (struct grayling_bytes){view, l->size};
    return 0;
}

void gr_parcel_close(struct grayling_bytes *view)
{
    if (view->data)
        munmap((void *)view->data, view->size);
    *view = (struct grayling_bytes){NULL, 0};
}
