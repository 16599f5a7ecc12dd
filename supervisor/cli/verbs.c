// The table of verbs: help, dispatch, checks of arguments, completion and the manual page all come
// from here.
#include "cli/verbs.h"

// How verbs may end, by what they talk to.
#define HERE GR_EXITS(GR_EXIT_UNREACHABLE)
#define THERE (HERE | GR_EXITS(GR_EXIT_REFUSED) | GR_EXITS(GR_EXIT_TIMED_OUT))
#define STEER (THERE | GR_EXITS(GR_EXIT_NOT_FOUND))
#define BAD GR_EXITS(GR_EXIT_DEGRADED)
#define LATE GR_EXITS(GR_EXIT_TIMED_OUT)
#define NONE_SUCH GR_EXITS(GR_EXIT_NOT_FOUND)
#define FILES_OF (NONE_SUCH | GR_EXITS(GR_EXIT_REFUSED))

#define DRY_RUN                                                                                    \
    {                                                                                              \
        0, "dry-run", NULL, "show what would change, change nothing"                               \
    }
#define IF_REVISION                                                                                \
    {                                                                                              \
        0, "if-revision", "N", "refuse when the document is newer than revision N (0: exists)"     \
    }
#define IF_REVISION_HERE                                                                           \
    {                                                                                              \
        0, "if-revision", "N", "refuse when this host follows a newer revision than N"             \
    }
#define REASON                                                                                     \
    {                                                                                              \
        0, "reason", "TEXT", "why; kept with the change"                                           \
    }
#define LOCAL                                                                                      \
    {                                                                                              \
        0, "local", NULL, "this host alone, through its control socket; also when etcd is away"    \
    }
#define SEEN_ROLLOUT                                                                               \
    {                                                                                              \
        0, "rollout", "ID", "refuse unless this is the rollout (the newest one)"                   \
    }
#define SEEN_STEP                                                                                  \
    {                                                                                              \
        0, "step", "N", "refuse unless it stands at this step (where it is now)"                   \
    }
#define ONE_WAY_BACK                                                                               \
    {                                                                                              \
        0, "one-way", NULL, "although that version cannot take the state, which is lost then"      \
    }
#define FILES                                                                                      \
    {                                                                                              \
        'f', "file", "FILE", "a document; may repeat; - is standard input"                         \
    }

static const struct gr_option status_options[] = {
    {'w', "wait", NULL, "wait until the newest change has ended"},
    {0, "timeout", "DURATION", "wait at most so long (60s)"},
    {0, "revision", "N", "wait for this revision of the desired state"},
    {0},
};
static const struct gr_option get_options[] = {
    {'w', "watch", NULL, "draw it again at each change; a line each without a terminal"}, {0}};
static const struct gr_option history_options[] = {{'n', "limit", "N", "at most N rollouts (20)"},
                                                   {0}};
static const struct gr_option events_options[] = {
    {'f', "follow", NULL, "go on with what comes"}, {0, "after", "SEQ", "only newer ones"}, {0}};
static const struct gr_option apply_options[] = {FILES, IF_REVISION, DRY_RUN, REASON, {0}};
static const struct gr_option files_options[] = {FILES, {0}};
static const struct gr_option plan_options[] = {
    FILES,
    {0, "request", "HEADER",
     "'name: value' of a request: where would it go? May repeat: one request with all of them"},
    {0, "path", "/INTERFACE/METHOD", "what the request calls"},
    {0},
};
static const struct gr_option publish_options[] = {
    {0, "source", "URL",
     "where it can be fetched; may repeat. Without: copied to the first of [Artifacts] FileRoots"},
    {0, "module-config", "JSON", "the module's configuration. Without: as it is"},
    {0, "strategy", "FILE", "how to roll it out. Without: as it is"},
    {0, "weight", "N", "N percent of the traffic first, and all of it when it is promoted"},
    IF_REVISION,
    DRY_RUN,
    REASON,
    {0},
};
static const struct gr_option promote_options[] = {
    {0, "full", NULL, "past all further steps, to all of the traffic"},
    {0, "over-bad-stable", NULL, "although the verdict says that stable is no better"},
    {0, "one-way", NULL, "although the version before cannot take the state back"},
    SEEN_ROLLOUT,
    SEEN_STEP,
    LOCAL,
    IF_REVISION,
    DRY_RUN,
    REASON,
    {0},
};
static const struct gr_option rollout_options[] = {SEEN_ROLLOUT, SEEN_STEP, LOCAL, IF_REVISION,
                                                   DRY_RUN,      REASON,    {0}};
static const struct gr_option abort_options[] = {ONE_WAY_BACK, SEEN_ROLLOUT, LOCAL, IF_REVISION,
                                                 DRY_RUN,      REASON,       {0}};
static const struct gr_option undo_options[] = {
    {0, "to", "VERSION", "not the last good version but this one"},
    ONE_WAY_BACK,
    LOCAL,
    IF_REVISION,
    DRY_RUN,
    REASON,
    {0}};
static const struct gr_option host_options[] = {IF_REVISION_HERE, DRY_RUN, REASON, {0}};
static const struct gr_option thaw_options[] = {LOCAL, IF_REVISION_HERE, DRY_RUN, REASON, {0}};
static const struct gr_option lift_options[] = {LOCAL, DRY_RUN, IF_REVISION, REASON, {0}};
static const struct gr_option worker_options[] = {
    {0, "one-way", NULL, "although modules hold state, which is lost with the old one"},
    IF_REVISION_HERE,
    DRY_RUN,
    REASON,
    {0}};
static const struct gr_option freeze_options[] = {
    {0, "for", "DURATION", "requests wait at most so long"},
    LOCAL,
    IF_REVISION_HERE,
    DRY_RUN,
    REASON,
    {0}};
static const struct gr_option verify_options[] = {
    {0, "expect", "sha256:HEX", "refuse any other digest"}, {0}};
static const struct gr_option call_options[] = {
    {'d', "data", "JSON", "the request; @FILE and @- read it ({})"},
    {'H', "header", "NAME:VALUE", "one more header; may repeat"},
    {0, "address", "ADDRESS", "another front door than the daemon's first"},
    {0, "timeout", "DURATION", "wait at most so long (30s)"},
    {0},
};
static const struct gr_option module_options[] = {
    {0, "listen", "ADDRESS", "run: where requests come in (127.0.0.1:8081)"},
    {0, "module-config", "JSON", "run: the module's configuration"},
    {'w', "watch", NULL, "run: when the file changes, what it is then serves"},
    {0},
};
static const struct gr_option contract_options[] = {
    {0, "input", "FILE.proto", "whose services the module provides"},
    {0, "output", "FILE.yaml", "where the contract goes; - is standard output. Formats: -o"},
    {0, "module", "NAME", "the module's name. Without: the file's"},
    {0, "proto-path", "DIRECTORY",
     "where imports are looked for; may repeat. Without: the file's directory"},
    {0, "force", NULL, "also over a file that says something else"},
    {0},
};
static const struct gr_option config_options[] = {
    {0, "running", NULL, "what the daemon runs with, not what the file says"}, {0}};

static const struct gr_option profile_options[] = {
    {0, "seconds", "N", "how long, to 300 (10)"},
    {0, "hz", "N", "samples a second of each thread's processor time, to 999 (99)"},
    {0, "module", "MODULE", "only where a function of this module was at work"},
    {0, "write", "PREFIX", "writes PREFIX.folded and PREFIX.svg (grayling-profile)"},
    {0}};
static const struct gr_option drill_options[] = {
    {0, "live", NULL, "against the running instance, in modules of the drill's own"},
    {0, "modules", "DIRECTORY", "where the builds are that drills put"},
    {0, "results", "DIRECTORY", "where results are kept (~/.local/state/grayling/drills)"},
    {0, "strict", NULL, "a drill that is skipped counts as failed"},
    {0}};

const struct gr_verb gr_verbs[] = {
    {"list", "", "Modules on this host", "  grayctl list -o wide\n", 0, 0, NULL, gr_verb_list,
     HERE},
    {"get", "MODULE", "One module as a tree: its versions, its rollout, what to do",
     "  grayctl get pay\n  grayctl get pay -w\n  grayctl get pay -o wide\n  grayctl get pay -o "
     "json\n",
     1, 1, get_options, gr_verb_get, HERE | NONE_SUCH},
    {"status", "[MODULE]", "What this host does; waits for a change to end",
     "  grayctl status\n  grayctl status pay --wait --timeout 2m\n", 0, 1, status_options,
     gr_verb_status, HERE | NONE_SUCH | BAD | LATE},
    {"history", "[MODULE]", "Rollouts, newest first", "  grayctl history pay -o wide\n", 0, 1,
     history_options, gr_verb_history, HERE},
    {"events", "[MODULE]", "What happened, oldest first",
     "  grayctl events -f\n  grayctl events pay -o jsonl\n", 0, 1, events_options, gr_verb_events,
     HERE},
    {"explain", "MODULE|ROLLOUT", "Why a rollout was promoted, held or taken back",
     "  grayctl explain pay\n  grayctl explain 8812 -o json\n", 1, 1, NULL, gr_verb_explain,
     HERE | NONE_SUCH},
    {"replay", "MODULE|ROLLOUT", "Recompute its verdicts from the stored numbers",
     "  grayctl replay 8812\n", 1, 1, NULL, gr_verb_replay, HERE | NONE_SUCH},
    {"apply", "-f FILE...", "Say what should be; several files are one change",
     "  grayctl apply -f pay.json\n  grayctl apply -f pay.json -f auth.json --dry-run\n  grayctl "
     "apply -f - --if-revision 42 < pay.json\n",
     0, GR_ARGS_MAX, apply_options, gr_verb_apply, THERE},
    {"publish", "FILE.so", "Make a module's file the desired version",
     "  grayctl publish build/modules/pay-1.1.0.so --reason PAY-1182\n"
     "  grayctl publish pay-1.1.0.so --weight 5\n"
     "  grayctl publish pay-1.1.0.so --source https://artifacts.example/pay-1.1.0.so\n",
     1, 1, publish_options, gr_verb_publish, THERE | NONE_SUCH},
    {"plan", "-f FILE... | MODULE --request HEADER", "What the daemon would do, and for whom",
     "  grayctl plan -f pay.json\n  grayctl plan pay --request 'x-user-id: 7'\n"
     "  grayctl plan -f pay.json --request 'cookie: tier=gold' --path "
     "/com.example.pay.PayService/Charge\n",
     0, GR_ARGS_MAX, plan_options, gr_verb_plan, THERE | NONE_SUCH},
    {"lint", "FILE...", "Check documents without asking anybody", "  grayctl lint pay.json\n", 0,
     GR_ARGS_MAX, files_options, gr_verb_lint, FILES_OF},
    {"promote", "MODULE", "To the next step of its rollout",
     "  grayctl promote pay\n  grayctl promote pay --full --reason 'hotfix'\n", 1, 1,
     promote_options, gr_verb_promote, STEER},
    {"pause", "MODULE", "Hold its rollout where it is",
     "  grayctl pause pay --reason 'look first'\n", 1, 1, rollout_options, gr_verb_pause, STEER},
    {"resume", "MODULE", "Let a held rollout go on", "  grayctl resume pay\n", 1, 1,
     rollout_options, gr_verb_resume, STEER},
    {"abort", "MODULE", "Take its rollout back, and keep it there",
     "  grayctl abort pay --reason 'refunds fail'\n  grayctl abort pay --local\n", 1, 1,
     abort_options, gr_verb_abort, STEER | BAD},
    {"retry", "MODULE", "Begin an ended rollout again, for the same users",
     "  grayctl retry pay --reason 'the database was down'\n", 1, 1, rollout_options, gr_verb_retry,
     STEER},
    {"undo", "MODULE", "Go back to the last good version, and keep it there",
     "  grayctl undo pay\n  grayctl undo pay --to 1.0.0 --reason 'refunds fail'\n", 1, 1,
     undo_options, gr_verb_undo, STEER | BAD},
    {"quarantine", "list|lift SHA256 --reason TEXT", "Digests that no host of the service runs",
     "  grayctl quarantine list\n  grayctl quarantine lift sha256:... --reason 'fixed the host'\n",
     1, 2, lift_options, gr_verb_quarantine, STEER},
    {"call", "INTERFACE/METHOD", "Try a method through the front door",
     "  grayctl call com.example.pay.PayService/Charge -d '{\"amount_cents\": 1250}'\n", 1, 1,
     call_options, gr_verb_call, THERE | NONE_SUCH | BAD | LATE},
    {"verify", "FILE.so", "Would this file be admitted? Runs none of it",
     "  grayctl verify pay-1.1.0.so --expect sha256:...\n", 1, 1, verify_options, gr_verb_verify,
     FILES_OF},
    {"inspect", "FILE.so", "What a file declares about itself",
     "  grayctl inspect pay-1.1.0.so -o json\n", 1, 1, NULL, gr_verb_inspect, FILES_OF},
    {"abi-diff", "A.so B.so", "Can B take the place of A? Runs none of either",
     "  grayctl abi-diff pay-1.0.0.so pay-1.1.0.so\n"
     "  grayctl abi-diff pay-1.0.0.so pay-1.1.0.so -o json\n",
     2, 2, NULL, gr_verb_abi_diff, FILES_OF},
    {"module", "new NAME | run FILE.so", "A module of your own: a project that builds; serve it",
     "  grayctl module new hello\n"
     "  grayctl module run hello/build/modules/hello-1.0.0.so --watch\n"
     "  grayctl module run pay-1.0.0.so --listen 127.0.0.1:8081 --module-config "
     "'{\"currency\": \"EUR\"}'\n",
     2, 2, module_options, gr_verb_module, FILES_OF},
    {"contract", "generate --input FILE.proto --output FILE.yaml",
     "A module.yaml out of the services of a .proto file",
     "  grayctl contract generate --input pay.proto --output module.yaml\n"
     "  grayctl contract generate --input acme/pay.proto --proto-path . --output - --module pay\n",
     1, 1, contract_options, gr_verb_contract, FILES_OF},
    {"worker", "replace", "A fresh worker, without losing a request",
     "  grayctl worker replace --reason 'new libc'\n", 1, 1, worker_options, gr_verb_worker, THERE},
    {"profile", "", "Where the worker spends its processor time, as a flame graph",
     "  grayctl profile --seconds 10\n  grayctl profile --module pay --write /tmp/pay\n"
     "  grayctl profile -o json\n",
     0, 0, profile_options, gr_verb_profile, THERE | NONE_SUCH},
    {"freeze", "MODULE... --for DURATION", "Let requests wait", "  grayctl freeze pay --for 30s\n",
     1, GR_ARGS_MAX, freeze_options, gr_verb_freeze, STEER},
    {"thaw", "MODULE...", "Let them run again", "  grayctl thaw pay\n", 1, GR_ARGS_MAX,
     thaw_options, gr_verb_thaw, STEER},
    {"source", "accept-rewind", "Follow a restored or foreign source as it is",
     "  grayctl source accept-rewind --reason 'restored the backup'\n", 1, 1, host_options,
     gr_verb_source, THERE},
    {"safe-mode", "leave --reason TEXT", "Follow the source again, and roll out",
     "  grayctl safe-mode leave --reason 'the disk was full'\n", 1, 1, host_options,
     gr_verb_safe_mode, THERE},
    {"config", "cat|check", "The daemon's configuration",
     "  grayctl config cat\n  grayctl config check --config new.conf\n", 1, 1, config_options,
     gr_verb_config, THERE | NONE_SUCH},
    {"completion", "SHELL", "Completion for bash, zsh or fish",
     "  source <(grayctl completion bash)\n"
     "  grayctl completion zsh > ~/.zfunc/_grayctl\n"
     "  grayctl completion fish > ~/.config/fish/completions/grayctl.fish\n",
     1, 1, NULL, gr_verb_completion, 0},
    {"drill", "list|run|report [FILE]...", "Rehearse failures, and what came of it",
     "  grayctl drill run drills/*.drill\n  grayctl drill run --live drill-crash.drill\n"
     "  grayctl drill report -o json\n",
     1, GR_ARGS_MAX, drill_options, gr_verb_drill, NONE_SUCH | BAD | HERE},
    {"dashboard", "", "Where a browser finds this host", "  grayctl dashboard\n", 0, 0, NULL,
     gr_verb_dashboard, HERE | NONE_SUCH},
    {"doctor", "", "What is wrong with this host, and what to do", "  grayctl doctor\n", 0, 0, NULL,
     gr_verb_doctor, BAD},
    {"version", "", "Versions of grayctl and the daemon", "  grayctl version\n", 0, 0, NULL,
     gr_verb_version, 0},
    {"help", "[VERB]", "This text, or a verb's", "  grayctl help apply\n", 0, 1, NULL, gr_verb_help,
     NONE_SUCH},
};
const size_t gr_n_verbs = GR_COUNT(gr_verbs);
