// Prints checked JSON trees; knows nothing of documents. Depth is bounded by the scan that came
// before (GR_JSON_DEPTH_MAX).
#include "state/canonical.h"
#include "base/macros.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX 9007199254740992.0 // 2^53

static int append_number(struct gr_buf *b, double v)
{
    char text[40];
    if (v == floor(v) && fabs(v) <= EXACT_MAX) {
        snprintf(text, sizeof text, "%.0f", v + 0.0); // -0 becomes 0
    } else {
        int digits = 15;
        do
            snprintf(text, sizeof text, "%.*g", digits, v);
        while (strtod(text, NULL) != v && ++digits <= 17);
    }
    return gr_buf_append(b, text, strlen(text));
}

static int append_escaped(struct gr_buf *b, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *known = strchr(letters, c);
    return known ? gr_buf_printf(b, "\\%c", names[known - letters])
                 : gr_buf_printf(b, "\\u%04x", c);
}

static int append_string(struct gr_buf *b, const char *s)
{
    int k = gr_buf_append(b, "\"", 1);
    while (k == 0 && *s) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        k = gr_buf_append(b, s, plain);
        s += plain;
        if (k == 0 && *s)
            k = append_escaped(b, (unsigned char)*s++);
    }
    return k < 0 ? k : gr_buf_append(b, "\"", 1);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int append_object(struct gr_buf *b, const cJSON *o)
{
    size_t n = (size_t)cJSON_GetArraySize(o), i = 0;
    GR_AUTO_FREE const cJSON **members = calloc(n + 1, sizeof *members);
    if (!members)
        return -ENOMEM;
    for (const cJSON *m = o->child; m; m = m->next)
        members[i++] = m;
    qsort(members, n, sizeof *members, by_key);
    int k = gr_buf_append(b, "{", 1);
    for (i = 0; k == 0 && i < n; i++) {
        k = i ? gr_buf_append(b, ",", 1) : 0;
        if (k == 0)
            k = append_string(b, members[i]->string);
        if (k == 0)
            k = gr_buf_append(b, ":", 1);
        if (k == 0)
            k = gr_canonical_append(b, members[i]);
    }
    return k < 0 ? k : gr_buf_append(b, "}", 1);
}

static int append_list(struct gr_buf *b, const cJSON *list)
{
    int k = gr_buf_append(b, "[", 1);
    for (const cJSON *v = list->child; k == 0 && v; v = v->next) {
        k = v != list->child ? gr_buf_append(b, ",", 1) : 0;
        if (k == 0)
            k = gr_canonical_append(b, v);
    }
    return k < 0 ? k : gr_buf_append(b, "]", 1);
}

int gr_canonical_append(struct gr_buf *b, const cJSON *j)
{
    switch (j->type & 0xff) {
    case cJSON_Object:
        return append_object(b, j);
    case cJSON_Array:
        return append_list(b, j);
    case cJSON_String:
        return append_string(b, j->valuestring);
    case cJSON_Number:
        return append_number(b, j->valuedouble);
    case cJSON_True:
        return gr_buf_append(b, "true", 4);
    case cJSON_False:
        return gr_buf_append(b, "false", 5);
    default:
        return gr_buf_append(b, "null", 4);
    }
}

char *gr_canonical_format(const cJSON *j, size_t max)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(max);
    return gr_canonical_append(&b, j) < 0 ? NULL : gr_buf_take(&b, NULL);
}
