// A release in the journal: opened, a rollout written, the table committed, a version convicted,
// all of it read back.
#include "base/fs.h"
#include "state/journal.h"
#include "story.h"
#include <stdio.h>
#include <string.h>

static struct gr_name module;
static struct gr_desired *before, *after;

static struct gr_desired *release(const char *version, int64_t revision)
{
    struct gr_desired *d = NULL;
    char text[400];
    snprintf(text, sizeof text,
             "{\"version\":\"%s\",\"version_hash\":\"sha256:%064d\",\"source\":"
             "[\"file:///srv/pay.so\"],\"config\":{\"limit\":3},\"actor\":\"ann\"}",
             version, (int)revision);
    story_must(gr_desired_parse(&module, revision, text, strlen(text), &d, NULL) == 0, text);
    return d;
}

static int write_release(struct gr_journal *j, int64_t id, struct gr_error *e)
{
    struct gr_rollout_member member = {.module = module, .to = id == 1 ? before : after};
    struct gr_rollout_row row = {.id = id, .phase = GR_PHASE_VERIFYING, .n = 1, .members = &member};
    const struct gr_committed c = {.module = module,
                                   .release = member.to,
                                   .previous = id == 1 ? NULL : before,
                                   .last_good = before};
    int k = gr_journal_put_rollout(j, &row, e);
    row.phase = id == 1 ? GR_PHASE_HEALTHY : GR_PHASE_BAKING;
    return k < 0 ? k : gr_journal_commit_table(j, &row, id, &c, 1, e);
}

static void begin(const char *dir)
{
    char path[256];
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    story_must(gr_name_parse("pay", 3, &module) == 0, "a module's name");
    if (!before)
        before = release("1.0.0", 1);
    if (!after)
        after = release("1.1.0", 2);
    story_must(gr_fs_mkdir_all(story_path(dir, "template", path), 0700) == 0, path);
    story_must(gr_journal_open(path, &j, &e) == 0, e.message);
    story_must(write_release(j, 1, &e) == 0, e.message);
    gr_journal_close(j);
    story_must(gr_fs_mkdir_all(story_path(dir, "state", path), 0700) == 0, path);
}

static void prepare(const char *dir)
{
    static const char *const gone[] = {"state/journal.db-wal", "state/reserve"};
    char from[256], to[256];
    for (size_t i = 0; i < GR_COUNT(gone); i++)
        (void)remove(story_path(dir, gone[i], from));
    story_copy(story_path(dir, "template/journal.db", from),
               story_path(dir, "state/journal.db", to));
    story_copy(story_path(dir, "template/journal.copy", from),
               story_path(dir, "state/journal.copy", to));
}

static int read_back(struct gr_journal *j, struct gr_error *e)
{
    GR_CLEANUP(gr_table_rows_done) struct gr_table_rows table = {0};
    struct gr_rollout_row *rows = NULL;
    struct gr_conviction *guilty = NULL;
    struct gr_event_row *events = NULL;
    size_t n = 0, n_guilty = 0, n_events = 0;
    int k = gr_journal_load_table(j, &table, e);
    if (k == 0)
        k = gr_journal_history(j, "pay", 10, &rows, &n, e);
    for (size_t i = 0; i < n; i++)
        gr_rollout_row_done(&rows[i]);
    free(rows);
    if (k == 0)
        k = gr_journal_convictions(j, &guilty, &n_guilty, e);
    free(guilty);
    if (k == 0)
        k = gr_journal_events(j, 0, 10, &events, &n_events, e);
    free(events);
    return k;
}

static int run(const char *dir, struct gr_error *e)
{
    char path[256];
    struct gr_journal *j = NULL;
    const struct gr_floor floor = {.cluster_id = 7, .revision = 2};
    const struct gr_conviction c = {.digest = after->digest,
                                    .module = module,
                                    .version = "1.1.0",
                                    .reason = GR_REASON_CRASHED,
                                    .evidence = "it did"};
    const struct gr_event_row ev = {.module = "pay", .version = "1.1.0", .message = "told"};
    struct gr_start_row start = {.boot = "b"};
    int64_t number = 0;
    int k = gr_journal_open(story_path(dir, "state", path), &j, e);
    if (k == 0)
        k = gr_journal_begin_start(j, &start, &number, e);
    if (k == 0)
        k = write_release(j, 2, e);
    if (k == 0)
        k = gr_journal_convict(j, &c, e);
    if (k == 0)
        k = gr_journal_set_floor(j, &floor, e);
    if (k == 0)
        k = gr_journal_add_event(j, &ev, e);
    if (k == 0)
        k = read_back(j, e);
    gr_journal_close(j);
    return k;
}

static enum story_end judge(const char *dir, char *why, size_t cap)
{
    char path[256];
    struct gr_journal *j = NULL;
    struct gr_error e = {0};
    GR_CLEANUP(gr_table_rows_done) struct gr_table_rows t = {0};
    int k = gr_journal_open(story_path(dir, "state", path), &j, &e);
    if (k == 0)
        k = gr_journal_load_table(j, &t, &e);
    const char *damage = j ? gr_journal_damage(j) : "";
    const char *version = k == 0 && t.n == 1 ? t.rows[0].release->version.text : "none";
    bool old = t.number == 1 && strcmp(version, "1.0.0") == 0,
         new = t.number == 2 && strcmp(version, "1.1.0") == 0 && t.rows[0].previous;
    if (!old && !new)
        snprintf(why, cap, "table %d of %zu rows, version %s: %s %s", (int)t.number, t.n, version,
                 e.message, damage);
    gr_journal_close(j);
    return old ? STORY_OLD : new ? STORY_NEW : STORY_BETWEEN;
}

const struct story story_journal = {"journal", begin, prepare, run, judge};
