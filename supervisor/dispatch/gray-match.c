// Rules as compiled tests over the texts of a request. Everything here reads foreign bytes: each
// text is taken with its length and each pattern runs under bounds, so that neither a strange
// header nor an unlucky expression costs more than a known number of steps.
#include "dispatch/gray-match.h"
#include "dispatch/gray.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum test { TEST_EXACT, TEST_PREFIX, TEST_REGEX };

struct rule {
    enum gr_subject subject;
    enum test test;
    bool candidate;
    char *name; // header (lower case) or cookie
    char *text;
    size_t len;
    pcre2_code *code; // of a regex
};
struct gr_rules {
    size_t n;
    struct rule *rules;
};

// --- texts of a request ------------------------------------------------------------------------

static struct gr_slice trim(const char *s, size_t len)
{
    while (len > 0 && (*s == ' ' || *s == '\t'))
        s++, len--;
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    return (struct gr_slice){s, len};
}

// The next field called `name` from *at on, which is moved behind it.
static struct gr_slice next_header(const struct grayling_request *q, const char *name, uint32_t *at)
{
    while (*at < q->n_headers) {
        const struct grayling_header *h = &q->headers[(*at)++];
        if (strcmp(h->name, name) == 0)
            return trim(h->value, strlen(h->value));
    }
    return (struct gr_slice){0};
}

// The value of cookie `name` in one Cookie field (RFC 6265 §4.2.1); quotes around it are not part
// of it.
static struct gr_slice find_cookie(struct gr_slice field, const char *name)
{
    const char *s = field.s, *end = s + field.len;
    size_t len = strlen(name);
    while (s < end) {
        const char *semicolon = memchr(s, ';', (size_t)(end - s));
        const char *stop = semicolon ? semicolon : end;
        const char *equals = memchr(s, '=', (size_t)(stop - s));
        struct gr_slice key = trim(s, (size_t)((equals ? equals : s) - s));
        if (equals && key.len == len && memcmp(key.s, name, len) == 0) {
            struct gr_slice value = trim(equals + 1, (size_t)(stop - equals - 1));
            if (value.len >= 2 && value.s[0] == '"' && value.s[value.len - 1] == '"')
                value = (struct gr_slice){value.s + 1, value.len - 2};
            return value;
        }
        s = semicolon ? semicolon + 1 : end;
    }
    return (struct gr_slice){0};
}

static struct gr_slice next_cookie(const struct grayling_request *q, const char *name, uint32_t *at)
{
    for (struct gr_slice field; (field = next_header(q, "cookie", at)).s;) {
        struct gr_slice value = find_cookie(field, name);
        if (value.s)
            return value;
    }
    return (struct gr_slice){0};
}

// version "-" trace-id "-" parent-id "-" flags, in lower-case hex; of a later version only the
// beginning is known. A trace-id of zeros is invalid.
static struct gr_slice trace_id(struct gr_slice parent)
{
    static const char hex[] = "0123456789abcdef";
    const size_t begin = 3, len = 32;
    if (!parent.s || parent.len < 55 || parent.s[2] != '-' || parent.s[begin + len] != '-')
        return (struct gr_slice){0};
    struct gr_slice id = {parent.s + begin, len};
    if (strspn(id.s, hex) != len || strspn(id.s, "0") == len)
        return (struct gr_slice){0};
    return id;
}

// The next text of a subject, for subjects that one request can have several of.
static struct gr_slice next_text(const struct grayling_request *q, enum gr_subject subject,
                                 const char *name, uint32_t *at)
{
    switch (subject) {
    case GR_SUBJECT_HEADER:
        return next_header(q, name, at);
    case GR_SUBJECT_COOKIE:
        return next_cookie(q, name, at);
    case GR_SUBJECT_TENANT:
        return next_header(q, "x-tenant-id", at);
    case GR_SUBJECT_TRACE:
        return trace_id(next_header(q, "traceparent", at));
    case GR_SUBJECT_PATH:
        break; // made on demand
    }
    return (struct gr_slice){0};
}

struct gr_slice gr_request_text(const struct grayling_request *request, enum gr_subject subject,
                                const char *name)
{
    uint32_t at = 0;
    struct gr_slice t = next_text(request, subject, name, &at);
    return t.len > 0 ? t : (struct gr_slice){0};
}

// --- patterns ----------------------------------------------------------------------------------

struct cost { // of one search
    size_t steps, at;
};

// Called before every item of a pattern that is tried, over all places where a match may begin:
// PCRE2's own match limit starts anew at each of them. A step is an item or a byte passed since the
// last one.
static int count_steps(pcre2_callout_block *block, void *arg)
{
    struct cost *c = arg;
    size_t at = block->current_position;
    c->steps += 1 + (at > c->at ? at - c->at : c->at - at);
    c->at = at;
    return c->steps > GR_REGEX_STEPS_MAX ? PCRE2_ERROR_MATCHLIMIT : 0;
}

// Bytes, not characters: a header need not be UTF-8. Not compiled to machine code, for which a
// worker would have to map memory that is writable and executable.
static pcre2_code *compile(const char *pattern, size_t len, int *ret_error, size_t *ret_offset)
{
    return pcre2_compile((PCRE2_SPTR)pattern, len,
                         PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_AUTO_CALLOUT,
                         ret_error, ret_offset, NULL);
}

static bool search(const pcre2_code *code, struct gr_slice subject, unsigned *ret_given_up)
{
    struct cost cost = {0};
    int found = PCRE2_ERROR_NOMEMORY;
    pcre2_match_context *bounds = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (bounds && data && subject.len <= GR_REGEX_SUBJECT_MAX) {
        pcre2_set_match_limit(bounds, GR_REGEX_MATCH_MAX);
        pcre2_set_depth_limit(bounds, GR_REGEX_DEPTH_MAX);
        pcre2_set_heap_limit(bounds, GR_REGEX_HEAP_KIB_MAX);
        pcre2_set_callout(bounds, count_steps, &cost);
        found = pcre2_match(code, (PCRE2_SPTR)subject.s, subject.len, 0, 0, data, bounds);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(bounds);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
        ++*ret_given_up;
    return found >= 0; // 0: matched, with more groups than were asked for
}

static int refuse_pattern(const char *pattern, const char *path, int error, size_t offset,
                          struct gr_error *e)
{
    PCRE2_UCHAR why[128];
    if (pcre2_get_error_message(error, why, sizeof(why)) < 0)
        why[0] = 0;
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s: expected a regular expression (PCRE2), found \"%.128s\": %s (at byte "
                        "%zu)",
                        path, pattern, (const char *)why, offset);
}

int gr_gray_check_pattern(const char *pattern, const char *path, struct gr_error *e)
{
    int error;
    size_t offset;
    pcre2_code *code = compile(pattern, strlen(pattern), &error, &offset);
    if (!code)
        return refuse_pattern(pattern, path, error, offset, e);
    pcre2_code_free(code);
    return 0;
}

// --- matching ----------------------------------------------------------------------------------

static bool fits(const struct rule *r, struct gr_slice t, unsigned *ret_given_up)
{
    switch (r->test) {
    case TEST_EXACT:
        return t.len == r->len && memcmp(t.s, r->text, r->len) == 0;
    case TEST_PREFIX:
        return t.len >= r->len && memcmp(t.s, r->text, r->len) == 0;
    case TEST_REGEX:
        return search(r->code, t, ret_given_up);
    }
    return false;
}

static bool path_fits(const struct rule *r, const struct grayling_request *q,
                      unsigned *ret_given_up)
{
    char path[GR_INTERFACE_MAX + GR_METHOD_MAX + 3];
    int len = snprintf(path, sizeof(path), "/%s/%s", q->interface_name, q->method_name);
    // A longer one is no module's.
    return len > 0 && (size_t)len < sizeof(path) &&
           fits(r, (struct gr_slice){path, (size_t)len}, ret_given_up);
}

static bool rule_fits(const struct rule *r, const struct grayling_request *q,
                      unsigned *ret_given_up)
{
    if (r->subject == GR_SUBJECT_PATH)
        return path_fits(r, q, ret_given_up);
    uint32_t at = 0;
    for (struct gr_slice t; (t = next_text(q, r->subject, r->name, &at)).s;)
        if (fits(r, t, ret_given_up))
            return true;
    return false;
}

int gr_rules_match(const struct gr_rules *r, const struct grayling_request *request,
                   bool *ret_candidate, unsigned *ret_given_up)
{
    for (size_t i = 0; i < r->n; i++)
        if (rule_fits(&r->rules[i], request, ret_given_up)) {
            *ret_candidate = r->rules[i].candidate;
            return (int)i;
        }
    return -1;
}

// --- parsing -----------------------------------------------------------------------------------

static const char *const subjects[] = {"header", "cookie", "tenant", "path"};
static const char *const tests[] = {"exact", "prefix", "regex"};

// The only one of `names` that the object has; -1: none, or several.
static int only_one(const cJSON *o, const char *const *names, size_t n)
{
    int found = -1;
    for (size_t i = 0; i < n; i++)
        if (gr_json_get(o, names[i])) {
            if (found >= 0)
                return -1;
            found = (int)i;
        }
    return found;
}

static int parse_subject(const cJSON *o, const char *path, struct rule *r, struct gr_error *e)
{
    const char *name = NULL;
    bool yes = false;
    bool named = r->subject == GR_SUBJECT_HEADER || r->subject == GR_SUBJECT_COOKIE;
    int k = named ? gr_json_string(o, path, subjects[r->subject], GR_JSON_REQUIRED, &name, e)
                  : gr_json_bool(o, path, subjects[r->subject], GR_JSON_REQUIRED, &yes, e);
    if (k < 0)
        return k;
    if (named ? !*name : !yes)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID, "%s.%s: expected %s", path,
                            subjects[r->subject], named ? "a name, found \"\"" : "true");
    if (named && !(r->name = strdup(name)))
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "memory ran out");
    for (char *c = r->subject == GR_SUBJECT_HEADER ? r->name : NULL; c && *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c | 0x20) : *c;
    return 0;
}

static int parse_test(const cJSON *o, const char *path, struct rule *r, struct gr_error *e)
{
    const char *text, *to = "candidate", *test = tests[r->test];
    int k = gr_json_string(o, path, test, GR_JSON_REQUIRED, &text, e);
    if (k == 0)
        k = gr_json_string(o, path, "to", GR_JSON_OPTIONAL, &to, e);
    if (k < 0)
        return k;
    r->candidate = strcmp(to, "candidate") == 0;
    if (!r->candidate && strcmp(to, "stable") != 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s.to: expected \"candidate\" or \"stable\", found \"%.32s\"", path,
                            to);
    r->len = strlen(text);
    if (r->len > GR_MATCH_TEXT_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s.%s: expected at most %d bytes, found %zu", path, test,
                            GR_MATCH_TEXT_MAX, r->len);
    if (!(r->text = strdup(text)))
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "memory ran out");
    int error;
    size_t offset;
    char at[64];
    snprintf(at, sizeof(at), "%s.%s", path, test);
    if (r->test == TEST_REGEX && !(r->code = compile(text, r->len, &error, &offset)))
        return refuse_pattern(text, at, error, offset, e);
    return 0;
}

static int parse_rule(const cJSON *o, size_t index, struct rule *r, struct gr_error *e)
{
    static const char *const fields[] = {"header", "cookie", "tenant", "path", "exact",
                                         "prefix", "regex",  "to",     NULL};
    char path[32];
    snprintf(path, sizeof(path), "match[%zu]", index);
    int k = gr_json_check_fields(o, path, fields, e);
    if (k < 0)
        return k;
    int subject = only_one(o, subjects, GR_COUNT(subjects));
    int test = only_one(o, tests, GR_COUNT(tests));
    if (subject < 0 || test < 0)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "%s: expected exactly one of header, cookie, tenant, path and exactly "
                            "one of exact, prefix, regex",
                            path);
    r->subject = (enum gr_subject)subject;
    r->test = (enum test)test;
    k = parse_subject(o, path, r, e);
    return k < 0 ? k : parse_test(o, path, r, e);
}

void gr_rules_free(struct gr_rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->rules && i < r->n; i++) {
        free(r->rules[i].name);
        free(r->rules[i].text);
        pcre2_code_free(r->rules[i].code);
    }
    free(r->rules);
    free(r);
}

int gr_rules_parse(const cJSON *list, struct gr_rules **ret, struct gr_error *e)
{
    size_t n = cJSON_IsArray(list) ? (size_t)cJSON_GetArraySize(list) : SIZE_MAX;
    if (n > GR_MATCH_RULES_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                            "match: expected a list of at most %d rules", GR_MATCH_RULES_MAX);
    GR_CLEANUP(gr_rules_freep) struct gr_rules *r = calloc(1, sizeof(*r));
    if (!r || !(r->rules = calloc(n ? n : 1, sizeof(*r->rules))))
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "memory ran out");
    for (const cJSON *o = list->child; o; o = o->next) {
        int k = parse_rule(o, r->n, &r->rules[r->n], e);
        r->n++;
        if (k < 0)
            return k;
    }
    *ret = gr_steal(r);
    return 0;
}
