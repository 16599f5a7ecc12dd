// Finds Grayling's and the linker's notes among the ELF notes of a file; trusts no length that it
// reads.
#include "base/contract.h"
#include <elf.h>
#include <errno.h>
#include <string.h>

#define ALIGN4(n) (((size_t)(n) + 3) & ~(size_t)3)

struct note {
    uint32_t type;
    const char *owner, *desc;
    size_t owner_len, desc_len; // the owner's with its NUL
};

// Takes one note off the front. 1: *ret; 0: no more; -EINVAL: a length leaves the segment.
static int next_note(const char **p, size_t *left, struct note *ret)
{
    Elf64_Nhdr header;
    if (*left < sizeof header)
        return 0;
    memcpy(&header, *p, sizeof header);
    size_t room = *left - sizeof header;
    size_t owner = ALIGN4(header.n_namesz), desc = ALIGN4(header.n_descsz);
    if (owner > room || header.n_descsz > room - owner)
        return -EINVAL;
    if (desc > room - owner) // the last one may lack its padding
        desc = room - owner;
    *ret = (struct note){.type = header.n_type,
                         .owner = *p + sizeof header,
                         .owner_len = header.n_namesz,
                         .desc = *p + sizeof header + owner,
                         .desc_len = header.n_descsz};
    *p += sizeof header + owner + desc;
    *left = room - owner - desc;
    return 1;
}

static bool is_of(const struct note *n, const char *owner)
{
    return n->owner_len == strlen(owner) + 1 && memcmp(n->owner, owner, n->owner_len) == 0;
}

bool gr_contract_has_owner(const void *notes, size_t len, const char *owner)
{
    const char *p = notes;
    struct note note;
    while (next_note(&p, &len, &note) > 0)
        if (is_of(&note, owner))
            return true;
    return false;
}

// Fails: -ENOENT; -EINVAL also for a second one, because then nobody can say which one counts.
static int find_only(const void *notes, size_t len, const char *owner, uint32_t type,
                     struct note *ret)
{
    const char *p = notes;
    struct note note;
    bool found = false;
    int r;
    while ((r = next_note(&p, &len, &note)) > 0) {
        if (note.type != type || !is_of(&note, owner))
            continue;
        if (found)
            return -EINVAL;
        found = true;
        *ret = note;
    }
    if (r < 0)
        return r;
    return found ? 0 : -ENOENT;
}

int gr_contract_find_note(const void *notes, size_t len, const char **ret_json, size_t *ret_len)
{
    struct note note;
    int r = find_only(notes, len, GR_NOTE_OWNER, GR_NOTE_TYPE_CONTRACT, &note);
    if (r < 0)
        return r;
    if (note.desc_len > 0 && note.desc[note.desc_len - 1] == '\0') // an assembler's .asciz
        note.desc_len--;
    *ret_json = note.desc;
    *ret_len = note.desc_len;
    return 0;
}

int gr_contract_find_build_id(const void *notes, size_t len, const uint8_t **ret, size_t *ret_len)
{
    struct note note;
    int r = find_only(notes, len, ELF_NOTE_GNU, NT_GNU_BUILD_ID, &note);
    if (r < 0)
        return r;
    if (note.desc_len == 0)
        return -EINVAL;
    *ret = (const uint8_t *)note.desc;
    *ret_len = note.desc_len;
    return 0;
}
