// Prints JSON trees; the only place that turns a number into digits. Depth is bounded by the scan
// that a foreign tree came through (GR_JSON_DEPTH_MAX); our own are shallow.
#include "base/json-print.h"
#include "base/json.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define INDENT 2

struct printer {
    struct gr_buf *b;
    enum gr_json_style style;
    unsigned depth;
};

static int print(struct printer *p, const cJSON *j);

static int put(struct printer *p, const char *text)
{
    return gr_buf_append(p->b, text, strlen(text));
}

static int put_number(struct printer *p, double v)
{
    char text[40];
    if (!isfinite(v)) // JSON has no word for it
        return put(p, "null");
    if (v == floor(v) && fabs(v) <= GR_JSON_EXACT_MAX) {
        snprintf(text, sizeof text, "%.0f", v + 0.0); // -0 becomes 0
    } else {
        int digits = 15;
        do
            snprintf(text, sizeof text, "%.*g", digits, v);
        while (strtod(text, NULL) != v && ++digits <= 17);
    }
    return put(p, text);
}

static int put_escaped(struct printer *p, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *known = strchr(letters, c);
    return known ? gr_buf_printf(p->b, "\\%c", names[known - letters])
                 : gr_buf_printf(p->b, "\\u%04x", c);
}

static int put_string(struct printer *p, const char *s)
{
    int k = put(p, "\"");
    while (k == 0 && *s) {
        size_t plain = 0;
        while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\')
            plain++;
        k = gr_buf_append(p->b, s, plain);
        s += plain;
        if (k == 0 && *s)
            k = put_escaped(p, (unsigned char)*s++);
    }
    return k < 0 ? k : put(p, "\"");
}

static int put_line(struct printer *p)
{
    return p->style == GR_JSON_PRETTY ? gr_buf_printf(p->b, "\n%*s", (int)(INDENT * p->depth), "")
                                      : 0;
}

static int put_member(struct printer *p, const cJSON *m, bool first)
{
    int k = first ? 0 : put(p, ",");
    if (k == 0)
        k = put_line(p);
    if (k == 0)
        k = put_string(p, m->string);
    if (k == 0)
        k = put(p, p->style == GR_JSON_PRETTY ? ": " : ":");
    return k < 0 ? k : print(p, m);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int put_sorted(struct printer *p, const cJSON *o)
{
    size_t n = (size_t)cJSON_GetArraySize(o), i = 0;
    GR_AUTO_FREE const cJSON **members = calloc(n + 1, sizeof *members);
    if (!members)
        return -ENOMEM;
    for (const cJSON *m = o->child; m; m = m->next)
        members[i++] = m;
    qsort(members, n, sizeof *members, by_key);
    int k = 0;
    for (i = 0; k == 0 && i < n; i++)
        k = put_member(p, members[i], i == 0);
    return k;
}

static int put_object(struct printer *p, const cJSON *o)
{
    int k = put(p, "{");
    p->depth++;
    if (k == 0 && p->style == GR_JSON_SORTED)
        k = put_sorted(p, o);
    else
        for (const cJSON *m = o->child; k == 0 && m; m = m->next)
            k = put_member(p, m, m == o->child);
    p->depth--;
    if (k == 0 && o->child)
        k = put_line(p);
    return k < 0 ? k : put(p, "}");
}

// A list of plain values stays on one line.
static int put_list(struct printer *p, const cJSON *list)
{
    bool nested = false;
    for (const cJSON *v = list->child; v; v = v->next)
        nested |= v->child != NULL;
    int k = put(p, "[");
    p->depth++;
    for (const cJSON *v = list->child; k == 0 && v; v = v->next) {
        if (v != list->child)
            k = put(p, p->style == GR_JSON_PRETTY && !nested ? ", " : ",");
        if (k == 0 && nested)
            k = put_line(p);
        if (k == 0)
            k = print(p, v);
    }
    p->depth--;
    if (k == 0 && nested)
        k = put_line(p);
    return k < 0 ? k : put(p, "]");
}

static int print(struct printer *p, const cJSON *j)
{
    switch (j->type & 0xff) {
    case cJSON_Object:
        return put_object(p, j);
    case cJSON_Array:
        return put_list(p, j);
    case cJSON_String:
        return put_string(p, j->valuestring);
    case cJSON_Number:
        return put_number(p, j->valuedouble);
    case cJSON_Raw: // text that was printed before
        return put(p, j->valuestring);
    case cJSON_True:
        return put(p, "true");
    case cJSON_False:
        return put(p, "false");
    default:
        return put(p, "null");
    }
}

int gr_json_print(struct gr_buf *b, const cJSON *j, enum gr_json_style style)
{
    struct printer p = {.b = b, .style = style};
    return print(&p, j);
}
