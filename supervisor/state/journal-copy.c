// Keeps a second copy of what must never be lost with the database: the releases that are known to
// be good, the quarantine and the floor, in one small file that is replaced as a whole. After each
// commit the copy follows; at each opening the two are compared, and what the database lost comes
// back from here. A doubt is decided to the careful side: a digest is convicted when either says
// so.
#include "base/fault.h"
#include "base/fs.h"
#include "base/json.h"
#include "state/journal-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "journal.copy"
#define COPY_BYTES_MAX (64u << 20)
#define SEAL_LEN GR_DIGEST_TEXT_MAX // the digest of all that follows, and a newline

static void copy_done(struct gr_journal_copy *c)
{
    gr_table_rows_done(&c->table);
    free(c->convictions);
    *c = (struct gr_journal_copy){0};
}

// --- what the database holds
// ---------------------------------------------------------------------------------------

static int read_database(struct gr_journal *j, struct gr_journal_copy *ret, struct gr_error *e)
{
    GR_CLEANUP(copy_done) struct gr_journal_copy c = {0};
    int k = gr_journal_load_table(j, &c.table, e);
    if (k == 0)
        k = gr_journal_convictions(j, &c.convictions, &c.n_convictions, e);
    if (k == 0)
        k = gr_journal_get_floor(j, &c.floor, e);
    if (k < 0)
        return k;
    *ret = c;
    c = (struct gr_journal_copy){0};
    return 0;
}

// --- text
// -----------------------------------------------------------------------------------------------------

// Documents are texts in the text: they come back to the byte, and their numbers are not judged
// again.
static bool add_document(cJSON *o, const char *key, const struct gr_desired *d)
{
    GR_AUTO_FREE char *text = d ? gr_desired_format(d) : NULL;
    cJSON *doc = text ? cJSON_AddObjectToObject(o, key) : NULL;
    char revision[24];
    snprintf(revision, sizeof revision, "%" PRId64, d ? d->mod_revision : 0);
    return !d || (doc && cJSON_AddStringToObject(doc, "revision", revision) &&
                  cJSON_AddStringToObject(doc, "document", text));
}

// A version in its bake is not known to be good, and its rollout would be lost with the database:
// what counts is the one before it. The first version of a module has none before it.
static bool add_row(cJSON *list, const struct gr_committed *c)
{
    const struct gr_desired *good = c->previous ? c->previous : c->release;
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "module", c->module.s) &&
              add_document(o, "release", good) && add_document(o, "last_good", c->last_good);
    if (ok && cJSON_AddItemToArray(list, o))
        return true;
    cJSON_Delete(o);
    return false;
}

static bool add_conviction(cJSON *list, const struct gr_conviction *c)
{
    char digest[GR_DIGEST_TEXT_MAX], at[24];
    snprintf(at, sizeof at, "%" PRId64, c->at.usec);
    cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "digest", gr_digest_format(&c->digest, digest)) &&
              cJSON_AddStringToObject(o, "module", c->module.s) &&
              cJSON_AddStringToObject(o, "version", c->version) &&
              cJSON_AddStringToObject(o, "reason", gr_reason_name(c->reason)) &&
              cJSON_AddStringToObject(o, "evidence", c->evidence) &&
              cJSON_AddStringToObject(o, "instance", c->instance) &&
              cJSON_AddStringToObject(o, "at", at);
    if (ok && cJSON_AddItemToArray(list, o))
        return true;
    cJSON_Delete(o);
    return false;
}

static char *format_table(const struct gr_table_rows *t)
{
    GR_AUTO_JSON cJSON *list = cJSON_CreateArray();
    bool ok = list;
    for (size_t i = 0; ok && i < t->n; i++)
        ok = add_row(list, &t->rows[i]);
    return ok ? gr_json_format(list) : NULL;
}

static char *format(const struct gr_journal_copy *c)
{
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    GR_AUTO_FREE char *table = format_table(&c->table);
    char numbers[96];
    snprintf(numbers, sizeof numbers, "%" PRId64 " %" PRIu64 " %" PRId64 " %d", c->table.number,
             c->floor.cluster_id, c->floor.revision, c->floor.held);
    cJSON *list = NULL;
    bool ok = o && table && cJSON_AddStringToObject(o, "numbers", numbers) &&
              cJSON_AddRawToObject(o, "committed", table) &&
              (list = cJSON_AddArrayToObject(o, "quarantine"));
    for (size_t i = 0; ok && i < c->n_convictions; i++)
        ok = add_conviction(list, &c->convictions[i]);
    return ok ? gr_json_format(o) : NULL;
}

static int seal(const char *text, size_t len, char buf[GR_DIGEST_TEXT_MAX])
{
    GR_CLEANUP(gr_hasher_freep) struct gr_hasher *h = NULL;
    struct gr_digest d;
    int k = gr_hasher_new(&h);
    if (k == 0)
        k = gr_hasher_update(h, text, len);
    if (k == 0)
        k = gr_hasher_finish(h, &d);
    if (k == 0)
        gr_digest_format(&d, buf);
    return k;
}

void gr_journal_follow(struct gr_journal *j)
{
    GR_CLEANUP(copy_done) struct gr_journal_copy c = {0};
    GR_AUTO_BUF struct gr_buf b = GR_BUF(COPY_BYTES_MAX);
    char mark[GR_DIGEST_TEXT_MAX];
    if (GR_FAULT("journal.copy") < 0 || read_database(j, &c, NULL) < 0)
        return;
    GR_AUTO_FREE char *text = format(&c);
    if (text && seal(text, strlen(text), mark) == 0 && strcmp(mark, j->seal) != 0 &&
        gr_buf_printf(&b, "%s\n", mark) == 0 && gr_buf_append(&b, text, strlen(text)) == 0 &&
        gr_fs_write_atomic(j->dir_fd, NAME, b.data, b.len, 0600) == 0)
        snprintf(j->seal, sizeof j->seal, "%s", mark);
}

// --- and back
// -------------------------------------------------------------------------------------------------

static int parse_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno || end == text || *end ? -EUCLEAN : 0;
}

static int parse_document(const cJSON *o, const char *key, const struct gr_name *module,
                          struct gr_desired **ret)
{
    const cJSON *doc = gr_json_get(o, key);
    const char *revision = "", *text = "";
    int64_t number = 0;
    if (!doc)
        return 0;
    int k = gr_json_string(doc, "", "revision", GR_JSON_REQUIRED, &revision, NULL);
    if (k == 0)
        k = gr_json_string(doc, "", "document", GR_JSON_REQUIRED, &text, NULL);
    if (k == 0)
        k = parse_number(revision, &number);
    return k < 0 ? k : gr_desired_restore(module, number, text, ret, NULL);
}

static int parse_row(const cJSON *o, struct gr_committed *c)
{
    const char *name = "";
    int k = gr_json_string(o, "", "module", GR_JSON_REQUIRED, &name, NULL);
    if (k == 0)
        k = gr_name_parse(name, strlen(name), &c->module);
    if (k == 0)
        k = parse_document(o, "release", &c->module, &c->release);
    if (k == 0)
        k = parse_document(o, "last_good", &c->module, &c->last_good);
    return k == 0 && !c->release ? -EUCLEAN : k;
}

static int parse_conviction(const cJSON *o, struct gr_conviction *c)
{
    const char *digest = "", *module = "", *version = "", *reason = "", *evidence = "",
               *instance = "", *at = "";
    const struct {
        const char *field, **text;
    } fields[] = {{"digest", &digest}, {"module", &module},     {"version", &version},
                  {"reason", &reason}, {"evidence", &evidence}, {"instance", &instance},
                  {"at", &at}};
    int k = 0;
    for (size_t i = 0; k == 0 && i < GR_COUNT(fields); i++)
        k = gr_json_string(o, "", fields[i].field, GR_JSON_REQUIRED, fields[i].text, NULL);
    if (k == 0)
        k = gr_digest_parse(digest, &c->digest);
    if (k == 0)
        k = gr_name_parse(module, strlen(module), &c->module);
    if (k == 0)
        k = gr_reason_parse(reason, &c->reason);
    if (k == 0)
        k = parse_number(at, &c->at.usec);
    snprintf(c->version, sizeof c->version, "%s", version);
    snprintf(c->evidence, sizeof c->evidence, "%s", evidence);
    snprintf(c->instance, sizeof c->instance, "%s", instance);
    return k;
}

static int parse_lists(const cJSON *doc, struct gr_journal_copy *c)
{
    const cJSON *rows = gr_json_get(doc, "committed"), *guilty = gr_json_get(doc, "quarantine"),
                *one;
    c->table.rows = calloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof *c->table.rows);
    c->convictions = calloc((size_t)cJSON_GetArraySize(guilty) + 1, sizeof *c->convictions);
    if (!c->table.rows || !c->convictions)
        return -ENOMEM;
    cJSON_ArrayForEach(one, rows)
    {
        int k = parse_row(one, &c->table.rows[c->table.n++]);
        if (k < 0)
            return k;
    }
    cJSON_ArrayForEach(one, guilty)
    {
        int k = parse_conviction(one, &c->convictions[c->n_convictions++]);
        if (k < 0)
            return k;
    }
    return 0;
}

static int parse(const char *text, size_t len, struct gr_journal_copy *ret)
{
    GR_CLEANUP(copy_done) struct gr_journal_copy c = {0};
    GR_AUTO_JSON cJSON *doc = NULL;
    const char *numbers = "";
    int k = gr_json_parse(text, len, COPY_BYTES_MAX, &doc, NULL);
    if (k == 0)
        k = gr_json_string(doc, "", "numbers", GR_JSON_REQUIRED, &numbers, NULL);
    int held = 0;
    if (k == 0 && sscanf(numbers, "%" SCNd64 " %" SCNu64 " %" SCNd64 " %d", &c.table.number,
                         &c.floor.cluster_id, &c.floor.revision, &held) != 4)
        k = -EUCLEAN;
    c.floor.held = held != 0;
    if (k == 0)
        k = parse_lists(doc, &c);
    if (k < 0)
        return k;
    *ret = c;
    c = (struct gr_journal_copy){0};
    return 0;
}

// 1: read; 0: there is none that can be believed. Fails: -ENOMEM.
static int load(struct gr_journal *j, struct gr_journal_copy *ret)
{
    GR_AUTO_BUF struct gr_buf b = GR_BUF(COPY_BYTES_MAX);
    char mark[GR_DIGEST_TEXT_MAX];
    int k = gr_fs_read(j->dir_fd, NAME, &b);
    if (k < 0 || b.len <= SEAL_LEN)
        return k == -ENOMEM ? k : 0;
    const char *text = b.data + SEAL_LEN;
    k = seal(text, b.len - SEAL_LEN, mark);
    if (k == 0 && (memcmp(mark, b.data, SEAL_LEN - 1) != 0 || text[-1] != '\n'))
        return 0;
    if (k == 0)
        k = parse(text, b.len - SEAL_LEN, ret);
    if (k == 0)
        snprintf(j->seal, sizeof j->seal, "%s", mark);
    return k == -ENOMEM ? k : k == 0;
}

// --- comparing
// ------------------------------------------------------------------------------------------------

// The copy stands for its own form of the table: see add_row().
static int same_table(const struct gr_table_rows *a, const struct gr_table_rows *b)
{
    GR_AUTO_FREE char *x = format_table(a), *y = format_table(b);
    return !x || !y ? -ENOMEM : strcmp(x, y) == 0;
}

static bool is_convicted(const struct gr_journal_copy *c, const struct gr_digest *d)
{
    for (size_t i = 0; i < c->n_convictions; i++)
        if (gr_digest_equal(&c->convictions[i].digest, d))
            return true;
    return false;
}

int gr_journal_check_content(struct gr_journal *j, struct gr_error *e)
{
    GR_CLEANUP(copy_done) struct gr_journal_copy database = {0}, copy = {0};
    struct gr_rollout_row *rows = NULL;
    size_t n = 0;
    int k = read_database(j, &database, e);
    if (k == 0)
        k = gr_journal_open_rollouts(j, &rows, &n, e);
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    if (k == 0)
        k = load(j, &copy);
    if (k <= 0 || database.table.number != copy.table.number)
        return k < 0 ? k : 0;
    k = same_table(&database.table, &copy.table);
    return k ? (k < 0 ? k : 0)
             : gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                            "the journal's table %" PRId64 " is not the one that was written",
                            copy.table.number);
}

// --- restoring
// ------------------------------------------------------------------------------------------------

struct restoring {
    const struct gr_journal_copy *copy, *database;
    enum gr_journal_loss loss;
    bool table;
    size_t convictions;
};

static int restore_body(struct gr_journal *j, const void *what, struct gr_error *e)
{
    const struct restoring *r = what;
    int k = 0;
    if (r->table)
        k = gr_journal_exec(
            j,
            "DELETE FROM committed; UPDATE rollouts SET terminal = 1, phase = 'Superseded',"
            " message = 'the journal was damaged while it was in progress; the desired state is"
            " planned anew' WHERE NOT terminal;",
            e);
    for (size_t i = 0; k == 0 && r->table && i < r->copy->table.n; i++)
        k = gr_journal_put_committed(j, &r->copy->table.rows[i], e);
    if (k == 0 && r->table)
        k = gr_journal_put_number(j, r->copy->table.number, e);
    if (k == 0 && r->copy->floor.cluster_id && !r->database->floor.cluster_id)
        k = gr_journal_put_floor(j, &r->copy->floor, e);
    for (size_t i = 0; k == 0 && i < r->copy->n_convictions; i++)
        if (!is_convicted(r->database, &r->copy->convictions[i].digest))
            k = gr_journal_put_conviction(j, &r->copy->convictions[i], e);
    return k;
}

static void tell(struct gr_journal *j, const struct restoring *r, const char *why, bool known)
{
    static const char *const rest[] = {
        [GR_LOSS_NONE] = "history and events may be lost. Check the disk of the state directory",
        [GR_LOSS_DAMAGED] = "history and events may be lost. Check the disk of the state directory",
        [GR_LOSS_NEWER] = "history and events lie beside it; those of this release begin anew",
        [GR_LOSS_UNWRITABLE] =
            ("nothing is rolled out, and nothing is remembered, until this is mended: make the "
             "directory writable, restart graylingd"),
    };
    char what[200];
    if (!known)
        snprintf(what, sizeof what,
                 "There was no copy to restore from: nothing serves until the desired state is "
                 "planned anew, and the quarantine is empty");
    else
        snprintf(what, sizeof what,
                 "From its copy came back: %zu modules in force, %zu convicted digests",
                 r->table ? r->copy->table.n : 0, r->convictions);
    snprintf(j->damage, sizeof j->damage,
             "%.300s. %s; %s, and compare grayctl list with what should serve", why, what,
             rest[r->loss]);
}

int gr_journal_reconcile(struct gr_journal *j, enum gr_journal_loss loss, const char *why,
                         struct gr_error *e)
{
    GR_CLEANUP(copy_done) struct gr_journal_copy database = {0}, copy = {0};
    int k = read_database(j, &database, e), known = 0;
    if (k == 0)
        k = known = load(j, &copy);
    if (k == 0 && j->in_memory)
        k = -ENOENT;
    if (k < 0)
        return k;
    struct restoring r = {.copy = &copy,
                          .database = &database,
                          .loss = loss,
                          .table = known && copy.table.number > database.table.number};
    for (size_t i = 0; i < copy.n_convictions; i++)
        r.convictions += !is_convicted(&database, &copy.convictions[i].digest);
    if (r.table || r.convictions)
        k = gr_journal_write(j, restore_body, &r, e);
    if (k < 0)
        return k;
    if (why || r.table || r.convictions)
        tell(j, &r, why ? why : "The journal had lost what was written last", known);
    gr_journal_follow(j);
    return 0;
}
