// Who sees a candidate: the routing rule of one rollout, parsed once, never changed. Deciding is
// pure: no clock, no lock, no log; the worker decides calls with it and `grayctl plan --request`
// explains with it.
//
// The first match rule that fits a request decides, whatever the weight. Else the key that `sticky`
// names decides, by its bucket: the candidate gets the buckets below the weight, so raising a
// weight only adds members, lowering it removes those that came last, and the same salt gives the
// same members again. A request without a key takes a turn of a low-discrepancy sequence: over any
// window of n turns the candidate's share is within one request of the weight.
#pragma once
#include "base/error.h"
#include "base/json-same.h"
#include <grayling/module.h>
#include <stdint.h>

#define GR_GRAY_BUCKETS 10000 // a weight is a number of these: permyriad

struct gr_gray_spec {
    int64_t rollout;           // all members of a batch name the same one
    uint64_t salt;             // seed of the buckets
    unsigned weight_permyriad; // 0..10000
    const char *sticky;        // "" (or NULL): turns; "header:N" "cookie:N" "tenant" "trace"
    const char *match_json;    // list of rules as strategy.match has it; NULL: none
    unsigned shadow_permyriad;
    const char *ignore_json; // strategy.shadow_ignore; NULL: none
};
struct gr_gray;

// `before`: a gray of the same rollout that is in force (its turns are continued, so that a changed
// weight is exact from the first request on); NULL: none. Fails: DocumentInvalid with the field's
// path ("match[2].regex: ...").
GR_MUST_CHECK int gr_gray_new(const struct gr_gray_spec *spec, const struct gr_gray *before,
                              struct gr_gray **ret, struct gr_error *e);
struct gr_gray *gr_gray_ref(struct gr_gray *g); // NULL is nothing
void gr_gray_unref(struct gr_gray *g);
static inline void gr_gray_unrefp(struct gr_gray **g)
{
    gr_gray_unref(*g);
}
#define GR_AUTO_GRAY GR_CLEANUP(gr_gray_unrefp)

int64_t gr_gray_rollout(const struct gr_gray *g);
unsigned gr_gray_weight(const struct gr_gray *g); // permyriad
unsigned gr_gray_shadow(const struct gr_gray *g); // permyriad
// What the comparison of a shadow's answer leaves out; lives as long as g. NULL: nothing.
const struct gr_json_ignore *gr_gray_ignore(const struct gr_gray *g);

struct gr_gray_decision {
    bool candidate;
    int rule;          // index of the match rule that decided; -1: none did
    int bucket;        // 0..9999 of the sticky key; -1: none was asked for or found
    unsigned given_up; // patterns that met a bound of their cost, which is no match
};
// Decides by rules and sticky key. The path that rules see is "/interface/method" of `request`;
// header names of `request` are in lower case. false: neither decides, the next turn does
// (gr_gray_turn); *ret then has rule and bucket -1 and candidate false.
bool gr_gray_decide(const struct gr_gray *g, const struct grayling_request *request,
                    struct gr_gray_decision *ret);
// Takes the next turn. true: the candidate's. Any number of threads at once.
bool gr_gray_turn(struct gr_gray *g);
// The same for the shadow's share, with turns of its own. *ret_noise: stable is to answer this one
// again too, which is every GR_SHADOW_NOISE_EVERY-th that is chosen, from the first one on.
bool gr_gray_shadow_turn(struct gr_gray *g, bool *ret_noise);

// The arithmetic itself. A bucket of a key; whether turn `i` of the sequence is the candidate's:
// the differences of floor(i * weight / 10000), which are spread as evenly as integers can be.
unsigned gr_gray_bucket(uint64_t salt, const char *key, size_t len);
bool gr_gray_is_turn(uint64_t i, unsigned weight_permyriad);

// Is `pattern` a regular expression (PCRE2) that a rule may have? Fails: DocumentInvalid, the
// sentence begins with `path`.
GR_MUST_CHECK int gr_gray_check_pattern(const char *pattern, const char *path, struct gr_error *e);
