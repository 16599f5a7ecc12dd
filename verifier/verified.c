// The proof that bytes are what the document says: examining them, and the value that only a
// success yields.
#include "verifier/verified.h"
#include "verifier/elf-facts.h"
#include "verifier/elf-policy.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void gr_examined_done(struct gr_examined *x)
{
    gr_contract_free(x->contract);
    *x = (struct gr_examined){0};
}

static int format_build_id(const struct gr_elf_facts *f, char text[129], struct gr_error *e)
{
    if (f->build_id_len > 64)
        return gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE,
                            "the build-id has %zu bytes and at most 64 are known; link with "
                            "--build-id",
                            f->build_id_len);
    for (size_t i = 0; i < f->build_id_len; i++)
        snprintf(text + 2 * i, 3, "%02x", f->build_id[i]);
    return 0;
}

static int judge(const struct gr_elf_facts *f, const struct gr_store_key *k, struct gr_examined *x,
                 struct gr_error *e)
{
    struct gr_elf_host host = gr_elf_host_here();
    int r = gr_elf_policy_read(f, &host, &x->contract, e);
    if (r < 0)
        return r;
    if (!gr_contract_policy_admits(x->contract, k ? k->module : NULL, k ? k->version : NULL, e))
        return -ENOEXEC;
    return format_build_id(f, x->build_id, e);
}

int gr_examine(const struct gr_bytes *b, const struct gr_store_key *k, struct gr_examined *ret,
               struct gr_error *e)
{
    struct gr_elf_facts f;
    struct gr_examined x = {0};
    int r = gr_elf_facts_read(gr_bytes_data(b), gr_bytes_size(b), &f);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_INTERNAL, "the file cannot be examined: %s",
                            strerror(-r));
    r = judge(&f, k, &x, e);
    gr_elf_facts_done(&f);
    if (r < 0) {
        gr_examined_done(&x);
        return r;
    }
    *ret = x;
    return 0;
}

int gr_verified_new(const struct gr_store *s, const struct gr_store_key *k, int fd, bool sealed,
                    struct gr_examined *x, struct gr_verified **ret)
{
    struct gr_verified *v = calloc(1, sizeof *v);
    if (!v || gr_store_path(s, k, &v->path) < 0) {
        free(v);
        if (fd >= 0)
            close(fd);
        gr_examined_done(x);
        return -ENOMEM;
    }
    v->module = *k->module;
    v->version = *k->version;
    v->digest = *k->digest;
    v->fd = fd;
    v->sealed = sealed;
    v->examined = *x;
    *x = (struct gr_examined){0};
    *ret = v;
    return 0;
}

void gr_verified_free(struct gr_verified *v)
{
    if (!v)
        return;
    gr_examined_done(&v->examined);
    gr_closep(&v->fd);
    free(v->path);
    free(v);
}

const struct gr_name *gr_verified_module(const struct gr_verified *v)
{
    return &v->module;
}

const struct gr_version *gr_verified_version(const struct gr_verified *v)
{
    return &v->version;
}

const struct gr_digest *gr_verified_digest(const struct gr_verified *v)
{
    return &v->digest;
}

const char *gr_verified_path(const struct gr_verified *v)
{
    return v->path;
}

const char *gr_verified_build_id(const struct gr_verified *v)
{
    return v->examined.build_id;
}

int gr_verified_fd(const struct gr_verified *v)
{
    return v->fd;
}

bool gr_verified_sealed(const struct gr_verified *v)
{
    return v->sealed;
}

const struct gr_contract *gr_verified_contract(const struct gr_verified *v)
{
    return v->examined.contract;
}

uint64_t gr_verified_station_usec(const struct gr_verified *v, enum gr_verify_station s)
{
    return v->station_usec[s];
}
