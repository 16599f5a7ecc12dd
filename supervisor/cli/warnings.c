// What lint, plan and verify warn of that one document does not show: it depends on what other
// modules declare, which this host knows best.
#include "cli/local-artifact.h"
#include "cli/output.h"
#include "cli/want.h"
#include "state/pooling.h"
#include <string.h>

void gr_want_warn(struct gr_cli *cli, const char *module, const char *text)
{
    fprintf(cli->err, "warning: %s: %s\n", module, text);
}

// What the document's file declares, when it is here: a host may not have it yet. NULL: it is not.
static struct gr_contract *contract_at_hand(const struct gr_document *one)
{
    GR_CLEANUP(gr_desired_freep) struct gr_desired *d = NULL;
    GR_CLEANUP(gr_inspection_done) struct gr_inspection file = {0};
    GR_AUTO_FREE char *text = gr_json_format(one->json);
    struct gr_error e = {0};
    if (!text || gr_desired_parse(&one->module, 0, text, strlen(text), &d, &e) < 0 ||
        !gr_local_artifact(d, &file))
        return NULL;
    return gr_steal(file.contract);
}

cJSON *gr_want_question(const struct gr_documents *d)
{
    cJSON *question = cJSON_CreateObject(),
          *documents = cJSON_AddObjectToObject(question, "documents"),
          *contracts = cJSON_AddObjectToObject(question, "contracts");
    for (size_t i = 0; i < d->n; i++) {
        GR_CLEANUP(gr_contract_freep) struct gr_contract *c = contract_at_hand(&d->items[i]);
        cJSON_AddItemToObject(documents, d->items[i].module.s,
                              cJSON_Duplicate(d->items[i].json, true));
        if (c)
            cJSON_AddItemToObject(contracts, d->items[i].module.s, cJSON_Parse(c->json));
    }
    return question;
}

void gr_want_print_warnings(struct gr_cli *cli, const cJSON *plan)
{
    const cJSON *it;
    cJSON_ArrayForEach(it, gr_output_find(plan, "warnings"))
        gr_want_warn(cli, gr_output_text(it, "module"), gr_output_text(it, "message"));
}

static void warn_by_files(struct gr_cli *cli, const struct gr_documents *d)
{
    struct gr_contract *set[GR_MODULES_MAX] = {0};
    char text[GR_MESSAGE_MAX];
    size_t n = d->n < GR_MODULES_MAX ? d->n : GR_MODULES_MAX;
    for (size_t i = 0; i < n; i++)
        set[i] = contract_at_hand(&d->items[i]);
    for (size_t i = 0; i < n; i++)
        if (gr_pooling_say((const struct gr_contract *const *)set, n, i, text))
            gr_want_warn(cli, d->items[i].module.s, text);
    for (size_t i = 0; i < n; i++)
        gr_contract_free(set[i]);
}

void gr_want_warn_of_pooling(struct gr_cli *cli, const struct gr_documents *d)
{
    GR_AUTO_JSON cJSON *question = gr_want_question(d), *plan = NULL;
    struct gr_error e = {0};
    if (gr_cli_request(cli, "POST", "/v1/plan", question, 0, &plan, &e) < 0)
        warn_by_files(cli, d);
    else
        gr_want_print_warnings(cli, plan);
}
