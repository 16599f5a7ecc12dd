// Seeded canaries, judged by Grayling and by three rivals, as a table in Markdown.
//
//     analysis-simulation [--canaries N] [--seed S] [--world N] [--no-margin] [--check]
//
// Grayling looks after every request. What can convict here changes only when a block is closed, so
// that the evidence is looked at after each request that closes one and the judge is asked when it
// passes the limit; analysis-verdict-test shows that judging after every single request says the
// same, number for number. The rivals look at the end of each minute. --check: status 1 when more
// false rollbacks are seen than alpha explains, or a fault goes unseen that must be found.
#include "rivals.h"
#include "rollout/analysis-internal.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ALPHA 0.01

enum judge { GRAYLING, Z_TEST, MANN_WHITNEY, THRESHOLD, JUDGES };
static const char *const judge_names[JUDGES] = {"Grayling", "z-test each minute",
                                                "Mann-Whitney (Kayenta)", "threshold (Flagger)"};

struct outcome { // of one judge in one canary
    bool found;
    uint64_t requests, hurt; // of the candidate until then
};
struct tally { // of one judge in one world
    uint64_t canaries, found;
    double hurt;
    double *requests; // of those that were found, for the median
};

static struct gr_analysis limits = {.error_rate_max_increase = 0.005,
                                    .latency_p99_max_ratio = 1.2,
                                    .alpha = ALPHA,
                                    .min_requests = 200};

static void see(struct outcome *o, bool rolled_back, uint64_t requests, uint64_t hurt)
{
    if (o->found)
        return;
    o->found = rolled_back;
    o->requests = requests;
    o->hurt = hurt;
}

// One look of Grayling, with the judge's display left out while nothing can have been decided.
static bool is_convicted(struct gr_analysis_state *s, const struct gr_analysis_input *in)
{
    static const enum gr_gate gates[] = {GR_GATE_ERRORS, GR_GATE_LATENCY_P99,
                                         GR_GATE_LATENCY_SHAPE};
    struct gr_analysis_verdict verdict;
    bool passed = false;
    gr_analysis_advance(s, in);
    for (unsigned i = 0; i < GR_COUNT(gates); i++)
        passed |= gr_evidence_beside(s, gates[i]) >= 1 / gr_analysis_level(in, gates[i]);
    if (!passed)
        return false;
    gr_analysis_judge(s, in, &verdict);
    return verdict.verdict == GR_VERDICT_FAILED;
}

static void count(struct gr_arm_sample *arm, const struct answer *a)
{
    arm->requests++;
    arm->errors += a->bad;
    arm->latency.count[a->bucket]++;
}

static void rivals_look(struct outcome out[JUDGES], const struct rival_view *v, double stable_p99,
                        uint64_t requests, uint64_t hurt)
{
    see(&out[Z_TEST], rival_z_test(v, ALPHA), requests, hurt);
    see(&out[MANN_WHITNEY], rival_mann_whitney(v), requests, hurt);
    see(&out[THRESHOLD], rival_threshold(v, stable_p99), requests, hurt);
}

static void run_canary(struct canary *c, uint64_t seed, double stable_p99,
                       struct outcome out[JUDGES])
{
    static struct gr_analysis_input in;
    static struct rival_view view;
    struct gr_analysis_state state;
    uint64_t open_candidate = 0, open_stable = 0, hurt = 0;
    in = (struct gr_analysis_input){.limits = limits,
                                    .sla_error_rate = -1,
                                    .slope_limit = {-1, -1, -1},
                                    .has_stable = true,
                                    .measured = true,
                                    .concurrent = true};
    memset(&view, 0, sizeof view);
    memset(out, 0, JUDGES * sizeof *out);
    gr_analysis_begin(&state);
    gr_analysis_advance(&state, &in);
    canary_begin(c, seed);
    for (unsigned minute = 0; minute < MINUTES; minute++) {
        for (unsigned i = 0; i < REQUESTS_PER_MINUTE; i++) {
            struct answer a = canary_next(c);
            count(a.of_candidate ? &in.candidate : &in.stable, &a);
            rival_note(&view, a.of_candidate, a.bad, a.bucket);
            hurt += a.hurt;
            open_candidate += a.of_candidate;
            open_stable += !a.of_candidate;
            if (out[GRAYLING].found || open_candidate < GR_BLOCK_REQUESTS ||
                open_stable < GR_BLOCK_REQUESTS)
                continue;
            see(&out[GRAYLING], is_convicted(&state, &in), in.candidate.requests, hurt);
            open_candidate = open_stable = 0;
        }
        rival_end_minute(&view);
        rivals_look(out, &view, stable_p99, in.candidate.requests, hurt);
    }
    for (unsigned j = 0; j < JUDGES; j++)
        if (!out[j].found)
            out[j] = (struct outcome){false, in.candidate.requests, hurt};
}

static double stable_p99_of(const struct canary *c)
{
    struct random r;
    struct gr_histogram h = {{0}};
    random_seed(&r, 1);
    for (unsigned i = 0; i < 200000; i++)
        h.count[latencies_draw(&c->stable, &r)]++;
    return (double)gr_histogram_quantile_nsec(&h, 0.99);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const struct world *w, struct tally t[JUDGES])
{
    printf("| %s |", w->name);
    for (unsigned j = 0; j < JUDGES; j++) {
        double share = (double)t[j].found / (double)t[j].canaries;
        qsort(t[j].requests, t[j].found, sizeof *t[j].requests, ascending);
        if (!w->faulty)
            printf(" %.2f %% |", 100 * share);
        else if (t[j].found == 0)
            printf(" 0.0 %%, -, %.0f |", t[j].hurt / (double)t[j].canaries);
        else
            printf(" %.1f %%, %.0f, %.0f |", 100 * share, t[j].requests[t[j].found / 2],
                   t[j].hurt / (double)t[j].canaries);
    }
    printf("\n");
    fflush(stdout);
}

// What alpha explains: its share and four standard deviations, so that an honest test is accused
// once in 30,000 runs.
static bool is_honest(const struct world *w, const struct tally *t)
{
    double n = (double)t->canaries;
    if (w->faulty)
        return !w->must_find || (double)t->found >= 0.9 * n;
    return (double)t->found <= ALPHA * n + 4 * sqrt(ALPHA * (1 - ALPHA) * n);
}

static void print_head(bool faulty)
{
    printf(faulty ? "\n| fault (found, median requests of the candidate, mean users hurt) |"
                  : "\n| nothing to find (false rollbacks) |");
    for (unsigned j = 0; j < JUDGES; j++)
        printf(" %s |", judge_names[j]);
    printf("\n|---|---|---|---|---|\n");
}

static bool run_world(const struct world *w, uint64_t canaries, uint64_t seed)
{
    static struct canary canary;
    struct tally t[JUDGES] = {0};
    for (unsigned j = 0; j < JUDGES; j++)
        t[j].requests = calloc(canaries, sizeof(double));
    canary_prepare(&canary, w);
    double p99 = stable_p99_of(&canary);
    for (uint64_t i = 0; i < canaries; i++) {
        struct outcome out[JUDGES];
        run_canary(&canary, seed + i, p99, out);
        for (unsigned j = 0; j < JUDGES; j++) {
            t[j].canaries++;
            t[j].hurt += (double)out[j].hurt;
            if (out[j].found)
                t[j].requests[t[j].found++] = (double)out[j].requests;
        }
    }
    print_row(w, t);
    for (unsigned j = 0; j < JUDGES; j++)
        free(t[j].requests);
    return is_honest(w, &t[GRAYLING]);
}

int main(int argc, char **argv)
{
    uint64_t canaries = 300, seed = 20261126;
    unsigned first = 0, last = n_worlds;
    bool check = false, honest = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            check = true;
        } else if (strcmp(argv[i], "--no-margin") == 0) { // as the rivals: any difference counts
            limits.error_rate_max_increase = 0;
            limits.latency_p99_max_ratio = 1;
        } else if (i + 1 < argc && strcmp(argv[i], "--canaries") == 0) {
            canaries = strtoull(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (i + 1 < argc && strcmp(argv[i], "--world") == 0) {
            first = (unsigned)strtoul(argv[++i], NULL, 10);
            last = first < n_worlds ? first + 1 : first;
        } else {
            fprintf(stderr,
                    "usage: %s [--canaries N] [--seed S] [--world N] [--no-margin] [--check]\n",
                    argv[0]);
            return 2;
        }
    }
    printf("%" PRIu64 " canaries of %d minutes with %d requests each, seed %" PRIu64 "\n", canaries,
           MINUTES, REQUESTS_PER_MINUTE, seed);
    for (unsigned i = first; i < last; i++) {
        if (i == first || worlds[i].faulty != worlds[i - 1].faulty)
            print_head(worlds[i].faulty);
        if (!run_world(&worlds[i], canaries, seed)) {
            fprintf(stderr, "%s: not what alpha %g and the limits promise\n", worlds[i].name,
                    ALPHA);
            honest = false;
        }
    }
    return check && !honest ? 1 : 0;
}
