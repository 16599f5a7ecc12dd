// Everything about one file without running any of it, for grayctl verify and inspect.
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

static int describe(const struct gr_elf_facts *f, struct gr_inspection *i)
{
    char machine[24];
    if (f->is_elf)
        snprintf(i->machine, sizeof i->machine, "%s", gr_elf_machine_name(f->machine, machine));
    describe_type(f, i->type);
    for (size_t b = 0; b < f->build_id_len && 2 * b + 2 < sizeof i->build_id; b++)
        snprintf(i->build_id + 2 * b, 3, "%02x", f->build_id[b]);
    if (!f->n_needed)
        return 0;
    if (!(i->needed = calloc(f->n_needed, sizeof *i->needed)))
        return -ENOMEM;
    for (; i->n_needed < f->n_needed; i->n_needed++)
        snprintf(i->needed[i->n_needed], sizeof *i->needed, "%s", f->needed[i->n_needed]);
    return 0;
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
        if (r == 0 && f.contract)
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
    *i = (struct gr_inspection){0};
}
