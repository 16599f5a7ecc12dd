// The verbs' run functions, by theme; the table that names them is verbs.c.
#pragma once
#include "cli/cli.h"

typedef enum gr_exit gr_verb_run(struct gr_cli *cli, const struct gr_args *args);
gr_verb_run gr_verb_list, gr_verb_get, gr_verb_status, gr_verb_history,
    gr_verb_events;                                       // verb-look.c, verb-get.c, verb-status.c
gr_verb_run gr_verb_explain, gr_verb_replay;              // verb-explain.c
gr_verb_run gr_verb_apply, gr_verb_publish, gr_verb_lint; // verb-want.c, verb-publish.c
gr_verb_run gr_verb_plan;                                 // verb-plan.c
gr_verb_run gr_verb_promote, gr_verb_pause, gr_verb_resume, gr_verb_retry; // verb-rollout.c
gr_verb_run gr_verb_undo, gr_verb_abort;                                   // verb-undo.c
gr_verb_run gr_verb_quarantine;                                            // verb-quarantine.c
gr_verb_run gr_verb_safe_mode, gr_verb_worker, gr_verb_freeze, gr_verb_thaw,
    gr_verb_source;                             // verb-steer.c
gr_verb_run gr_verb_verify, gr_verb_inspect;    // verb-artifact.c
gr_verb_run gr_verb_abi_diff;                   // verb-abi-diff.c
gr_verb_run gr_verb_call;                       // verb-call.c
gr_verb_run gr_verb_contract;                   // verb-contract.c
gr_verb_run gr_verb_module, gr_verb_module_run; // verb-module.c, verb-module-run.c
gr_verb_run gr_verb_completion;                 // verb-completion.c
gr_verb_run gr_verb_profile;                    // verb-profile.c
gr_verb_run gr_verb_dashboard;                  // verb-dashboard.c
gr_verb_run gr_verb_doctor;                     // verb-doctor.c
gr_verb_run gr_verb_config;                     // verb-config.c
gr_verb_run gr_verb_version, gr_verb_help;      // verb-about.c
gr_verb_run gr_verb_drill;                      // drill/verb-drill.c
