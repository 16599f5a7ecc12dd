// abi-diff: can one module file take another's place? None of their code runs.
#include "base/json.h"
#include "cli/artifact.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "verifier/abi-diff.h"
#include <errno.h>

static const struct gr_column sides[] = {
    {"Side", "side", GR_CELL_TEXT, false},       {"File", "file", GR_CELL_TEXT, false},
    {"Module", "module", GR_CELL_TEXT, false},   {"Version", "version", GR_CELL_TEXT, false},
    {"Machine", "machine", GR_CELL_TEXT, false}, {"Hash", "hash", GR_CELL_HASH, false},
};
static const struct gr_column findings[] = {
    {"Severity", "severity", GR_CELL_TEXT, false},
    {"Kind", "kind", GR_CELL_TEXT, false},
    {"What", "message", GR_CELL_TEXT, false},
};

static cJSON *list_findings(const struct gr_compat *c)
{
    cJSON *list = cJSON_CreateArray();
    // the worst first: a reader of the table looks at the top
    for (int s = GR_COMPAT_BREAKING; s >= GR_COMPAT_NOTE; s--)
        for (size_t i = 0; i < c->n; i++) {
            const struct gr_compat_finding *f = &c->findings[i];
            if ((int)f->severity != s)
                continue;
            cJSON *o = cJSON_CreateObject();
            cJSON_AddStringToObject(o, "severity", gr_compat_severity_name(f->severity));
            cJSON_AddStringToObject(o, "kind", gr_compat_kind_name(f->kind));
            cJSON_AddStringToObject(o, "subject", f->subject);
            cJSON_AddStringToObject(o, "message", f->sentence);
            cJSON_AddItemToArray(list, o);
        }
    return list;
}

static void print_tables(struct gr_cli *cli, cJSON *result)
{
    GR_AUTO_JSON cJSON *both = cJSON_CreateArray();
    for (int i = 0; i < 2; i++) {
        const char *side = i ? "to" : "from";
        cJSON *o = cJSON_Duplicate(gr_json_get(result, side), true);
        cJSON_AddStringToObject(o, "side", side);
        cJSON_AddItemToArray(both, o);
    }
    gr_output_list(cli, both, sides, GR_COUNT(sides), "file");
    const cJSON *list = gr_json_get(result, "findings");
    if (cJSON_GetArraySize(list) > 0) {
        fprintf(cli->out, "\n");
        gr_output_list(cli, list, findings, GR_COUNT(findings), "kind");
    }
    fprintf(cli->out, "\nVerdict: %s\n", gr_output_text(result, "verdict"));
}

static enum gr_reason reason_of(const struct gr_compat_finding *f, const struct gr_inspection *to)
{
    if (f->kind == GR_COMPAT_MACHINE_CHANGED)
        return GR_REASON_ABI_INCOMPATIBLE;
    if (f->kind == GR_COMPAT_STATE_LOST)
        return GR_REASON_STATE_HANDOVER_FAILED;
    if (f->kind == GR_COMPAT_NOT_ADMISSIBLE || f->kind == GR_COMPAT_CONTRACT_MISSING)
        return to->own_verdict.reason;
    return GR_REASON_CONTRACT_INCOMPATIBLE;
}

static enum gr_exit conclude(struct gr_cli *cli, const struct gr_args *args,
                             const struct gr_inspection *to, const struct gr_compat *c)
{
    const struct gr_compat_finding *f = gr_compat_first(c, GR_COMPAT_BREAKING);
    struct gr_error e = {0};
    if (!f) {
        if (gr_abi_verdict_of(c) == GR_ABI_ANNOUNCED)
            gr_cli_say(cli,
                       "callers of %s are refused by %s, as its versions say; release those "
                       "that change with it in one transaction",
                       args->words[0], args->words[1]);
        return GR_EXIT_OK;
    }
    gr_error_set(&e, -EINVAL, reason_of(f, to), "%s cannot take the place of %s: %s",
                 args->words[1], args->words[0], f->sentence);
    gr_cli_fail(cli, &e);
    return GR_EXIT_REFUSED;
}

enum gr_exit gr_verb_abi_diff(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection from = {0};
    GR_CLEANUP(gr_inspection_done) struct gr_inspection to = {0};
    GR_CLEANUP(gr_compat_freep) struct gr_compat *c = NULL;
    struct gr_error e = {0};
    if (gr_inspect_file(args->words[0], &from, &e) < 0 ||
        gr_inspect_file(args->words[1], &to, &e) < 0)
        return gr_cli_fail(cli, &e);
    if (gr_abi_diff(&from, &to, &c, &e) < 0) {
        enum gr_exit status = gr_cli_fail(cli, &e);
        return e.reason == GR_REASON_NOT_A_MODULE ? GR_EXIT_REFUSED : status;
    }
    GR_AUTO_JSON cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "verdict", gr_abi_verdict_name(gr_abi_verdict_of(c)));
    cJSON_AddItemToObject(result, "from", gr_artifact_facts(args->words[0], &from));
    cJSON_AddItemToObject(result, "to", gr_artifact_facts(args->words[1], &to));
    cJSON_AddItemToObject(result, "findings", list_findings(c));
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE)
        print_tables(cli, result);
    else
        gr_output_object(cli, result, NULL, 0, "verdict");
    return conclude(cli, args, &to, c);
}
