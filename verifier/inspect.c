// Everything about one file without running any of it, for grayctl verify, inspect and abi-diff.
#include "base/limits.h"
#include "verifier/elf-facts.h"
#include "verifier/elf-policy.h"
#include "verifier/verified.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int load(const char *path, struct gr_bytes **ret, struct gr_error *e)
{
    struct stat st;
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    GR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISREG(st.st_mode))
        r = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (r == 0)
        r = gr_bytes_new(GR_ARTIFACT_BYTES_CEILING, &b);
    if (r == 0)
        r = gr_bytes_load(b, fd);
    if (r < 0)
        return gr_error_set(e, r, r == -EFBIG ? GR_REASON_TOO_LARGE : GR_REASON_FETCH_FAILED,
                            "%s cannot be read: %s; name a regular, readable file", path,
                            strerror(-r));
    *ret = gr_steal(b);
    return 0;
}

static void describe_type(const struct gr_elf_facts *f, char type[8])
{
    const char *const names[] = {"NONE", "REL", "EXEC", "DYN", "CORE"};
    if (f->is_elf && f->type < GR_COUNT(names))
        snprintf(type, 8, "%s", names[f->type]);
}

static void describe_traits(const struct gr_elf_facts *f, struct gr_inspection *i)
{
    const struct {
        bool there;
        const char *name;
    } traits[] = {
        {f->go_runtime, "Go runtime"},
        {f->exec_stack, "executable stack"},
        {f->text_relocations, "text relocations"},
        {f->write_and_exec, "writable and executable segment"},
        {f->has_tls, "thread-local storage"},
        {f->static_tls, "static TLS"},
        {f->gnu_unique, "GNU_UNIQUE symbols"},
        {f->ifunc, "IFUNC"},
        {f->rpath, "RPATH"},
        {f->runpath, "RUNPATH"},
        {f->filter, "FILTER"},
        {f->audit, "AUDIT"},
        {f->nodelete, "NODELETE"},
        {f->global, "GLOBAL"},
        {f->initfirst, "INITFIRST"},
        {f->noopen, "NOOPEN"},
        {f->foreign_relocation, "foreign relocations"},
        {f->glibc_private, "GLIBC_PRIVATE"},
        {f->has_interpreter, "interpreter"},
    };
    _Static_assert(GR_COUNT(traits) <= GR_ELF_TRAITS_MAX, "raise GR_ELF_TRAITS_MAX");
    for (size_t t = 0; t < GR_COUNT(traits); t++)
        if (traits[t].there)
            i->traits[i->n_traits++] = traits[t].name;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int describe_exports(const struct gr_elf_facts *f, struct gr_inspection *i)
{
    if (f->n_exports == 0)
        return 0;
    if (!(i->exports = calloc(f->n_exports, sizeof *i->exports)))
        return -ENOMEM;
    for (; i->n_exports < f->n_exports; i->n_exports++)
        if (!(i->exports[i->n_exports] = strdup(f->exports[i->n_exports])))
            return -ENOMEM;
    qsort(i->exports, i->n_exports, sizeof *i->exports, by_name);
    return 0;
}

static int describe(const struct gr_elf_facts *f, struct gr_inspection *i)
{
    char machine[24];
    if (f->is_elf)
        snprintf(i->machine, sizeof i->machine, "%s", gr_elf_machine_name(f->machine, machine));
    describe_type(f, i->type);
    describe_traits(f, i);
    snprintf(i->glibc, sizeof i->glibc, "%s", f->glibc ? f->glibc + strlen("GLIBC_") : "");
    snprintf(i->soname, sizeof i->soname, "%s", f->soname ? f->soname : "");
    for (size_t b = 0; b < f->build_id_len && 2 * b + 2 < sizeof i->build_id; b++)
        snprintf(i->build_id + 2 * b, 3, "%02x", f->build_id[b]);
    if (f->n_needed && !(i->needed = calloc(f->n_needed, sizeof *i->needed)))
        return -ENOMEM;
    for (; i->n_needed < f->n_needed; i->n_needed++)
        snprintf(i->needed[i->n_needed], sizeof *i->needed, "%s", f->needed[i->n_needed]);
    return describe_exports(f, i);
}

// What a host would say that is as this one but for its machine.
static int judge_elsewhere(const struct gr_elf_facts *f, struct gr_inspection *i)
{
    struct gr_elf_host host = gr_elf_host_here();
    if (f->machine_known)
        host.machine = f->machine;
    int r = gr_elf_policy_read(f, &host, &i->contract, &i->own_verdict);
    if (r == 0)
        (void)!gr_contract_policy_admits(i->contract, NULL, NULL, &i->own_verdict);
    return r == -ENOMEM ? r : 0;
}

int gr_inspect_file(const char *path, struct gr_inspection *ret, struct gr_error *e)
{
    GR_CLEANUP(gr_bytes_freep) struct gr_bytes *b = NULL;
    struct gr_elf_facts f;
    struct gr_examined x = {0};
    int r = load(path, &b, e);
    if (r < 0)
        return r;
    struct gr_inspection i = {.digest = *gr_bytes_digest(b), .bytes = gr_bytes_size(b)};
    r = gr_elf_facts_read(gr_bytes_data(b), gr_bytes_size(b), &f);
    if (r == 0) {
        r = describe(&f, &i);
        if (r == 0)
            r = judge_elsewhere(&f, &i);
        if (r == 0 && f.contract && !i.contract) // a file that no host takes may tell of itself
            (void)!gr_contract_parse(f.contract, f.contract_len, &i.contract, NULL);
        gr_elf_facts_done(&f);
    }
    if (r < 0) {
        gr_inspection_done(&i);
        return gr_error_set(e, r, GR_REASON_INTERNAL, "%s cannot be examined: %s", path,
                            strerror(-r));
    }
    (void)!gr_examine(b, NULL, &x, &i.verdict);
    gr_examined_done(&x);
    *ret = i;
    return 0;
}

void gr_inspection_done(struct gr_inspection *i)
{
    gr_contract_free(i->contract);
    free(i->needed);
    for (size_t k = 0; k < i->n_exports; k++)
        free(i->exports[k]);
    free(i->exports);
    *i = (struct gr_inspection){0};
}
