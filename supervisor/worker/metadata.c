// Copies names, lowers them, borrows values.
#include "worker/metadata.h"
#include "worker/shadow-copy.h"
#include <errno.h>
#include <string.h>

static enum MHD_Result add(void *userdata, enum MHD_ValueKind kind, const char *key,
                           size_t key_size, const char *value, size_t value_size)
{
    struct gr_metadata *m = userdata;
    (void)kind, (void)value_size;
    if (m->n == GR_HEADERS_MAX || key_size >= sizeof(m->names) - m->used)
        return MHD_NO;
    char *name = m->names + m->used;
    for (size_t i = 0; i < key_size; i++)
        name[i] = key[i] >= 'A' && key[i] <= 'Z' ? (char)(key[i] | 0x20) : key[i];
    name[key_size] = '\0';
    if (strcmp(name, GR_SHADOW_HEADER) == 0) {
        m->left_out++;
        return MHD_YES;
    }
    m->used += key_size + 1;
    m->list[m->n++] = (struct grayling_header){.name = name, .value = value ? value : ""};
    return MHD_YES;
}

int gr_metadata_read(struct MHD_Connection *c, struct gr_metadata *ret)
{
    ret->n = ret->left_out = 0;
    ret->used = 0;
    int all = MHD_get_connection_values_n(c, MHD_HEADER_KIND, add, ret);
    return all >= 0 && (uint32_t)all == ret->n + ret->left_out ? 0 : -E2BIG;
}

const char *gr_metadata_find(const struct gr_metadata *m, const char *name)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (strcmp(m->list[i].name, name) == 0)
            return m->list[i].value;
    return NULL;
}

static const char parent_name[] = "traceparent", state_name[] = "tracestate";

struct gr_metadata_trace gr_metadata_find_trace(const struct gr_metadata *m)
{
    struct gr_metadata_trace found = {0};
    for (uint32_t i = 0; i < m->n; i++) {
        if (strncmp(m->list[i].name, "trace", 5) != 0)
            continue;
        bool is_parent = strcmp(m->list[i].name, parent_name) == 0;
        if (is_parent && found.n++ == 0)
            found.first = i;
        found.any |= is_parent || strcmp(m->list[i].name, state_name) == 0;
    }
    return found;
}

void gr_metadata_drop_trace(struct gr_metadata *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->n; i++)
        if (strcmp(m->list[i].name, parent_name) != 0 && strcmp(m->list[i].name, state_name) != 0)
            m->list[kept++] = m->list[i];
    m->n = kept;
}

bool gr_metadata_put_traceparent(struct gr_metadata *m, const struct gr_metadata_trace *found,
                                 const char *text)
{
    if (found->n == 1) {
        m->list[found->first].value = text;
        return true;
    }
    if (m->n == GR_HEADERS_MAX)
        return false;
    m->list[m->n++] = (struct grayling_header){.name = parent_name, .value = text};
    return true;
}
