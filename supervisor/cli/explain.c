// Turns numbers of the control socket into the lines that a person reads at three in the morning.
// Pure.
#include "cli/explain.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/output.h"
#include "rollout/rollout.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BACKTRACE_SHOWN 8

static double number(const cJSON *o, const char *path)
{
    const cJSON *n = gr_output_find(o, path);
    return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static bool has(const cJSON *o, const char *path)
{
    const cJSON *v = gr_output_find(o, path);
    return v && !cJSON_IsNull(v);
}

// --- one line each
// --------------------------------------------------------------------------------

static void say_kind(const cJSON *step, char *buf, size_t cap)
{
    const char *duration = gr_output_text(step, "pause.duration");
    uint64_t requests = (uint64_t)number(step, "pause.requests");
    if (has(step, "weight"))
        snprintf(buf, cap, "weight %g %%", number(step, "weight"));
    else if (has(step, "shadow"))
        snprintf(buf, cap, "shadow %g %%", number(step, "shadow"));
    else if (has(step, "analysis"))
        snprintf(buf, cap, "analysis");
    else if (*duration && requests)
        snprintf(buf, cap, "pause of %.32s and %" PRIu64 " requests", duration, requests);
    else if (*duration)
        snprintf(buf, cap, "pause of %.32s", duration);
    else if (requests)
        snprintf(buf, cap, "pause of %" PRIu64 " requests", requests);
    else
        snprintf(buf, cap, "pause until promote");
}

static void say_step(const cJSON *r, char *buf, size_t cap)
{
    int step = (int)number(r, "step"), n = (int)number(r, "n_steps");
    char kind[96] = "the swap";
    if (n == 0)
        return;
    if (step < n)
        say_kind(cJSON_GetArrayItem(gr_output_find(r, "steps"), step), kind, sizeof kind);
    snprintf(buf, cap, "%d of %d: %s", step < n ? step + 1 : n, n, kind);
}

static void say_weight(const cJSON *r, char *buf, size_t cap)
{
    int len = 0;
    if (!has(r, "weight"))
        return;
    len = snprintf(buf, cap, "%g %% set", number(r, "weight"));
    if (has(r, "weight_observed"))
        len +=
            snprintf(buf + len, cap - (size_t)len, ", %.2f %% seen", number(r, "weight_observed"));
    if (number(r, "shadow") > 0)
        snprintf(buf + len, cap - (size_t)len, ", %g %% shadowed", number(r, "shadow"));
}

static void say_pause(const cJSON *r, char *buf, size_t cap)
{
    char left[32];
    uint64_t usec = (uint64_t)number(r, "pause.left_usec");
    uint64_t requests = (uint64_t)number(r, "pause.requests_left");
    const char *by = gr_output_text(r, "held_by"), *hold = gr_output_text(r, "pause.hold");
    gr_duration_format(usec / GR_USEC_PER_SEC * GR_USEC_PER_SEC, left);
    if (*by)
        snprintf(buf, cap, "held by %.128s", by);
    else if (!strcmp(hold, "undecided"))
        snprintf(buf, cap, "until the verdict is Successful");
    else if (!strcmp(hold, "bad-stable"))
        snprintf(buf, cap, "until a person decides: stable is bad too");
    else if (!strcmp(hold, "failure"))
        snprintf(buf, cap, "until a person decides: it failed");
    else if (!strcmp(hold, "one-way"))
        snprintf(buf, cap, "until a person agrees: there is no way back");
    else if (cJSON_IsTrue(gr_output_find(r, "pause.gate")))
        snprintf(buf, cap, "until promote");
    else if (usec && requests)
        snprintf(buf, cap, "%s and %" PRIu64 " requests left", left, requests);
    else if (usec)
        snprintf(buf, cap, "%s left", left);
    else if (requests)
        snprintf(buf, cap, "%" PRIu64 " requests left", requests);
}

static void say_door(const cJSON *r, char *buf, size_t cap)
{
    bool open = !strcmp(gr_output_text(r, "one_way.door"), "open");
    if (has(r, "one_way"))
        snprintf(buf, cap, "%s: %.400s", open ? "agreed to" : "not agreed to yet",
                 gr_output_text(r, "one_way.message"));
}

static void say_intent(const cJSON *m, char *buf, size_t cap)
{
    if (!has(m, "intent"))
        return;
    const char *actor = gr_output_text(m, "intent.actor"), *verb = gr_output_text(m, "intent.verb");
    bool refused = !strcmp(gr_output_text(m, "intent.result"), "refused");
    snprintf(buf, cap, "%.40s: %.128s's %.16s %s", gr_output_text(m, "intent.at"),
             *actor ? actor : "somebody", *verb ? verb : "order",
             refused ? "was refused" : "was obeyed");
}

static void say_faults(const cJSON *m, char *buf, size_t cap)
{
    int len = 0;
    const cJSON *n;
    cJSON_ArrayForEach(n, gr_output_find(m, "stable.faults_by"))
    {
        if (len < (int)cap)
            len += snprintf(buf + len, cap - (size_t)len, "%s%.0f %s", len ? ", " : "",
                            cJSON_GetNumberValue(n), n->string);
    }
}

static void say_process(const cJSON *m, char *buf, size_t cap)
{
    if (strcmp(gr_output_text(m, "stable.isolation"), "process") != 0)
        return;
    if (number(m, "stable.pid") > 0)
        snprintf(buf, cap, "its own, %.0f", number(m, "stable.pid"));
    else
        snprintf(buf, cap, "its own, which is being started anew");
}

static void say_breaker(const cJSON *m, char *buf, size_t cap)
{
    const char *state = gr_output_text(m, "stable.breaker.state");
    char left[32] = "";
    uint64_t usec = (uint64_t)number(m, "stable.breaker.left_usec");
    if (usec)
        gr_duration_format(usec / GR_USEC_PER_SEC * GR_USEC_PER_SEC, left);
    if (*state && (strcmp(state, "closed") != 0 || number(m, "stable.breaker.faults") > 0))
        snprintf(buf, cap, "%s, %.0f faults lately%s%s", state, number(m, "stable.breaker.faults"),
                 usec ? ", half-open in " : "", left);
}

static void say_fault(const cJSON *m, char *buf, size_t cap)
{
    if (!has(m, "fault.kind"))
        return;
    const char *signal = gr_output_text(m, "fault.signal");
    snprintf(buf, cap, "%s %.40s: %.16s%s%.16s%s%.24s%.160s in %.100s, request %.40s",
             gr_output_text(m, "fault.at"), gr_output_text(m, "fault.version"),
             gr_output_text(m, "fault.kind"), *signal ? " " : "", signal, *signal ? " at " : " ",
             *signal ? gr_output_text(m, "fault.address") : "", gr_output_text(m, "fault.detail"),
             gr_output_text(m, "fault.method"), gr_output_text(m, "fault.request_id"));
}

// The innermost frames: those of the module. `-o json` has all.
static void say_backtrace(const cJSON *m, char *buf, size_t cap)
{
    int left = BACKTRACE_SHOWN, len = 0;
    const cJSON *f;
    if (!cJSON_GetArraySize(gr_output_find(m, "fault.frames")))
        return;
    if (has(m, "fault.build_id"))
        len = snprintf(buf, cap, "build-id %.80s", gr_output_text(m, "fault.build_id"));
    cJSON_ArrayForEach(f, gr_output_find(m, "fault.frames"))
    {
        if (cJSON_IsString(f) && left-- > 0 && len < (int)cap)
            len +=
                snprintf(buf + len, cap - (size_t)len, "%s%.95s", len ? " " : "", f->valuestring);
    }
}

void gr_explain_add_shown(cJSON *module)
{
    const cJSON *r = gr_output_find(module, "rollout");
    cJSON *shown = cJSON_AddObjectToObject(module, "shown");
    static const struct {
        const char *name;
        void (*say)(const cJSON *o, char *buf, size_t cap);
        bool of_module;
    } lines[] = {{"step", say_step, false},    {"weight", say_weight, false},
                 {"pause", say_pause, false},  {"one_way", say_door, false},
                 {"intent", say_intent, true}, {"process", say_process, true},
                 {"faults", say_faults, true}, {"breaker", say_breaker, true},
                 {"fault", say_fault, true},   {"backtrace", say_backtrace, true}};
    for (size_t i = 0; shown && i < GR_COUNT(lines); i++) {
        char text[1024] = "";
        lines[i].say(lines[i].of_module ? module : r, text, sizeof text);
        if (*text)
            cJSON_AddStringToObject(shown, lines[i].name, text);
    }
}

// --- what to do
// -----------------------------------------------------------------------------------

static bool is_one_of(const char *text, const char *const *list)
{
    while (*list && strcmp(*list, text))
        list++;
    return *list;
}

// The digest is quarantined then, and a retry needs it lifted first.
static bool is_convicted(const char *text)
{
    enum gr_reason reason;
    return gr_reason_parse(text, &reason) == 0 && gr_rollout_convicts(reason);
}

static void next_of_ended(const char *m, const char *phase, const char *reason, char *buf,
                          size_t cap)
{
    static const char *const again[] = {"OperatorAbort", "Inconclusive", "DeadlineExceeded",
                                        "DiskFull",      "Internal",     NULL};
    if (!strcmp(phase, "Healthy"))
        snprintf(buf, cap, "nothing has to be done; grayctl undo %s goes back", m);
    else if (!strcmp(phase, "Superseded"))
        snprintf(buf, cap, "grayctl explain %s tells of the rollout that replaced it", m);
    else if (!strcmp(reason, "Quarantined"))
        snprintf(buf, cap,
                 "publish a mended build, or forgive this one: grayctl quarantine list shows its "
                 "digest, grayctl quarantine lift DIGEST --reason TEXT, then grayctl retry %s",
                 m);
    else if (!strcmp(phase, "Rejected"))
        snprintf(buf, cap,
                 "mend what the message says, then grayctl apply -f FILE or grayctl publish "
                 "FILE.so; what served before is not touched");
    else if (is_one_of(reason, again))
        snprintf(buf, cap,
                 "grayctl retry %s begins it again for the same users; grayctl undo %s makes the "
                 "desired state say what serves",
                 m, m);
    else if (is_convicted(reason))
        snprintf(buf, cap,
                 "stable serves; publish a mended build under a new version, or forgive this one: "
                 "grayctl quarantine list shows its digest, grayctl quarantine lift DIGEST "
                 "--reason TEXT, then grayctl retry %s",
                 m);
    else
        snprintf(buf, cap,
                 "stable serves; mend what the message says and publish a new version, or try "
                 "this one again: grayctl retry %s",
                 m);
}

void gr_explain_next(const char *module, const char *phase, const char *reason, const char *hold,
                     char *buf, size_t cap)
{
    static const char *const ended[] = {"Healthy", "RolledBack", "Rejected", "Superseded", NULL};
    if (is_one_of(phase, ended))
        next_of_ended(module, phase, reason, buf, cap);
    else if (!strcmp(hold, "bad-stable"))
        snprintf(buf, cap, "grayctl promote %s --over-bad-stable, or grayctl abort %s", module,
                 module);
    else if (!strcmp(hold, "failure") && !strcmp(phase, "Baking"))
        snprintf(buf, cap,
                 "publish a mended build, which takes its state over; or grayctl abort %s "
                 "--one-way, or keep it: grayctl promote %s --full",
                 module, module);
    else if (!strcmp(hold, "one-way"))
        snprintf(buf, cap, "grayctl promote %s --one-way, or grayctl abort %s", module, module);
    else if (!strcmp(hold, "no-way-back"))
        snprintf(buf, cap,
                 "grayctl status %s --wait; it has no way back that keeps its state, grayctl abort "
                 "%s --one-way goes without it",
                 module, module);
    else if (!strcmp(hold, "failure"))
        snprintf(buf, cap, "grayctl abort %s, or overrule it: grayctl promote %s --full", module,
                 module);
    else if (!strcmp(hold, "undecided"))
        snprintf(buf, cap,
                 "wait for traffic (it goes on by itself), or grayctl promote %s --full, or "
                 "grayctl abort %s",
                 module, module);
    else if (!strcmp(hold, "person"))
        snprintf(buf, cap, "grayctl resume %s, or grayctl abort %s", module, module);
    else if (!strcmp(phase, "Paused"))
        snprintf(buf, cap, "grayctl promote %s, or grayctl abort %s", module, module);
    else if (!strcmp(phase, "Progressing") || !strcmp(phase, "Baking"))
        snprintf(buf, cap, "grayctl status %s --wait; grayctl abort %s takes it back", module,
                 module);
    else if (!strcmp(phase, "Pending") && !strcmp(reason, "UpgradeLockIncomplete"))
        snprintf(buf, cap, "grayctl apply what it waits for, or give it up: grayctl abort %s",
                 module);
    else
        snprintf(buf, cap, "grayctl status %s --wait", module);
}

void gr_explain_next_of(const cJSON *m, char *buf, size_t cap)
{
    bool person = *gr_output_text(m, "rollout.held_by");
    const char *phase = gr_output_text(m, "rollout.phase"),
               *hold = gr_output_text(m, "rollout.pause.hold");
    if (!*hold && !strcmp(phase, "Baking") && has(m, "rollout.one_way"))
        hold = "no-way-back";
    if ((!*phase || !strcmp(phase, "Healthy")) && !has(m, "previous"))
        snprintf(buf, cap, "nothing has to be done");
    else
        gr_explain_next(gr_output_text(m, "module"), *phase ? phase : "Healthy",
                        gr_output_text(m, "reason"), person ? "person" : hold, buf, cap);
}

// --- who is hurt ---------------------------------------------------------------------------------

static int say_counts(const cJSON *version, char *buf, size_t cap)
{
    return snprintf(buf, cap, "%.0f requests since this worker has it, %.0f failed",
                    number(version, "requests"), number(version, "errors"));
}

void gr_explain_now_of(const cJSON *m, char *buf, size_t cap)
{
    const cJSON *stable = gr_output_find(m, "stable"), *candidate = gr_output_find(m, "candidate");
    const char *module = gr_output_text(m, "module"), *version = gr_output_text(stable, "version");
    double weight = number(m, "rollout.weight");
    bool shared = has(m, "candidate") && weight > 0;
    char counts[128];
    if (!*version) {
        snprintf(buf, cap, "%s has no version in force: its requests are refused", module);
        return;
    }
    if (!cJSON_IsTrue(gr_output_find(stable, "loaded"))) {
        snprintf(buf, cap,
                 "%s %s is in force, but no worker has it: its requests are refused; grayctl "
                 "status, grayctl doctor",
                 module, version);
        return;
    }
    say_counts(stable, counts, sizeof counts);
    int len = snprintf(buf, cap, "%s %s answers %s (%s)", module, version,
                       shared ? "what the candidate does not" : "all requests", counts);
    if (!shared || len < 0 || (size_t)len >= cap)
        return;
    say_counts(candidate, counts, sizeof counts);
    snprintf(buf + len, cap - (size_t)len, "; %s is given %g %% (%s)",
             gr_output_text(candidate, "version"), weight, counts);
}

const char *gr_explain_age(const char *at, struct gr_wall now, char buf[48])
{
    struct gr_wall then;
    char age[32];
    buf[0] = '\0';
    if (gr_wall_parse(at, &then) < 0 || then.usec > now.usec)
        return buf;
    uint64_t seconds = (uint64_t)(now.usec - then.usec) / GR_USEC_PER_SEC;
    snprintf(buf, 48, ", %s ago", gr_duration_format(seconds * GR_USEC_PER_SEC, age));
    return buf;
}
