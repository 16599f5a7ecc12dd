// Compares two JSON texts as values. Reads each into a flat array of values that point into the
// text (nothing is converted, so nothing is rounded), then walks both.
#include "base/json-same.h"
#include "base/json-ignore.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <errno.h>
#include <string.h>

enum kind { OBJECT, ARRAY, TEXT, NUMBER, WORD };
struct value {
    enum kind kind;
    const char *at, *key; // of scalars: their text; of members: the key's, without quotes
    size_t len, key_len;
    size_t n, end; // children; index after the last of them
};
struct text { // a document being read, then read
    const char *p, *end;
    struct value *values;
    size_t n, cap;
    unsigned depth;
    bool no_memory;
};

// --- reading -------------------------------------------------------------------------------------

static void skip_space(struct text *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r'))
        t->p++;
}

static bool eat(struct text *t, char c)
{
    skip_space(t);
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_unit(const char **p, const char *end, unsigned *ret)
{
    unsigned unit = 0;
    if (end - *p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit((*p)[i]);
        if (digit < 0)
            return false;
        unit = unit << 4 | (unsigned)digit;
    }
    *p += 4;
    *ret = unit;
    return true;
}

// The escape behind a backslash, as UTF-8 in buf. Returns its length; 0: there is no such escape.
static size_t read_escape(const char **p, const char *end, char buf[4])
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    unsigned unit, low;
    if (*p == end)
        return 0;
    char c = *(*p)++;
    const char *found = c ? strchr(plain, c) : NULL;
    if (found) {
        buf[0] = means[found - plain];
        return 1;
    }
    if (c != 'u' || !read_unit(p, end, &unit) || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (end - *p < 2 || (*p)[0] != '\\' || (*p)[1] != 'u')
            return 0;
        *p += 2;
        if (!read_unit(p, end, &low) || low < 0xdc00 || low > 0xdfff)
            return 0;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    return gr_utf8_encode(unit, buf);
}

// The next character of a text without its quotes, as UTF-8 in buf. Returns its length; 0: it is
// no character.
static size_t next_char(const char **p, const char *end, char buf[4])
{
    if (**p == '\\') {
        ++*p;
        return read_escape(p, end, buf);
    }
    size_t len = (unsigned char)**p < 0x20 ? 0 : gr_utf8_sequence(*p, (size_t)(end - *p));
    memcpy(buf, *p, len);
    *p += len;
    return len;
}

static bool read_text(struct text *t, const char **ret, size_t *ret_len)
{
    char buf[4];
    if (!eat(t, '"'))
        return false;
    const char *start = t->p;
    while (t->p < t->end && *t->p != '"')
        if (next_char(&t->p, t->end, buf) == 0)
            return false;
    if (t->p == t->end)
        return false;
    *ret = start;
    *ret_len = (size_t)(t->p++ - start);
    return true;
}

static size_t digits(struct text *t)
{
    const char *start = t->p;
    while (t->p < t->end && *t->p >= '0' && *t->p <= '9')
        t->p++;
    return (size_t)(t->p - start);
}

static bool next_is(const struct text *t, const char *set)
{
    return t->p < t->end && *t->p && strchr(set, *t->p);
}

static bool read_number(struct text *t)
{
    if (next_is(t, "-"))
        t->p++;
    bool zero = next_is(t, "0");
    size_t n = digits(t);
    if (n == 0 || (zero && n > 1))
        return false;
    if (next_is(t, ".")) {
        t->p++;
        if (digits(t) == 0)
            return false;
    }
    if (next_is(t, "eE")) {
        t->p++;
        if (next_is(t, "+-"))
            t->p++;
        if (digits(t) == 0)
            return false;
    }
    return true;
}

static bool read_word(struct text *t)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < GR_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(t->end - t->p) >= len && memcmp(t->p, words[i], len) == 0) {
            t->p += len;
            return true;
        }
    }
    return false;
}

static bool add_value(struct text *t, size_t *ret)
{
    if (t->n == GR_JSON_SAME_VALUES_MAX)
        return false;
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct value *more = realloc(t->values, cap * sizeof *more);
        if (!more) {
            t->no_memory = true;
            return false;
        }
        t->values = more;
        t->cap = cap;
    }
    *ret = t->n++;
    t->values[*ret] = (struct value){0};
    return true;
}

static bool read_value(struct text *t, const char *key, size_t key_len);

static bool read_children(struct text *t, size_t parent, bool members)
{
    char close = members ? '}' : ']';
    if (eat(t, close))
        return true;
    do {
        const char *key = NULL;
        size_t key_len = 0;
        if (members && (!read_text(t, &key, &key_len) || !eat(t, ':')))
            return false;
        if (!read_value(t, key, key_len))
            return false;
        t->values[parent].n++;
    } while (eat(t, ','));
    return eat(t, close);
}

static bool read_value(struct text *t, const char *key, size_t key_len)
{
    size_t i;
    skip_space(t);
    if (t->p == t->end || !add_value(t, &i))
        return false;
    const char *start = t->p, *at = start;
    size_t len = 0;
    enum kind kind = *start == '{' ? OBJECT : *start == '[' ? ARRAY : *start == '"' ? TEXT : WORD;
    bool ok;
    if (kind == OBJECT || kind == ARRAY) {
        t->p++;
        ok = t->depth++ < GR_JSON_DEPTH_MAX && read_children(t, i, kind == OBJECT);
        t->depth--;
    } else if (kind == TEXT) {
        ok = read_text(t, &at, &len);
    } else {
        kind = *start == '-' || (*start >= '0' && *start <= '9') ? NUMBER : WORD;
        ok = kind == NUMBER ? read_number(t) : read_word(t);
        len = (size_t)(t->p - start);
    }
    struct value *v = &t->values[i];
    v->kind = kind;
    v->at = at;
    v->len = len;
    v->key = key;
    v->key_len = key_len;
    v->end = t->n;
    return ok;
}

// --- scalars -------------------------------------------------------------------------------------

// By bytes of the UTF-8 that both mean.
static int compare_text(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const char *a_end = a + a_len, *b_end = b + b_len;
    while (a < a_end && b < b_end) {
        char x[4], y[4];
        size_t x_len = next_char(&a, a_end, x), y_len = next_char(&b, b_end, y);
        int order = memcmp(x, y, x_len < y_len ? x_len : y_len);
        if (order || x_len != y_len)
            return order ? order : x_len < y_len ? -1 : 1;
    }
    return (a < a_end) - (b < b_end);
}

struct decimal { // 0.d1d2d3... * 10^scale, d1 and the last digit not 0
    bool negative;
    const char *first, *end; // digits, maybe with the point between them; equal: zero
    int64_t scale;
    bool huge; // the exponent is beyond what scale holds
};

static struct decimal decimal_of(const struct value *v)
{
    const char *p = v->at, *end = v->at + v->len;
    struct decimal d = {.negative = *p == '-'};
    bool behind = false;
    int64_t exponent = 0;
    for (p += d.negative; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            behind = true;
            continue;
        }
        if (!d.first && *p == '0') {
            d.scale -= behind;
            continue;
        }
        if (!d.first)
            d.first = p;
        if (*p != '0')
            d.end = p + 1;
        d.scale += !behind;
    }
    if (!d.first)
        return (struct decimal){0};
    bool down = p < end && p[1] == '-';
    for (p = p < end ? p + 1 : p; p < end; p++)
        if (*p >= '0' && *p <= '9') {
            d.huge |= exponent > INT64_MAX / 64;
            exponent = d.huge ? 0 : 10 * exponent + (*p - '0');
        }
    d.scale += down ? -exponent : exponent;
    return d;
}

static bool same_number(const struct value *a, const struct value *b)
{
    struct decimal x = decimal_of(a), y = decimal_of(b);
    if (x.huge || y.huge)
        return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
    if (x.negative != y.negative || x.scale != y.scale)
        return false;
    const char *p = x.first, *q = y.first;
    while (p < x.end && q < y.end) {
        p += *p == '.';
        q += *q == '.';
        if (*p++ != *q++)
            return false;
    }
    return p >= x.end && q >= y.end;
}

// --- walking -------------------------------------------------------------------------------------

struct walk {
    const struct text *a, *b;
    const struct gr_json_ignore *ignore;
    bool no_memory, twice;
};
struct entry { // a child that counts
    const struct value *value;
    gr_json_alive alive;
};

static bool hop_fits(const struct gr_json_hop *hop, const struct value *child, size_t index)
{
    switch (hop->kind) {
    case GR_HOP_ALL:
        return true;
    case GR_HOP_INDEX:
        return !child->key && hop->index == index;
    case GR_HOP_NAME:;
        char buf[4];
        const char *p = child->key, *end = p ? p + child->key_len : NULL, *name = hop->name;
        if (!p)
            return false;
        while (p < end) {
            size_t len = next_char(&p, end, buf);
            if (strnlen(name, len) < len || memcmp(name, buf, len) != 0)
                return false;
            name += len;
        }
        return *name == '\0';
    }
    return false;
}

// Which paths lead on to this child. *ret_ignored: one of them ends here.
static gr_json_alive step_down(const struct gr_json_ignore *ignore, gr_json_alive alive,
                               unsigned depth, const struct value *child, size_t index,
                               bool *ret_ignored)
{
    gr_json_alive next = 0;
    *ret_ignored = false;
    for (size_t i = 0; alive && i < ignore->n; i++) {
        const struct gr_json_ignored *p = &ignore->paths[i];
        if (!(alive >> i & 1) || !hop_fits(&p->hops[depth], child, index))
            continue;
        if (p->n == depth + 1)
            *ret_ignored = true;
        else
            next |= UINT32_C(1) << i;
    }
    return next;
}

static int by_key(const void *a, const void *b)
{
    const struct value *x = ((const struct entry *)a)->value, *y = ((const struct entry *)b)->value;
    return compare_text(x->key, x->key_len, y->key, y->key_len);
}

// The members that count, sorted by key; *ret_n of them, caller frees. NULL: out of memory.
static struct entry *members(struct walk *w, const struct text *t, const struct value *v,
                             gr_json_alive alive, unsigned depth, size_t *ret_n)
{
    struct entry *list = calloc(v->n + 1, sizeof *list);
    size_t n = 0;
    if (!list) {
        w->no_memory = true;
        return NULL;
    }
    const struct value *child = v + 1;
    for (size_t i = 0; i < v->n; i++, child = t->values + child->end) {
        bool ignored;
        list[n].alive = step_down(w->ignore, alive, depth, child, i, &ignored);
        list[n].value = child;
        n += !ignored;
    }
    qsort(list, n, sizeof *list, by_key);
    for (size_t i = 1; i < n; i++)
        w->twice |= by_key(&list[i - 1], &list[i]) == 0;
    *ret_n = n;
    return list;
}

static bool same(struct walk *w, const struct value *a, const struct value *b, gr_json_alive alive,
                 unsigned depth);

static bool same_members(struct walk *w, const struct value *a, const struct value *b,
                         gr_json_alive alive, unsigned depth)
{
    size_t n = 0, m = 0;
    GR_AUTO_FREE struct entry *x = members(w, w->a, a, alive, depth, &n);
    GR_AUTO_FREE struct entry *y = x ? members(w, w->b, b, alive, depth, &m) : NULL;
    bool ok = y && n == m && !w->twice;
    for (size_t i = 0; ok && i < n; i++)
        ok = by_key(&x[i], &y[i]) == 0 && same(w, x[i].value, y[i].value, x[i].alive, depth + 1);
    return ok;
}

static bool same_elements(struct walk *w, const struct value *a, const struct value *b,
                          gr_json_alive alive, unsigned depth)
{
    bool ok = a->n == b->n;
    const struct value *x = a + 1, *y = b + 1;
    for (size_t i = 0; ok && i < a->n; i++) {
        bool ignored;
        gr_json_alive next = step_down(w->ignore, alive, depth, x, i, &ignored);
        ok = ignored || same(w, x, y, next, depth + 1);
        x = w->a->values + x->end;
        y = w->b->values + y->end;
    }
    return ok;
}

static bool same(struct walk *w, const struct value *a, const struct value *b, gr_json_alive alive,
                 unsigned depth)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case OBJECT:
        return same_members(w, a, b, alive, depth);
    case ARRAY:
        return same_elements(w, a, b, alive, depth);
    case TEXT:
        return compare_text(a->at, a->len, b->at, b->len) == 0;
    case NUMBER:
        return same_number(a, b);
    case WORD:
        return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
    }
    return false;
}

// --- the whole -----------------------------------------------------------------------------------

static bool read_document(struct text *t, const char *bytes, size_t len)
{
    *t = (struct text){.p = bytes, .end = bytes + len};
    if (len == 0 || !read_value(t, NULL, 0))
        return false;
    skip_space(t);
    return t->p == t->end;
}

int gr_json_same(const char *a, size_t a_len, const char *b, size_t b_len,
                 const struct gr_json_ignore *ignore)
{
    struct text x = {0}, y = {0};
    if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0))
        return 1;
    struct walk w = {.a = &x, .b = &y, .ignore = ignore};
    bool ok = read_document(&x, a, a_len) && read_document(&y, b, b_len);
    if (ok)
        ok = same(&w, x.values, y.values,
                  ignore ? (gr_json_alive)((UINT64_C(1) << ignore->n) - 1) : 0, 0);
    free(x.values);
    free(y.values);
    return x.no_memory || y.no_memory || w.no_memory ? -ENOMEM : ok;
}
