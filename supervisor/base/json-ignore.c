// Reads the paths that a comparison leaves out. json-same.c walks them.
#include "base/json-ignore.h"
#include "base/json-same.h"
#include "base/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void gr_json_ignore_free(struct gr_json_ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->n; i++)
        for (size_t h = 0; h < ignore->paths[i].n; h++)
            free(ignore->paths[i].hops[h].name);
    free(ignore);
}

static void freep(struct gr_json_ignore **ignore)
{
    gr_json_ignore_free(*ignore);
}

static size_t word_len(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
}

// Bytes of the text in double quotes at the front of `s`, quotes included; 0: it does not end.
static size_t quoted_len(const char *s)
{
    for (size_t i = 1; s[i]; i++) {
        if (s[i] == '"')
            return i + 1;
        if (s[i] == '\\' && s[i + 1])
            i++;
    }
    return 0;
}

static char *unquote(const char *s, size_t len)
{
    GR_AUTO_JSON cJSON *text = NULL;
    if (gr_json_parse(s, len, GR_DOCUMENT_BYTES_MAX, &text, NULL) < 0 || !cJSON_IsString(text))
        return NULL;
    return strdup(text->valuestring);
}

// What stands between brackets. Returns its length with the closing one; 0: malformed.
static size_t read_bracket(const char *s, struct gr_json_hop *hop)
{
    size_t len = 0;
    if (*s == '*') {
        hop->kind = GR_HOP_ALL;
        len = 1;
    } else if (*s == '"') {
        hop->kind = GR_HOP_NAME;
        len = quoted_len(s);
        hop->name = len ? unquote(s, len) : NULL;
        if (!hop->name)
            return 0;
    } else {
        hop->kind = GR_HOP_INDEX;
        len = strspn(s, "0123456789");
        if (len == 0 || len > 9 || (len > 1 && *s == '0'))
            return 0;
        hop->index = strtoul(s, NULL, 10);
    }
    return s[len] == ']' ? len + 1 : 0;
}

// One step down, with what begins it. Returns its length; 0: malformed.
static size_t read_hop(const char *s, struct gr_json_hop *hop)
{
    *hop = (struct gr_json_hop){0};
    if (*s == '[') {
        size_t len = read_bracket(s + 1, hop);
        return len ? len + 1 : 0;
    }
    size_t len = *s == '.' ? word_len(s + 1) : 0;
    if (len == 0)
        return 0;
    hop->kind = GR_HOP_NAME;
    hop->name = strndup(s + 1, len);
    return hop->name ? len + 1 : 0;
}

static int read_path(const cJSON *entry, struct gr_json_ignored *p, const char *at,
                     struct gr_error *e)
{
    const char *s = cJSON_IsString(entry) ? entry->valuestring : "";
    size_t len = *s == '$' ? 1 : 0;
    while (len && s[len] && p->n < GR_JSON_IGNORE_HOPS_MAX) {
        // counted before it is known to be sound, so that what it allocated is freed
        size_t hop = read_hop(s + len, &p->hops[p->n++]);
        len = hop ? len + hop : 0;
    }
    if (len && !s[len] && p->n > 0)
        return 0;
    char shown[GR_SHOWN_MAX];
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s: expected a path of at most %d steps such as \"$.charge_id\", "
                        "\"$.items[*].at\" or \"$[\\\"any name\\\"]\", found %s",
                        at, GR_JSON_IGNORE_HOPS_MAX,
                        cJSON_IsString(entry) ? gr_utf8_show(s, strlen(s), shown)
                                              : "something else than a text");
}

int gr_json_ignore_parse(const cJSON *list, const char *path, struct gr_json_ignore **ret,
                         struct gr_error *e)
{
    int n = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || n > GR_JSON_IGNORE_PATHS_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: expected a list of at most %d paths", path,
                            GR_JSON_IGNORE_PATHS_MAX);
    GR_CLEANUP(freep)
    struct gr_json_ignore *ignore = calloc(1, sizeof *ignore + (size_t)n * sizeof ignore->paths[0]);
    if (!ignore)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "out of memory while %s was read", path);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        char at[160];
        snprintf(at, sizeof at, "%s[%zu]", path, ignore->n);
        int r = read_path(entry, &ignore->paths[ignore->n++], at, e);
        if (r < 0)
            return r;
    }
    *ret = n ? gr_steal(ignore) : NULL;
    return 0;
}
