// Reads what decides who sees a candidate: match rules and the sticky key. Checks their shape.
#include "dispatch/gray.h"
#include "state/canonical.h"
#include "state/desired-internal.h"
#include <stdio.h>
#include <string.h>

static const char *const subjects[] = {"header", "cookie", "tenant", "path", NULL};
static const char *const tests[] = {"exact", "prefix", "regex", NULL};

// A field name of RFC 9110 (a token), which a cookie's name is too (RFC 6265).
static bool is_token(const char *s)
{
    static const char others[] = "!#$%&'*+-.^_`|~0123456789";
    size_t len = 0;
    for (; s[len]; len++) {
        bool letter = (s[len] >= 'a' && s[len] <= 'z') || (s[len] >= 'A' && s[len] <= 'Z');
        if (!letter && !strchr(others, s[len]))
            return false;
    }
    return len > 0 && len <= GR_MATCH_TEXT_MAX;
}

static const char *only_one_of(const cJSON *o, const char *const *names)
{
    const char *found = NULL;
    for (size_t i = 0; names[i]; i++)
        if (gr_json_get(o, names[i])) {
            if (found)
                return NULL;
            found = names[i];
        }
    return found;
}

static int check_subject(const cJSON *o, const char *path, const char *subject, struct gr_error *e)
{
    const cJSON *v = gr_json_get(o, subject);
    char at[GR_FIELD_MAX], shown[GR_SHOWN_MAX];
    bool named = subject == subjects[0] || subject == subjects[1];
    snprintf(at, sizeof at, "%s.%s", path, subject);
    if (named && (!cJSON_IsString(v) || !is_token(v->valuestring)))
        return gr_desired_refuse(e, at, "expected the name of a %s, found %s", subject,
                                 gr_desired_show(v, shown));
    if (!named && !cJSON_IsTrue(v))
        return gr_desired_refuse(e, at,
                                 "expected true, found %s; what it is compared with stands in "
                                 "exact, prefix or regex",
                                 gr_desired_show(v, shown));
    return 0;
}

static int check_rule(const cJSON *o, const char *path, struct gr_error *e)
{
    static const char *const fields[] = {"header", "cookie", "tenant", "path", "exact",
                                         "prefix", "regex",  "to",     NULL};
    const char *pattern = NULL, *to = "candidate";
    int k = gr_json_check_fields(o, path, fields, e);
    if (k < 0)
        return k;
    const char *subject = only_one_of(o, subjects), *test = only_one_of(o, tests);
    if (!subject || !test)
        return gr_desired_refuse(
            e, path,
            "expected exactly one of %s; for example {\"header\": \"x-canary\", "
            "\"exact\": \"1\"}",
            subject ? "exact, prefix, regex" : "header, cookie, tenant, path");
    k = check_subject(o, path, subject, e);
    if (k == 0)
        k = gr_json_string(o, path, test, GR_JSON_REQUIRED, &pattern, e);
    if (k == 0)
        k = gr_json_string(o, path, "to", GR_JSON_OPTIONAL, &to, e);
    if (k < 0)
        return k;
    char at[GR_FIELD_MAX], shown[GR_SHOWN_MAX];
    snprintf(at, sizeof at, "%s.%s", path, test);
    if (strlen(pattern) > GR_MATCH_TEXT_MAX)
        return gr_desired_refuse(e, at, "expected at most %d bytes, found %zu", GR_MATCH_TEXT_MAX,
                                 strlen(pattern));
    if (strcmp(test, "regex") == 0) {
        k = gr_gray_check_pattern(pattern, at, e);
        if (k < 0)
            return k;
    }
    snprintf(at, sizeof at, "%s.to", path);
    if (strcmp(to, "candidate") != 0 && strcmp(to, "stable") != 0)
        return gr_desired_refuse(e, at, "expected \"candidate\" or \"stable\", found %s",
                                 gr_desired_show(gr_json_get(o, "to"), shown));
    return 0;
}

int gr_match_parse(const cJSON *list, char **ret_json, struct gr_error *e)
{
    static const char path[] = "strategy.match";
    char shown[GR_SHOWN_MAX];
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > GR_MATCH_RULES_MAX)
        return gr_desired_refuse(e, path, "expected a list of at most %d rules, found %s",
                                 GR_MATCH_RULES_MAX, gr_desired_show(list, shown));
    int i = 0;
    for (const cJSON *o = list->child; o; o = o->next, i++) {
        char at[32];
        snprintf(at, sizeof at, "%s[%d]", path, i);
        int k = check_rule(o, at, e);
        if (k < 0)
            return k;
    }
    *ret_json = gr_canonical_format(list, GR_DOCUMENT_BYTES_MAX);
    return *ret_json ? 0 : gr_desired_no_memory(e);
}

int gr_sticky_parse(const cJSON *v, char *buf, size_t cap, struct gr_error *e)
{
    const char *s = cJSON_IsString(v) ? v->valuestring : "";
    bool named = strncmp(s, "header:", 7) == 0 || strncmp(s, "cookie:", 7) == 0;
    bool plain = strcmp(s, "tenant") == 0 || strcmp(s, "trace") == 0;
    char shown[GR_SHOWN_MAX];
    if ((!plain && (!named || !is_token(s + 7))) || strlen(s) >= cap)
        return gr_desired_refuse(e, "strategy.sticky",
                                 "expected \"header:NAME\", \"cookie:NAME\", \"tenant\" or "
                                 "\"trace\" (at most %zu bytes), found %s",
                                 cap - 1, gr_desired_show(v, shown));
    memcpy(buf, s, strlen(s) + 1);
    return 0;
}
