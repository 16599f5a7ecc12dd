// Where artifacts may come from. Every refusal names the key of [Artifacts] that would allow it.
#include "verifier/policy.h"
#include "verifier/address.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct list {
    char **items;
    size_t n;
};

struct host_rule {
    bool is_address;
    struct gr_address range;
    const char *name; // in the list's memory
};

struct gr_policy {
    unsigned refs;
    struct list schemes, hosts, roots;
    struct host_rule *rules; // one per host
    bool has_ranges;
};

static void list_done(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
}

static int list_split(const char *text, struct list *l)
{
    for (const char *p = text ? text : ""; *(p += strspn(p, " \t\n"));) {
        size_t len = strcspn(p, " \t\n");
        char **items = reallocarray(l->items, l->n + 1, sizeof *items);
        if (!items)
            return -ENOMEM;
        l->items = items;
        if (!(items[l->n] = strndup(p, len)))
            return -ENOMEM;
        l->n++;
        p += len;
    }
    return 0;
}

static bool list_has(const struct list *l, const char *text)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcasecmp(l->items[i], text) == 0)
            return true;
    return false;
}

static bool known_scheme(const char *s)
{
    return strcasecmp(s, "https") == 0 || strcasecmp(s, "http") == 0 || strcasecmp(s, "file") == 0;
}

static int check_lists(struct gr_policy *p, struct gr_error *e)
{
    for (size_t i = 0; i < p->schemes.n; i++)
        if (!known_scheme(p->schemes.items[i]))
            return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                                "AllowSchemes= names \"%s\"; known are https, http and file",
                                p->schemes.items[i]);
    for (size_t i = 0; i < p->hosts.n; i++) {
        struct host_rule *r = &p->rules[i];
        r->name = p->hosts.items[i];
        r->is_address = gr_address_parse(r->name, &r->range) == 0;
        p->has_ranges |= r->is_address;
        if (!r->is_address && strpbrk(r->name, "/:@*"))
            return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                                "AllowHosts= names \"%s\", which is neither a host name nor an "
                                "address nor a range such as 10.0.0.0/8 without host bits",
                                r->name);
    }
    for (size_t i = 0; i < p->roots.n; i++) {
        char *root = p->roots.items[i];
        if (root[0] != '/')
            return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                                "FileRoots= names \"%s\"; an absolute directory is needed", root);
        for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
            root[len - 1] = '\0';
    }
    return 0;
}

int gr_policy_new(const char *allow_schemes, const char *allow_hosts, const char *file_roots,
                  struct gr_policy **ret, struct gr_error *e)
{
    struct gr_policy *p = calloc(1, sizeof *p);
    if (!p)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for the source policy");
    p->refs = 1;
    int r = list_split(allow_schemes, &p->schemes);
    if (r >= 0)
        r = list_split(allow_hosts, &p->hosts);
    if (r >= 0)
        r = list_split(file_roots, &p->roots);
    if (r >= 0 && !(p->rules = calloc(p->hosts.n + 1, sizeof *p->rules)))
        r = -ENOMEM;
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "out of memory for the source policy");
    else
        r = check_lists(p, e);
    if (r < 0) {
        gr_policy_unref(p);
        return r;
    }
    *ret = p;
    return 0;
}

struct gr_policy *gr_policy_ref(struct gr_policy *p)
{
    p->refs++;
    return p;
}

void gr_policy_unref(struct gr_policy *p)
{
    if (!p || --p->refs)
        return;
    list_done(&p->schemes);
    list_done(&p->hosts);
    list_done(&p->roots);
    free(p->rules);
    free(p);
}

void gr_source_done(struct gr_source *s)
{
    free(s->label);
    free(s->url);
    free(s->scheme);
    free(s->host);
    free(s->path);
    *s = (struct gr_source){0};
}

static bool has_dot_dot(const char *path)
{
    for (const char *p = path; *p; p += strcspn(p, "/")) {
        p += strspn(p, "/");
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
            return true;
    }
    return false;
}

// The longest root that holds the path, component by component.
static const char *find_root(const struct gr_policy *p, const char *path)
{
    const char *best = NULL;
    for (size_t i = 0; i < p->roots.n; i++) {
        const char *root = p->roots.items[i];
        size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(path, root, len) == 0 && path[len] == '/' && (!best || len > strlen(best)))
            best = root;
    }
    return best;
}

static int judge_file(const struct gr_policy *p, CURLU *u, struct gr_source *s, struct gr_error *e)
{
    if (s->host[0])
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s names the host \"%s\"; a file is read on this host only: "
                            "write file:///path",
                            s->label, s->host);
    char *path = NULL;
    if (curl_url_get(u, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK)
        return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                            "source %s has a path with control characters", s->label);
    s->path = strdup(path);
    curl_free(path);
    if (!s->path)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a source");
    if (has_dot_dot(s->path))
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s goes up with \"..\"; name the file by its plain path",
                            s->label);
    s->root = find_root(p, s->path);
    if (!s->root)
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s is in no directory that artifacts may come from; move the "
                            "file below one, or add its directory to FileRoots= in [Artifacts]",
                            s->label);
    size_t skip = strcmp(s->root, "/") == 0 ? 0 : strlen(s->root);
    skip += strspn(s->path + skip, "/");
    memmove(s->path, s->path + skip, strlen(s->path + skip) + 1);
    return 0;
}

static bool host_named(const struct gr_policy *p, const char *host)
{
    for (size_t i = 0; i < p->hosts.n; i++)
        if (!p->rules[i].is_address && strcasecmp(p->rules[i].name, host) == 0)
            return true;
    return false;
}

static bool literal_address(const char *host, struct gr_address *ret)
{
    char copy[INET6_ADDRSTRLEN + 1];
    size_t len = strlen(host);
    if (host[0] == '[' && len >= 2 && len - 2 < sizeof copy) {
        memcpy(copy, host + 1, len - 2);
        copy[len - 2] = '\0';
        host = copy;
    }
    return !strchr(host, '/') && gr_address_parse(host, ret) == 0;
}

static int judge_address(const struct gr_policy *p, const struct gr_source *s,
                         const struct gr_address *a, struct gr_error *e)
{
    char text[INET6_ADDRSTRLEN];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool v4 = memcmp(a->bytes, mapped, sizeof mapped) == 0;
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->bytes + 12 : a->bytes, text, sizeof text);

    if (host_named(p, s->host))
        return 0;
    for (size_t i = 0; i < p->hosts.n; i++)
        if (p->rules[i].is_address && gr_address_within(a, &p->rules[i].range))
            return 0;
    const char *kind = gr_address_special(a);
    if (kind)
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s leads to %s, a %s address; when artifacts shall come from "
                            "there, add %s or the host to AllowHosts= in [Artifacts]",
                            s->label, text, kind, text);
    if (p->hosts.n)
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s leads to %s, and AllowHosts= in [Artifacts] names neither "
                            "\"%s\" nor that address; add one of them",
                            s->label, text, s->host);
    return 0;
}

static int judge_host(const struct gr_policy *p, const struct gr_source *s, struct gr_error *e)
{
    struct gr_address literal;
    if (!s->host[0])
        return gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED, "source %s names no host",
                            s->label);
    if (literal_address(s->host, &literal))
        return judge_address(p, s, &literal, e);
    if (p->hosts.n && !p->has_ranges && !host_named(p, s->host))
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s is on host \"%s\", which AllowHosts= in [Artifacts] does "
                            "not name; add it there",
                            s->label, s->host);
    return 0;
}

static char *part(CURLU *u, CURLUPart what)
{
    char *value = NULL;
    if (curl_url_get(u, what, &value, 0) != CURLUE_OK)
        return strdup("");
    char *copy = strdup(value);
    curl_free(value);
    return copy;
}

static int judge(const struct gr_policy *p, const struct gr_source *from, CURLU *u,
                 struct gr_source *s, struct gr_error *e)
{
    GR_AUTO_FREE char *user = part(u, CURLUPART_USER);
    GR_AUTO_FREE char *password = part(u, CURLUPART_PASSWORD);
    s->scheme = part(u, CURLUPART_SCHEME);
    s->host = part(u, CURLUPART_HOST);
    if (!s->scheme || !s->host || !user || !password)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a source");
    if (user[0] || password[0])
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "a source on host \"%s\" carries a user name or password; every reader "
                            "of the document would learn it: remove it from the address",
                            s->host);
    if (!list_has(&p->schemes, s->scheme))
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s uses the scheme \"%s\", which is not allowed; use another "
                            "or add it to AllowSchemes= in [Artifacts]",
                            s->label, s->scheme);
    if (from && strcmp(from->scheme, s->scheme) != 0 && strcmp(s->scheme, "https") != 0)
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s redirects from %s to %s (%s), which is never followed; name "
                            "the final address in the document",
                            from->label, from->scheme, s->scheme, s->label);
    if (strcmp(s->scheme, "file") == 0)
        return judge_file(p, u, s, e);
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (!(s->url = part(u, CURLUPART_URL)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a source");
    return judge_host(p, s, e);
}

// What sentences may show of an address: queries carry signatures, the part before '@' carries
// passwords.
static char *label(const char *text)
{
    size_t len = strcspn(text, "?#");
    if (len > 200)
        len = 200;
    const char *at = memrchr(text, '@', len);
    if (at) {
        len -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    return strndup(text, len);
}

int gr_policy_parse(const struct gr_policy *p, const char *text, const struct gr_source *from,
                    struct gr_source *ret, struct gr_error *e)
{
    struct gr_source s = {.label = label(text)};
    CURLU *u = curl_url();
    if (!u || !s.label) {
        curl_url_cleanup(u);
        gr_source_done(&s);
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a source");
    }
    CURLUcode c = curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS);
    int r;
    if (c != CURLUE_OK)
        r = gr_error_set(e, -EINVAL, GR_REASON_SOURCE_REFUSED,
                         "source \"%s\" is no address (%s); write https://host/path or "
                         "file:///path",
                         s.label, curl_url_strerror(c));
    else
        r = judge(p, from, u, &s, e);
    curl_url_cleanup(u);
    if (r < 0) {
        gr_source_done(&s);
        return r;
    }
    *ret = s;
    return 0;
}

int gr_policy_check_address(const struct gr_policy *p, const struct gr_source *s,
                            const struct sockaddr *sa, socklen_t len, struct gr_error *e)
{
    struct gr_address a;
    int r = gr_address_from_sockaddr(sa, len, &a);
    if (r < 0)
        return gr_error_set(e, -EACCES, GR_REASON_SOURCE_REFUSED,
                            "source %s leads to an address that is neither IPv4 nor IPv6",
                            s->label);
    return judge_address(p, s, &a, e);
}
