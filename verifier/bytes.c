// Private bytes: a memfd, hashed while it is filled, sealed before it is read.
#include "verifier/bytes.h"
#include "base/fault.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U // Linux 6.3
#endif

struct gr_bytes {
    int fd;
    uint64_t max, size;
    struct gr_hasher *hasher;
    void *map; // non-NULL: sealed and not empty
    bool sealed;
    struct gr_digest digest;
};

static int open_memfd(void)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("grayling-artifact", flags | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) // an older kernel
        fd = memfd_create("grayling-artifact", flags);
    return fd < 0 ? -errno : fd;
}

int gr_bytes_new(uint64_t max, struct gr_bytes **ret)
{
    struct gr_bytes *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    b->max = max;
    b->fd = open_memfd();
    int r = b->fd < 0 ? b->fd : gr_hasher_new(&b->hasher);
    if (r < 0) {
        gr_bytes_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

void gr_bytes_free(struct gr_bytes *b)
{
    if (!b)
        return;
    if (b->map)
        munmap(b->map, b->size);
    gr_hasher_free(b->hasher);
    gr_closep(&b->fd);
    free(b);
}

int gr_bytes_append(struct gr_bytes *b, const void *data, size_t len)
{
    assert(!b->sealed);
    if (len > b->max - b->size)
        return -EFBIG;
    int r = GR_FAULT("fetch.write");
    if (r < 0)
        return r;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(b->fd, (const char *)data + done, len - done, (off_t)(b->size + done));
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    b->size += len;
    return gr_hasher_update(b->hasher, data, len);
}

int gr_bytes_append_fd(struct gr_bytes *b, int fd, size_t chunk)
{
    GR_AUTO_FREE char *buf = malloc(chunk);
    if (!buf)
        return -ENOMEM;
    ssize_t n = pread(fd, buf, chunk, (off_t)b->size);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n == 0)
        return 0;
    int r = gr_bytes_append(b, buf, (size_t)n);
    return r < 0 ? r : 1;
}

int gr_bytes_load(struct gr_bytes *b, int fd)
{
    int r;
    while ((r = gr_bytes_append_fd(b, fd, 1u << 20)) > 0)
        ;
    return r < 0 ? r : gr_bytes_seal(b);
}

int gr_bytes_seal(struct gr_bytes *b)
{
    assert(!b->sealed);
    if (fcntl(b->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    b->sealed = true;
    if (b->size) {
        void *map = mmap(NULL, b->size, PROT_READ, MAP_PRIVATE, b->fd, 0);
        if (map == MAP_FAILED)
            return -errno;
        b->map = map;
    }
    return gr_hasher_finish(b->hasher, &b->digest);
}

uint64_t gr_bytes_size(const struct gr_bytes *b)
{
    return b->size;
}

int gr_bytes_fd(const struct gr_bytes *b)
{
    return b->fd;
}

const void *gr_bytes_data(const struct gr_bytes *b)
{
    assert(b->sealed);
    return b->map ? b->map : "";
}

const struct gr_digest *gr_bytes_digest(const struct gr_bytes *b)
{
    assert(b->sealed);
    return &b->digest;
}
