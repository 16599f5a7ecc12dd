// Reads the contract of a file without mapping it: whether its code is to be mapped in this process
// at all is what the contract says. The file was verified; lengths are checked all the same.
#include "dispatch/dispatch.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>

#define NOTES_MAX GR_DOCUMENT_BYTES_MAX // of one segment

static bool read_at(int fd, void *buf, size_t len, uint64_t at)
{
    return at <= INT64_MAX && pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

static int refuse(const struct gr_load *l, struct gr_error *e)
{
    return gr_error_set(e, -ENOEXEC, GR_REASON_NOT_A_MODULE,
                        "asked to load %s as a module, but it carries no contract note "
                        "(.note.grayling); build it with grayling_add_module()",
                        l->path);
}

// -ENOENT: not in this segment.
static int read_segment(const struct gr_load *l, const Elf64_Phdr *ph, struct gr_contract **ret,
                        struct gr_error *e)
{
    const char *json;
    size_t len;
    if (ph->p_filesz > NOTES_MAX)
        return -ENOENT;
    GR_AUTO_FREE void *notes = malloc(ph->p_filesz + 1);
    if (!notes)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_LOAD_FAILED,
                                      "asked to load %s, but memory ran out", l->path);
    if (!read_at(l->fd, notes, ph->p_filesz, ph->p_offset) ||
        gr_contract_find_note(notes, ph->p_filesz, &json, &len) < 0)
        return -ENOENT;
    int r = gr_contract_parse(json, len, ret, e);
    if (r < 0)
        gr_error_wrap(e, "asked to load %s", l->path);
    return r;
}

int gr_load_contract(const struct gr_load *l, struct gr_contract **ret, struct gr_error *e)
{
    Elf64_Ehdr header;
    if (!read_at(l->fd, &header, sizeof(header), 0) || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > GR_ELF_SEGMENTS_MAX)
        return refuse(l, e);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr ph;
        if (!read_at(l->fd, &ph, sizeof(ph), header.e_phoff + i * sizeof(ph)))
            return refuse(l, e);
        int r = ph.p_type == PT_NOTE ? read_segment(l, &ph, ret, e) : -ENOENT;
        if (r != -ENOENT)
            return r;
    }
    return refuse(l, e);
}
