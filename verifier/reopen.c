// What the store has already: hashed again through one descriptor before every load, and copied
// under another name for a process that has it mapped. Never asks a source, never runs a byte.
#include "base/fault.h"
#include "base/limits.h"
#include "verifier/verified.h"
#include "verifier/verifier-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

// Reads all of fd into private bytes; *ret only when they have the digest, else -EBADMSG and
// *actual.
static int read_whole(int fd, const struct gr_digest *digest, struct gr_digest *actual,
                      struct gr_bytes **ret)
{
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    // MaxBytes is about fetching, not about what serves already
    int r = gr_bytes_new(GR_ARTIFACT_BYTES_CEILING, &b);
    if (r == 0)
        r = gr_bytes_load(b, fd);
    if (r < 0)
        return r;
    *actual = *gr_bytes_digest(b);
    if (!gr_digest_equal(actual, digest))
        return -EBADMSG;
    *ret = gr_steal(b);
    return 0;
}

static int open_stored(struct gr_verifier *v, const struct gr_store_key *k, int *ret_fd,
                       struct gr_bytes **ret, struct gr_error *e)
{
    char hex[17];
    struct gr_digest actual;
    GR_AUTO_CLOSE int fd = -1;
    int r = gr_store_get(v->store, k, &fd);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED,
                            "module %s %s (%s) cannot be opened in the store %s: %s; it will be "
                            "fetched again",
                            k->module->s, k->version->text, gr_digest_short(k->digest, hex),
                            v->store_dir, strerror(-r));
    r = read_whole(fd, k->digest, &actual, ret);
    if (r == -EBADMSG) {
        char expected[GR_DIGEST_TEXT_MAX], found[GR_DIGEST_TEXT_MAX];
        (void)!gr_store_set_aside(v->store, k); // a name that stays is refused again next time
        return gr_error_set(e, r, GR_REASON_DIGEST_MISMATCH,
                            "module %s %s in the store %s has %s instead of %s: the disk or "
                            "somebody changed it; it was set aside (.damaged) and will be fetched "
                            "again",
                            k->module->s, k->version->text, v->store_dir,
                            gr_digest_format(&actual, found),
                            gr_digest_format(k->digest, expected));
    }
    if (r < 0)
        return gr_error_set_retryable(e, r, GR_REASON_LOAD_FAILED,
                                      "module %s %s cannot be read from the store %s: %s",
                                      k->module->s, k->version->text, v->store_dir, strerror(-r));
    *ret_fd = gr_steal_fd(&fd);
    return 0;
}

// Takes fd.
static int judge(struct gr_verifier *v, const struct gr_store_key *k, const struct gr_bytes *b,
                 int fd, bool sealed, struct gr_verified **ret, struct gr_error *e)
{
    GR_AUTO_CLOSE int own = fd;
    struct gr_examined x;
    int r = gr_examine(b, k, &x, e);
    if (r < 0) {
        gr_error_wrap(e, "%s %s", k->module->s, k->version->text);
        return r;
    }
    if (sealed) {
        gr_closep(&own);
        own = fcntl(gr_bytes_fd(b), F_DUPFD_CLOEXEC, 3);
    }
    r = gr_verified_new(v->store, k, gr_steal_fd(&own), sealed, &x, ret);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "out of memory for module %s", k->module->s);
    return r;
}

int gr_verified_reopen(struct gr_verifier *v, const struct gr_name *module,
                       const struct gr_version *version, const struct gr_digest *digest,
                       struct gr_verified **ret, struct gr_error *e)
{
    struct gr_store_key k = {.module = module, .version = version, .digest = digest};
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    int fd = -1;
    GR_INSTANT("store.reopen");
    int r = open_stored(v, &k, &fd, &b, e);
    return r < 0 ? r : judge(v, &k, b, fd, v->sealed, ret, e);
}

// The copy's bytes come from the descriptor that was verified, and are hashed once more.
static int write_copy(struct gr_verifier *v, const struct gr_verified *of,
                      const struct gr_store_key *k, int *ret_fd, struct gr_bytes **ret,
                      struct gr_error *e)
{
    struct gr_digest actual;
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    int r = read_whole(of->fd, k->digest, &actual, &b);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_LOAD_FAILED,
                            "module %s %s cannot be copied inside the store %s, which a second "
                            "load beside the running one needs: %s; write its key again",
                            k->module->s, k->version->text, v->store_dir,
                            r == -EBADMSG ? "the file changed since it was verified"
                                          : strerror(-r));
    r = gr_store_put(v->store, k, b, ret_fd, e);
    if (r == 0)
        *ret = gr_steal(b);
    return r;
}

int gr_verified_copy(struct gr_verifier *v, const struct gr_verified *of, unsigned copy,
                     struct gr_verified **ret, struct gr_error *e)
{
    struct gr_store_key k = {
        .module = &of->module, .version = &of->version, .digest = &of->digest, .copy = copy};
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    int fd = -1;
    if (of->sealed || copy == 0 || copy >= GR_STORE_COPIES_MAX)
        return -EINVAL;
    int r = open_stored(v, &k, &fd, &b, NULL);
    if (r == -ENOMEM)
        return r;
    if (r < 0) // not there yet, or damaged and set aside
        r = write_copy(v, of, &k, &fd, &b, e);
    return r < 0 ? r : judge(v, &k, b, fd, false, ret, e);
}
