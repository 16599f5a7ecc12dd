// A gray as a value with a reference count, and the two ways in which numbers decide: buckets of a
// key, turns of a sequence.
#include "dispatch/gray.h"
#include "dispatch/gray-match.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct turns { // what all grays of one rollout share
    _Alignas(128) _Atomic uint64_t next;
    _Alignas(128) _Atomic uint64_t shadow_next; // of answers by stable
    _Atomic uint64_t shadow_chosen;
    _Atomic unsigned refs;
};

struct gr_gray {
    _Atomic unsigned refs;
    int64_t rollout;
    uint64_t salt;
    unsigned weight, shadow;
    bool sticky;
    enum gr_subject subject;
    char name[128]; // of the header or cookie
    struct gr_rules *rules;
    struct gr_json_ignore *ignore;
    struct turns *turns;
};

// --- numbers -----------------------------------------------------------------------------------

unsigned gr_gray_bucket(uint64_t salt, const char *key, size_t len)
{
    return (unsigned)(XXH3_64bits_withSeed(key, len, salt) % GR_GRAY_BUCKETS);
}

bool gr_gray_is_turn(uint64_t i, unsigned weight_permyriad)
{
    uint64_t k = i % GR_GRAY_BUCKETS; // the differences repeat after as many turns
    return (k + 1) * weight_permyriad / GR_GRAY_BUCKETS - k * weight_permyriad / GR_GRAY_BUCKETS;
}

bool gr_gray_turn(struct gr_gray *g)
{
    uint64_t i = atomic_fetch_add_explicit(&g->turns->next, 1, memory_order_relaxed);
    return gr_gray_is_turn(i, g->weight);
}

bool gr_gray_shadow_turn(struct gr_gray *g, bool *ret_noise)
{
    if (g->shadow == 0)
        return false;
    uint64_t i = atomic_fetch_add_explicit(&g->turns->shadow_next, 1, memory_order_relaxed);
    if (!gr_gray_is_turn(i, g->shadow))
        return false;
    uint64_t n = atomic_fetch_add_explicit(&g->turns->shadow_chosen, 1, memory_order_relaxed);
    *ret_noise = n % GR_SHADOW_NOISE_EVERY == 0;
    return true;
}

// --- deciding ----------------------------------------------------------------------------------

bool gr_gray_decide(const struct gr_gray *g, const struct grayling_request *request,
                    struct gr_gray_decision *ret)
{
    *ret = (struct gr_gray_decision){.rule = -1, .bucket = -1};
    if (g->rules) {
        ret->rule = gr_rules_match(g->rules, request, &ret->candidate, &ret->given_up);
        if (ret->rule >= 0)
            return true;
    }
    if (!g->sticky)
        return false;
    struct gr_slice key = gr_request_text(request, g->subject, g->name);
    if (!key.s)
        return false;
    unsigned bucket = gr_gray_bucket(g->salt, key.s, key.len);
    ret->bucket = (int)bucket;
    ret->candidate = bucket < g->weight;
    return true;
}

int64_t gr_gray_rollout(const struct gr_gray *g)
{
    return g->rollout;
}

unsigned gr_gray_weight(const struct gr_gray *g)
{
    return g->weight;
}

unsigned gr_gray_shadow(const struct gr_gray *g)
{
    return g->shadow;
}

const struct gr_json_ignore *gr_gray_ignore(const struct gr_gray *g)
{
    return g->ignore;
}

// --- life --------------------------------------------------------------------------------------

static void unref_turns(struct turns *t)
{
    if (t && atomic_fetch_sub(&t->refs, 1) == 1)
        free(t);
}

struct gr_gray *gr_gray_ref(struct gr_gray *g)
{
    if (g)
        atomic_fetch_add(&g->refs, 1);
    return g;
}

void gr_gray_unref(struct gr_gray *g)
{
    if (!g || atomic_fetch_sub(&g->refs, 1) != 1)
        return;
    gr_rules_free(g->rules);
    gr_json_ignore_free(g->ignore);
    unref_turns(g->turns);
    free(g);
}

static struct turns *share_turns(const struct gr_gray *before)
{
    if (before) {
        atomic_fetch_add(&before->turns->refs, 1);
        return before->turns;
    }
    struct turns *t = aligned_alloc(_Alignof(struct turns), sizeof(*t));
    if (!t)
        return NULL;
    *t = (struct turns){.refs = 1};
    return t;
}

static int check_share(const char *field, unsigned permyriad, struct gr_error *e)
{
    if (permyriad <= GR_GRAY_BUCKETS)
        return 0;
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "%s: expected 0 to %d permyriad, found %u", field, GR_GRAY_BUCKETS,
                        permyriad);
}

static int parse_sticky(struct gr_gray *g, const char *sticky, struct gr_error *e)
{
    static const struct {
        const char *text;
        enum gr_subject subject;
        bool named;
    } kinds[] = {
        {"header:", GR_SUBJECT_HEADER, true},
        {"cookie:", GR_SUBJECT_COOKIE, true},
        {"tenant", GR_SUBJECT_TENANT, false},
        {"trace", GR_SUBJECT_TRACE, false},
    };
    if (!sticky || !*sticky)
        return 0;
    for (size_t i = 0; i < GR_COUNT(kinds); i++) {
        size_t len = strlen(kinds[i].text);
        if (kinds[i].named ? strncmp(sticky, kinds[i].text, len) != 0
                           : strcmp(sticky, kinds[i].text) != 0)
            continue;
        const char *name = sticky + len;
        if (kinds[i].named && (!*name || strlen(name) >= sizeof(g->name)))
            break;
        g->sticky = true;
        g->subject = kinds[i].subject;
        for (size_t c = 0; name[c]; c++) // header names have no case, cookies' have
            g->name[c] = g->subject == GR_SUBJECT_HEADER && name[c] >= 'A' && name[c] <= 'Z'
                             ? (char)(name[c] | 0x20)
                             : name[c];
        return 0;
    }
    return gr_error_set(e, -EINVAL, GR_REASON_DOCUMENT_INVALID,
                        "sticky: expected \"header:NAME\", \"cookie:NAME\", \"tenant\" or "
                        "\"trace\", found \"%.64s\"",
                        sticky);
}

static int parse_rules(struct gr_gray *g, const char *text, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *list = NULL;
    if (!text)
        return 0;
    int r = gr_json_parse(text, strlen(text), GR_DOCUMENT_BYTES_MAX, &list, e);
    return r < 0 ? r : gr_rules_parse(list, &g->rules, e);
}

static int parse_ignore(struct gr_gray *g, const char *text, struct gr_error *e)
{
    GR_AUTO_JSON cJSON *list = NULL;
    if (!text)
        return 0;
    int r = gr_json_parse(text, strlen(text), GR_DOCUMENT_BYTES_MAX, &list, e);
    return r < 0 ? r : gr_json_ignore_parse(list, "shadow_ignore", &g->ignore, e);
}

int gr_gray_new(const struct gr_gray_spec *spec, const struct gr_gray *before, struct gr_gray **ret,
                struct gr_error *e)
{
    GR_AUTO_GRAY struct gr_gray *g = malloc(sizeof(*g));
    if (g)
        *g = (struct gr_gray){
            .refs = 1,
            .rollout = spec->rollout,
            .salt = spec->salt,
            .weight = spec->weight_permyriad,
            .shadow = spec->shadow_permyriad,
            .turns = share_turns(before),
        };
    if (!g || !g->turns)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL,
                                      "asked for a routing rule, but memory ran out");
    int r = check_share("weight", g->weight, e);
    if (r == 0)
        r = check_share("shadow", g->shadow, e);
    if (r == 0)
        r = parse_sticky(g, spec->sticky, e);
    if (r == 0)
        r = parse_rules(g, spec->match_json, e);
    if (r == 0)
        r = parse_ignore(g, spec->ignore_json, e);
    if (r < 0)
        return r;
    *ret = gr_steal(g);
    return 0;
}
