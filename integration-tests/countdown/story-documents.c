// What is read before anything is done: the configuration, a directory of documents, their plan,
// and the message that would tell a worker.
#include "base/channel.h"
#include "base/fs.h"
#include "control/config.h"
#include "state/plan.h"
#include "story.h"
#include "watchers/directory-read.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char document[] =
    "{\"version\":\"1.1.0\",\"version_hash\":\"sha256:"
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\","
    "\"source\":[\"https://a.example/pay.so\",\"file:///srv/pay.so\"],"
    "\"config\":{\"limit\":3,\"names\":[\"a\",\"b\"]},\"actor\":\"ann\",\"reason\":\"PAY-7\","
    "\"strategy\":{\"steps\":[{\"weight\":5},{\"pause\":{}},{\"weight\":100}],\"bake\":\"1m\","
    "\"analysis\":{\"error_rate\":{\"max_increase\":0.01}},"
    "\"match\":[{\"header\":\"x-canary\",\"exact\":\"1\"}]}}";

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    FILE *f = fopen(story_path(dir, name, path), "w");
    story_must(f && fputs(text, f) >= 0, path);
    story_must(fclose(f) == 0, path);
}

static void begin(const char *dir)
{
    char path[256];
    story_must(gr_fs_mkdir_all(story_path(dir, "modules.d", path), 0700) == 0, path);
    write_file(dir, "modules.d/pay.json", document);
    write_file(dir, "modules.d/echo.json", document);
    write_file(dir, "grayling.conf", "[Service]\nName=order\n[Dispatch]\nListen=127.0.0.1:8080\n");
}

static void prepare(const char *dir)
{
    (void)dir;
}

static int read_config(const char *dir, struct gr_error *e)
{
    char path[256];
    char set[] = "Source.Directory=/srv/modules.d";
    char *const sets[] = {set};
    struct gr_config *c = NULL;
    int k = gr_config_load(story_path(dir, "grayling.conf", path), sets, 1, &c, e);
    gr_config_free(c);
    return k;
}

// These have no argument for a sentence: their callers say what they were about.
static int without_sentence(int k, const char *what, struct gr_error *e)
{
    return k < 0 ? gr_error_set(e, k, GR_REASON_INTERNAL, "%s: %s", what, strerror(-k)) : 0;
}

static int make_plan(const struct gr_snapshot *s, struct gr_error *e)
{
    struct gr_wish wishes[2] = {0};
    struct gr_wishes now = {.revision = s->revision, .n = s->n, .wishes = wishes};
    const struct gr_table_rows none = {0};
    GR_CLEANUP(gr_plans_freep) struct gr_plans *plans = NULL;
    int k = s->n == 2 ? 0 : gr_error_set(e, -EIO, GR_REASON_INTERNAL, "not both are there");
    for (size_t i = 0; k == 0 && i < 2; i++) {
        const struct gr_entry *en = &s->entries[i];
        wishes[i] = (struct gr_wish){.module = en->module, .mod_revision = en->mod_revision};
        if (en->error.reason)
            *e = en->error;
        k = en->error.reason ? -EIO
                             : gr_desired_parse(&en->module, en->mod_revision, en->value,
                                                en->value_len, &wishes[i].desired, e);
    }
    if (k == 0)
        k = without_sentence(
            gr_plans_make(&(struct gr_plan_input){.now = &now, .actual = &none}, &plans), "no plan",
            e);
    char *text = k == 0 ? gr_plans_format(plans) : NULL;
    if (k == 0 && !text)
        k = without_sentence(-ENOMEM, "the plan could not be printed", e);
    free(text);
    for (size_t i = 0; i < 2; i++)
        gr_desired_free(wishes[i].desired);
    return k;
}

static int read_documents(const char *dir, struct gr_error *e)
{
    char path[256];
    GR_CLEANUP(gr_snapshot_freep) struct gr_snapshot *s = NULL, *copy = NULL;
    int k = gr_directory_read(story_path(dir, "modules.d", path), NULL, &s, e);
    if (k == 0)
        k = without_sentence(gr_snapshot_copy(s, &copy), "no copy of the snapshot", e);
    return k < 0 ? k : make_plan(copy, e);
}

static int pass_message(struct gr_error *e)
{
    int pair[2], fds[GR_CHANNEL_FDS_MAX];
    size_t n = 0;
    GR_AUTO_JSON cJSON *m = cJSON_CreateObject(), *got = NULL;
    int k = m && cJSON_AddStringToObject(m, "type", "hello") ? 0 : -ENOMEM;
    if (k == 0)
        k = gr_channel_pair(pair);
    if (k < 0)
        return without_sentence(k, "no channel", e);
    k = gr_channel_send(pair[0], m, &pair[0], 1);
    if (k == 0) {
        k = gr_channel_recv(pair[1], &got, fds, &n);
        k = k > 0 ? 0 : k == 0 ? -EPIPE : k;
    }
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    close(pair[0]);
    close(pair[1]);
    return without_sentence(k, "the message did not come through", e);
}

static int run(const char *dir, struct gr_error *e)
{
    int k = read_config(dir, e);
    if (k == 0)
        k = read_documents(dir, e);
    return k < 0 ? k : pass_message(e);
}

// Nothing of this leaves a trace.
static enum story_end judge(const char *dir, char *why, size_t cap)
{
    (void)dir, (void)why, (void)cap;
    return STORY_OLD;
}

const struct story story_documents = {"documents", begin, prepare, run, judge};
