// Version ranges: every form is taken apart into plain comparators while it is read, so that
// matching knows one form only.
#include "base/range.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DIGITS "0123456789"
#define QUALIFIER DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+."

struct reader {
    const char *text, *p;
    struct gr_range *range;
    bool full; // more comparators than there is room for
    struct gr_error *e;
};
// "1.2.x": numbers up to the first that is left open, zeros from there on.
struct partial {
    unsigned given; // 0: "*", 3: a whole version
    uint64_t n[3];
    uint8_t pre; // only of a whole version
};

static int refuse(const struct reader *r, const char *at, const char *expected)
{
    char rest[24];
    snprintf(rest, sizeof rest, "%s", at);
    return gr_error_set(r->e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "\"%s\" is no version range: expected %s %s%s%s; write one like ^1.2.0 or "
                        ">=1.2.0 <3.0.0",
                        r->text, expected, *rest ? "at \"" : "at its end", rest, *rest ? "\"" : "");
}

static void skip_blanks(struct reader *r)
{
    while (*r->p == ' ')
        r->p++;
}

static bool at_end(const struct reader *r)
{
    return *r->p == '\0' || *r->p == '|';
}

// --- what the forms come down to

static void add(struct reader *r, enum gr_range_op op, const struct partial *v, bool lowest)
{
    struct gr_range *range = r->range;
    bool no_bound = op == GR_RANGE_GREATER_OR_EQUAL && !v->n[0] && !v->n[1] && !v->n[2] && !v->pre;
    if (no_bound) // ">=0.0.0" is "*" to node-semver
        return;
    if (range->n_bounds == GR_RANGE_BOUNDS_MAX) {
        r->full = true;
        return;
    }
    range->bounds[range->n_bounds++] = (struct gr_range_bound){
        .major = v->n[0],
        .minor = v->n[1],
        .patch = v->n[2],
        .op = op,
        .alternative = range->n_alternatives,
        .pre = v->pre,
        .lowest = lowest,
    };
}

// Below the next version that differs in number `place` (0: major), all of its prereleases
// excluded.
static void add_below_next(struct reader *r, const struct partial *v, unsigned place)
{
    struct partial next = {0};
    for (unsigned i = 0; i < place; i++)
        next.n[i] = v->n[i];
    next.n[place] = v->n[place] + 1;
    add(r, GR_RANGE_LESS, &next, true);
}

static void add_nothing(struct reader *r) // no version is below the lowest prerelease of 0.0.0
{
    add(r, GR_RANGE_LESS, &(struct partial){0}, true);
}

static void add_tilde(struct reader *r, const struct partial *v)
{
    if (v->given == 0)
        return;
    add(r, GR_RANGE_GREATER_OR_EQUAL, v, false);
    add_below_next(r, v, v->given == 1 ? 0 : 1);
}

// Up to the left-most number that is not zero; what is left open may change even below 1.0.0.
static void add_caret(struct reader *r, const struct partial *v)
{
    unsigned place = 0;
    if (v->given == 0)
        return;
    while (place + 1 < v->given && v->n[place] == 0)
        place++;
    add(r, GR_RANGE_GREATER_OR_EQUAL, v, false);
    add_below_next(r, v, place);
}

static void add_equal(struct reader *r, const struct partial *v)
{
    if (v->given == 3) {
        add(r, GR_RANGE_EQUAL, v, false);
    } else if (v->given > 0) {
        add(r, GR_RANGE_GREATER_OR_EQUAL, v, false);
        add_below_next(r, v, v->given - 1);
    }
}

static void add_upper(struct reader *r, const struct partial *v, bool inclusive)
{
    if (v->given == 3)
        add(r, inclusive ? GR_RANGE_LESS_OR_EQUAL : GR_RANGE_LESS, v, false);
    else if (!inclusive)
        add(r, GR_RANGE_LESS, v, true); // "<*" is below 0.0.0: nothing
    else if (v->given > 0)
        add_below_next(r, v, v->given - 1);
}

static void add_lower(struct reader *r, const struct partial *v, bool inclusive)
{
    struct partial next = {0};
    if (inclusive || v->given == 3) {
        add(r, inclusive ? GR_RANGE_GREATER_OR_EQUAL : GR_RANGE_GREATER, v, false);
        return;
    }
    if (v->given == 0) {
        add_nothing(r);
        return;
    }
    next.n[0] = v->n[0];
    next.n[1] = v->given == 2 ? v->n[1] : 0;
    next.n[v->given - 1]++;
    add(r, GR_RANGE_GREATER_OR_EQUAL, &next, false);
}

// --- reading

// Its syntax is that of a version whose open numbers are zero, so the parser of versions checks it.
static int read_partial(struct reader *r, struct partial *ret)
{
    char whole[GR_RANGE_MAX + sizeof "0.0.0"];
    struct gr_version v;
    struct partial partial = {.given = 3};
    const char *start = r->p, *qualifier = "";
    int len = 0, qualifier_len = 0;
    for (unsigned i = 0; i < 3; i++) {
        bool present = i == 0 || *r->p == '.';
        if (present && i > 0)
            r->p++;
        bool open = !present || *r->p == 'x' || *r->p == 'X' || *r->p == '*';
        size_t digits = open ? 0 : strspn(r->p, DIGITS);
        if (!open && digits == 0)
            return refuse(r, r->p, "a number, x or *");
        if (!open && partial.given < i)
            return refuse(r, r->p, "no number behind one that is left open");
        if (open && partial.given > i)
            partial.given = i;
        len += snprintf(whole + len, sizeof whole - (size_t)len, "%s%.*s", i ? "." : "",
                        open ? 1 : (int)digits, open ? "0" : r->p);
        r->p += open ? (size_t)present : digits;
        if (i == 2 && present && (*r->p == '-' || *r->p == '+')) {
            qualifier = r->p;
            qualifier_len = (int)strspn(r->p, QUALIFIER);
            r->p += qualifier_len;
        }
    }
    snprintf(whole + len, sizeof whole - (size_t)len, "%.*s", qualifier_len, qualifier);
    if (gr_version_parse(whole, &v) < 0)
        return refuse(r, start, "a version, or its beginning,");
    if (!at_end(r) && *r->p != ' ')
        return refuse(r, r->p, "a blank or ||");
    partial.n[0] = partial.given > 0 ? v.major : 0;
    partial.n[1] = partial.given > 1 ? v.minor : 0;
    partial.n[2] = partial.given > 2 ? v.patch : 0;
    if (v.pre && partial.given == 3)
        partial.pre = (uint8_t)(qualifier + 1 - r->text);
    *ret = partial;
    return 0;
}

// One comparator, tilde, caret or x-range. *ret_plain: without an operator, so that it may begin a
// hyphen range, for which it is kept in *ret instead of being added.
static int read_simple(struct reader *r, struct partial *ret, bool *ret_plain)
{
    char op = *r->p;
    bool prefixed = op != '\0' && strchr("<>=~^", op) != NULL;
    if (prefixed)
        r->p++;
    bool inclusive = (op == '<' || op == '>') && *r->p == '=';
    if (inclusive)
        r->p++;
    if (prefixed)
        skip_blanks(r);
    int status = read_partial(r, ret);
    if (status < 0)
        return status;
    *ret_plain = !prefixed;
    if (op == '~')
        add_tilde(r, ret);
    else if (op == '^')
        add_caret(r, ret);
    else if (op == '<')
        add_upper(r, ret, inclusive);
    else if (op == '>')
        add_lower(r, ret, inclusive);
    else if (op == '=')
        add_equal(r, ret);
    return 0;
}

// What stands between two `||`: a hyphen range alone, or any number of the others.
static int read_alternative(struct reader *r)
{
    skip_blanks(r);
    for (bool first = true; !at_end(r); first = false) {
        struct partial v, to;
        bool plain;
        int status = read_simple(r, &v, &plain);
        if (status < 0)
            return status;
        skip_blanks(r);
        if (plain && first && r->p[0] == '-' && r->p[1] == ' ') {
            r->p++;
            skip_blanks(r);
            status = read_partial(r, &to);
            if (status < 0)
                return status;
            skip_blanks(r);
            if (!at_end(r))
                return refuse(r, r->p, "nothing but || behind a range from - to");
            add_lower(r, &v, true);
            add_upper(r, &to, true);
        } else if (plain) {
            add_equal(r, &v);
        }
    }
    return 0;
}

// node-semver reduces a range with "*" among its alternatives to "*", which holds no prereleases
// though another alternative might have named some.
static void reduce_any(struct gr_range *range)
{
    bool bounded[GR_RANGE_MAX + 1] = {false};
    for (size_t i = 0; i < range->n_bounds; i++)
        bounded[range->bounds[i].alternative] = true;
    for (size_t i = 0; i < range->n_alternatives; i++)
        if (!bounded[i]) {
            range->n_alternatives = 1;
            range->n_bounds = 0;
        }
}

int gr_range_parse(const char *text, struct gr_range *ret, struct gr_error *e)
{
    struct gr_range range = {0};
    struct reader r = {.text = text, .p = text, .range = &range, .e = e};
    size_t len = strlen(text);
    if (len > GR_RANGE_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "a version range of %zu characters: expected at most %d", len,
                            GR_RANGE_MAX);
    for (;;) {
        int status = read_alternative(&r);
        if (status < 0)
            return status;
        range.n_alternatives++;
        if (*r.p == '\0')
            break;
        if (r.p[1] != '|')
            return refuse(&r, r.p, "||");
        r.p += 2;
    }
    if (r.full)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "\"%s\" comes down to more than %d comparators; write a shorter one",
                            text, GR_RANGE_BOUNDS_MAX);
    reduce_any(&range);
    memcpy(range.text, text, len + 1);
    *ret = range;
    return 0;
}

// --- matching

static bool same_numbers(const struct gr_version *v, const struct gr_range_bound *b)
{
    return v->major == b->major && v->minor == b->minor && v->patch == b->patch;
}

// <0, 0, >0: the version below, at or above the bound.
static int compare(const struct gr_range *r, const struct gr_version *v,
                   const struct gr_range_bound *b)
{
    if (v->major != b->major)
        return v->major < b->major ? -1 : 1;
    if (v->minor != b->minor)
        return v->minor < b->minor ? -1 : 1;
    if (v->patch != b->patch)
        return v->patch < b->patch ? -1 : 1;
    bool bound_pre = b->pre || b->lowest;
    if (!v->pre || !bound_pre)
        return (v->pre == 0) - !bound_pre;
    return gr_version_compare_prerelease(v->text + v->pre, b->lowest ? "0" : r->text + b->pre);
}

static bool holds(const struct gr_range *r, const struct gr_version *v,
                  const struct gr_range_bound *b)
{
    int c = compare(r, v, b);
    switch (b->op) {
    case GR_RANGE_LESS:
        return c < 0;
    case GR_RANGE_LESS_OR_EQUAL:
        return c <= 0;
    case GR_RANGE_EQUAL:
        return c == 0;
    case GR_RANGE_GREATER_OR_EQUAL:
        return c >= 0;
    case GR_RANGE_GREATER:
        return c > 0;
    }
    return false;
}

bool gr_range_matches(const struct gr_range *r, const struct gr_version *v)
{
    size_t i = 0;
    for (size_t a = 0; a < r->n_alternatives; a++) {
        bool all = true, named = v->pre == 0;
        for (; i < r->n_bounds && r->bounds[i].alternative == a; i++) {
            const struct gr_range_bound *b = &r->bounds[i];
            all &= holds(r, v, b);
            named |= (b->pre || b->lowest) && same_numbers(v, b);
        }
        if (all && named)
            return true;
    }
    return false;
}
