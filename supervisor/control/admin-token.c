// Owns reading and comparing the token.
#include "control/admin-token.h"
#include "base/buf.h"
#include "base/fs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MIN 16 // shorter ones can be guessed
#define TOKEN_MAX 256

static bool is_fit(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '!' || text[i] > '~')
            return false;
    return len >= TOKEN_MIN && len <= TOKEN_MAX;
}

static void forget(struct gr_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    gr_buf_done(b);
}

// The file itself must not be a link; its directory may be reached through one (systemd's
// credentials).
static int read_path(const char *path, struct gr_buf *ret)
{
    const char *slash = strrchr(path, '/');
    GR_AUTO_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    GR_AUTO_CLOSE int dir_fd = -1;
    int k = dir ? gr_fs_open_dir(dir, &dir_fd) : -ENOMEM;
    return k < 0 ? k : gr_fs_read(dir_fd, slash ? slash + 1 : path, ret);
}

int gr_admin_token_load(const char *path, char **ret, struct gr_error *e)
{
    GR_CLEANUP(forget) struct gr_buf text = GR_BUF(TOKEN_MAX + 2);
    int k = read_path(path, &text);
    if (k < 0 && k != -E2BIG)
        return gr_error_set(e, k, GR_REASON_INTERNAL,
                            "[Admin] TokenFile: %.300s cannot be read: %s; expected a file that "
                            "the service's user may read",
                            path, strerror(-k));
    size_t len = k == 0 && text.data ? strcspn(text.data, "\r\n") : 0;
    bool rest = k < 0 || (text.data && text.data[len + strspn(text.data + len, "\r\n")]);
    if (rest || !is_fit(text.data, len))
        return gr_error_set(e, -EINVAL, GR_REASON_INTERNAL,
                            "[Admin] TokenFile: %.300s does not hold a token; expected one line of "
                            "%d to %d visible characters, like: openssl rand -hex 24",
                            path, TOKEN_MIN, TOKEN_MAX);
    char *token = strndup(text.data, len);
    if (!token)
        return -ENOMEM;
    *ret = token;
    return 0;
}

void gr_admin_token_free(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

bool gr_admin_token_is_in(const char *token, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
        return false;
    const char *given = authorization + strlen(scheme);
    size_t n = strlen(token), m = strlen(given);
    volatile unsigned char differ = n != m;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)(token[i] ^ given[i < m ? i : m]);
    return differ == 0;
}
