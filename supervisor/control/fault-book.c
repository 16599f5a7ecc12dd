// An array of pointers in the order of the last faults. It is short: few versions ever fault.
#include "control/fault-book.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum gr_reason gr_fault_note_reason(const struct gr_fault_note *n)
{
    return strcmp(n->kind, gr_fault_kind_name(GR_FAULT_TIMEOUT)) == 0 ? GR_REASON_CALL_TIMEOUT
                                                                      : GR_REASON_CRASHED;
}

struct gr_fault_book {
    size_t n;
    struct gr_fault_record *records[GR_FAULT_RECORDS_MAX];
};

int gr_fault_book_new(struct gr_fault_book **ret)
{
    struct gr_fault_book *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    for (size_t i = 0; i < GR_COUNT(b->records); i++)
        if (!(b->records[i] = calloc(1, sizeof *b->records[i]))) {
            gr_fault_book_free(b);
            return -ENOMEM;
        }
    *ret = b;
    return 0;
}

void gr_fault_book_free(struct gr_fault_book *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < GR_COUNT(b->records); i++)
        free(b->records[i]);
    free(b);
}

static size_t find(const struct gr_fault_book *b, const struct gr_name *module,
                   const struct gr_digest *digest)
{
    size_t i = 0;
    while (i < b->n && !(gr_name_equal(&b->records[i]->module, module) &&
                         gr_digest_equal(&b->records[i]->digest, digest)))
        i++;
    return i;
}

struct gr_fault_record *gr_fault_book_open(struct gr_fault_book *b, const struct gr_name *module,
                                           const struct gr_digest *digest, const char *version)
{
    size_t at = find(b, module, digest);
    bool fresh = at == b->n;
    if (fresh && b->n < GR_COUNT(b->records))
        b->n++;
    else if (fresh)
        at--; // the oldest goes
    struct gr_fault_record *r = b->records[at];
    memmove(&b->records[1], &b->records[0], at * sizeof b->records[0]);
    b->records[0] = r;
    if (fresh) {
        *r = (struct gr_fault_record){.module = *module, .digest = *digest};
        snprintf(r->version, sizeof r->version, "%s", version);
    }
    return r;
}

struct gr_fault_record *gr_fault_book_find(const struct gr_fault_book *b,
                                           const struct gr_name *module,
                                           const struct gr_digest *digest)
{
    size_t at = find(b, module, digest);
    return at < b->n ? b->records[at] : NULL;
}

const struct gr_fault_record *gr_fault_book_newest(const struct gr_fault_book *b,
                                                   const struct gr_name *module)
{
    for (size_t i = 0; i < b->n; i++)
        if (gr_name_equal(&b->records[i]->module, module))
            return b->records[i];
    return NULL;
}
