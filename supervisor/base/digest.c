// SHA-256 through OpenSSL's EVP, which uses the processor's instructions.
#include "base/digest.h"
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define PREFIX "sha256:"
#define READ_CHUNK (128u * 1024)

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int gr_digest_parse(const char *text, struct gr_digest *ret)
{
    size_t prefix = strlen(PREFIX);
    struct gr_digest d;
    if (strncmp(text, PREFIX, prefix) != 0 || strlen(text) != prefix + 2 * sizeof d.bytes)
        return -EINVAL;
    for (size_t i = 0; i < sizeof d.bytes; i++) {
        int high = hex_value(text[prefix + 2 * i]), low = hex_value(text[prefix + 2 * i + 1]);
        if (high < 0 || low < 0)
            return -EINVAL;
        d.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = d;
    return 0;
}

static void put_hex(const uint8_t *bytes, size_t n, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
}

const char *gr_digest_format(const struct gr_digest *d, char buf[GR_DIGEST_TEXT_MAX])
{
    memcpy(buf, PREFIX, strlen(PREFIX));
    put_hex(d->bytes, sizeof d->bytes, buf + strlen(PREFIX));
    return buf;
}

const char *gr_digest_short(const struct gr_digest *d, char buf[17])
{
    put_hex(d->bytes, 8, buf);
    return buf;
}

bool gr_digest_equal(const struct gr_digest *a, const struct gr_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct gr_hasher {
    EVP_MD_CTX *context;
};

int gr_hasher_new(struct gr_hasher **ret)
{
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->context = EVP_MD_CTX_new();
    if (!h->context || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    *ret = gr_steal(h);
    return 0;
}

void gr_hasher_free(struct gr_hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->context);
    free(h);
}

int gr_hasher_update(struct gr_hasher *h, const void *bytes, size_t len)
{
    return EVP_DigestUpdate(h->context, bytes, len) == 1 ? 0 : -EIO;
}

int gr_hasher_finish(struct gr_hasher *h, struct gr_digest *ret)
{
    struct gr_digest d;
    if (EVP_DigestFinal_ex(h->context, d.bytes, NULL) != 1)
        return -EIO;
    *ret = d;
    return 0;
}

int gr_digest_fd(int fd, struct gr_digest *ret, uint64_t *ret_bytes)
{
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = NULL;
    GR_AUTO_FREE char *chunk = malloc(READ_CHUNK);
    if (!chunk)
        return -ENOMEM;
    int r = gr_hasher_new(&h);
    if (r < 0)
        return r;
    uint64_t total = 0;
    for (;;) {
        ssize_t n = pread(fd, chunk, READ_CHUNK, (off_t)total);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        r = gr_hasher_update(h, chunk, (size_t)n);
        if (r < 0)
            return r;
        total += (uint64_t)n;
    }
    r = gr_hasher_finish(h, ret);
    if (r == 0 && ret_bytes)
        *ret_bytes = total;
    return r;
}
