// Verbs about a module's file: verify and inspect. None of its code runs.
#include "base/clock.h"
#include "base/json.h"
#include "cli/artifact.h"
#include "cli/local-artifact.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

static bool is_foreign(const struct gr_inspection *i)
{
    return i->verdict.reason != i->own_verdict.reason;
}

static void add_verdict(cJSON *o, const char *verdict, const char *message,
                        const struct gr_error *e)
{
    bool good = e->reason == GR_REASON_NONE;
    cJSON_AddStringToObject(o, verdict, good ? "admissible" : gr_reason_name(e->reason));
    if (!good)
        cJSON_AddStringToObject(o, message, e->message);
}

cJSON *gr_artifact_facts(const char *file, const struct gr_inspection *i)
{
    char digest[GR_DIGEST_TEXT_MAX];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", file);
    cJSON_AddStringToObject(o, "hash", gr_digest_format(&i->digest, digest));
    gr_json_add_uint(o, "bytes", i->bytes);
    cJSON_AddStringToObject(o, "machine", i->machine);
    cJSON_AddStringToObject(o, "type", i->type);
    cJSON_AddStringToObject(o, "build_id", i->build_id);
    if (i->contract) {
        cJSON_AddStringToObject(o, "module", i->contract->module.s);
        cJSON_AddStringToObject(o, "version", i->contract->version.text);
    }
    add_verdict(o, "verdict", "message", &i->verdict);
    if (is_foreign(i))
        add_verdict(o, "own_verdict", "own_message", &i->own_verdict);
    return o;
}

static void add_inside(cJSON *o, const struct gr_inspection *i)
{
    cJSON *needed = cJSON_AddArrayToObject(o, "needed");
    for (size_t k = 0; k < i->n_needed; k++)
        cJSON_AddItemToArray(needed, cJSON_CreateString(i->needed[k]));
    if (*i->glibc)
        cJSON_AddStringToObject(o, "glibc", i->glibc);
    if (*i->soname)
        cJSON_AddStringToObject(o, "soname", i->soname);
    cJSON *exports = cJSON_AddArrayToObject(o, "exports");
    for (size_t k = 0; k < i->n_exports; k++)
        cJSON_AddItemToArray(exports, cJSON_CreateString(i->exports[k]));
    cJSON *traits = cJSON_AddArrayToObject(o, "traits");
    for (size_t k = 0; k < i->n_traits; k++)
        cJSON_AddItemToArray(traits, cJSON_CreateString(i->traits[k]));
    if (i->contract && i->contract->json)
        cJSON_AddItemToObject(o, "contract",
                              cJSON_Parse(i->contract->json)); // parsed strictly by the inspection
}

static const struct gr_column columns[] = {
    {"File", "file", GR_CELL_TEXT, false},
    {"Module", "module", GR_CELL_TEXT, false},
    {"Version", "version", GR_CELL_TEXT, false},
    {"Hash", "hash", GR_CELL_TEXT, false},
    {"Bytes", "bytes", GR_CELL_TEXT, false},
    {"Machine", "machine", GR_CELL_TEXT, false},
    {"Build id", "build_id", GR_CELL_TEXT, false},
    {"Verdict", "verdict", GR_CELL_TEXT, false},
    {"Why", "message", GR_CELL_TEXT, false},
    {"On its machine", "own_verdict", GR_CELL_TEXT, false},
    {"Why there", "own_message", GR_CELL_TEXT, false},
    {"C library", "glibc", GR_CELL_TEXT, true},
    {"SONAME", "soname", GR_CELL_TEXT, true},
};

static bool is_expected(const struct gr_args *args, const struct gr_inspection *i,
                        struct gr_error *e)
{
    const char *expect = gr_args_value(args, "expect");
    char actual[GR_DIGEST_TEXT_MAX];
    if (!expect || !strcmp(expect, gr_digest_format(&i->digest, actual)))
        return true;
    gr_error_set(e, -EINVAL, GR_REASON_DIGEST_MISMATCH,
                 "%s: expected %.80s, actual %s; take the right file or correct the document",
                 args->words[0], expect, actual);
    return false;
}

// As if its document were written here.
static void warn_of_pooling(struct gr_cli *cli, const char *file, const struct gr_inspection *i)
{
    char real[PATH_MAX], source[PATH_MAX + 16];
    const char *const sources[] = {source};
    if (!realpath(file, real))
        return;
    snprintf(source, sizeof source, "file://%s", real);
    GR_AUTO_JSON cJSON *json = gr_local_document(i, sources, 1);
    struct gr_document one = {.module = i->contract->module, .json = json};
    if (json)
        gr_want_warn_of_pooling(cli, &(struct gr_documents){.items = &one, .n = 1});
}

enum gr_exit gr_verb_verify(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    struct gr_error e = {0};
    if (gr_inspect_file(args->words[0], &i, &e) < 0)
        return gr_cli_fail(cli, &e);
    GR_AUTO_JSON cJSON *o = gr_artifact_facts(args->words[0], &i);
    gr_output_object(cli, o, columns, GR_COUNT(columns), "hash");
    if (!is_expected(args, &i, &e))
        return gr_cli_fail(cli, &e);
    if (i.verdict.reason != GR_REASON_NONE) {
        gr_cli_fail(cli, &i.verdict);
        return GR_EXIT_REFUSED;
    }
    warn_of_pooling(cli, args->words[0], &i);
    gr_cli_say(cli, "admissible on this host; next: grayctl publish %s", args->words[0]);
    return GR_EXIT_OK;
}

static void print_method(struct gr_cli *cli, const char *interface,
                         const struct gr_contract_method *m)
{
    char deadline[32];
    fprintf(cli->out, "Method:    %s/%s", interface, m->name);
    if (*m->input || *m->output)
        fprintf(cli->out, " (%s) -> (%s)", m->input, m->output);
    if (*m->codec)
        fprintf(cli->out, " codec %s", m->codec);
    if (m->deadline_usec)
        fprintf(cli->out, " deadline %s", gr_duration_format(m->deadline_usec, deadline));
    fprintf(cli->out, "%s\n", m->idempotent ? " (idempotent)" : "");
}

static void print_state(struct gr_cli *cli, const struct gr_contract *c)
{
    fprintf(cli->out, "State:     schema %" PRIu64, c->state_schema);
    for (size_t i = 0; i < c->n_imports; i++)
        fprintf(cli->out, "%s%" PRIu64, i ? ", " : ", imports ", c->imports[i]);
    fprintf(cli->out, "\n");
}

static void print_contract(struct gr_cli *cli, const struct gr_contract *c)
{
    for (size_t i = 0; i < c->n_provides; i++) {
        fprintf(cli->out, "Provides:  %s %s\n", c->provides[i].name, c->provides[i].version.text);
        for (size_t k = 0; k < c->provides[i].n_methods; k++)
            print_method(cli, c->provides[i].name, &c->provides[i].methods[k]);
    }
    for (size_t i = 0; i < c->n_requires; i++)
        fprintf(cli->out, "Requires:  %s %s\n", c->requires[i].interface,
                c->requires[i].range.text);
    for (size_t i = 0; i < c->n_optional; i++)
        fprintf(cli->out, "Optional:  %s %s\n", c->optional[i].interface,
                c->optional[i].range.text);
    if (c->upgrade_lock)
        fprintf(cli->out, "Locked:    %s\n",
                *c->upgrade_group.s ? c->upgrade_group.s : "with what it depends on");
    if (c->has_state)
        print_state(cli, c);
}

enum gr_exit gr_verb_inspect(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    struct gr_error e = {0};
    if (gr_inspect_file(args->words[0], &i, &e) < 0)
        return gr_cli_fail(cli, &e);
    GR_AUTO_JSON cJSON *o = gr_artifact_facts(args->words[0], &i);
    add_inside(o, &i);
    gr_output_object(cli, o, columns, GR_COUNT(columns), "hash");
    if (cli->format != GR_FORMAT_TABLE && cli->format != GR_FORMAT_WIDE)
        return GR_EXIT_OK;
    if (i.contract)
        print_contract(cli, i.contract);
    for (size_t k = 0; k < i.n_needed; k++)
        fprintf(cli->out, "Needs:     %s\n", i.needed[k]);
    for (size_t k = 0; k < i.n_traits; k++)
        fprintf(cli->out, "Has:       %s\n", i.traits[k]);
    return GR_EXIT_OK;
}
