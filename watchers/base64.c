// Base64 as etcd's gateway speaks it: standard alphabet, padded, strict.
#include "watchers/etcd-codec.h"
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

char *gr_base64_encode(struct gr_bytes b)
{
    if (b.len > INT_MAX / 2)
        return NULL;
    char *text = malloc((b.len + 2) / 3 * 4 + 1);
    if (!text)
        return NULL;
    text[0] = '\0';
    if (b.len)
        EVP_EncodeBlock((unsigned char *)text, b.data, (int)b.len);
    return text;
}

static int sextet(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int gr_base64_decode(const char *text, size_t len, char **ret, size_t *ret_len)
{
    if (len % 4)
        return -EINVAL;
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    GR_AUTO_FREE char *out = malloc(len / 4 * 3 + 1);
    if (!out)
        return -ENOMEM;
    size_t n = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < len - padding; i++) {
        int v = sextet((unsigned char)text[i]);
        if (v < 0)
            return -EINVAL;
        held = (held << 6 | (unsigned)v) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(held >> bits & 0xff);
        }
    }
    if (held & ((1u << bits) - 1))
        return -EINVAL; // two texts for the same bytes
    out[n] = '\0';
    *ret = gr_steal(out);
    *ret_len = n;
    return 0;
}
