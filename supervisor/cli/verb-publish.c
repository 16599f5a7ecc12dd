// publish: from a module's file to a desired state that names it.
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "cli/input.h"
#include "cli/local-artifact.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/want.h"
#include "verifier/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int inspect(const char *file, struct gr_inspection *ret, struct gr_error *e)
{
    int r = gr_inspect_file(file, ret, e);
    if (r < 0)
        return r;
    if (ret->verdict.reason != GR_REASON_NONE) {
        *e = ret->verdict;
        return e->code < 0 ? e->code : -EINVAL;
    }
    return 0;
}

// First of [Artifacts] FileRoots. Fails: -EINVAL: there is none.
static int first_root(struct gr_cli *cli, char root[PATH_MAX], struct gr_error *e)
{
    const struct gr_config *config;
    int r = gr_cli_settings(cli, &config, e);
    if (r < 0)
        return r;
    size_t len = config->file_roots ? strcspn(config->file_roots, " ") : 0;
    if (len == 0 || len >= PATH_MAX)
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "there is no place to copy the file to; give --source URL, or set "
                            "[Artifacts] FileRoots");
    memcpy(root, config->file_roots, len);
    root[len] = '\0';
    return 0;
}

static int copy(const char *file, const char *root, const char *name, uint64_t bytes)
{
    GR_AUTO_CLOSE int dir_fd = -1, fd = open(file, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : gr_fs_mkdir_all(root, 0755);
    if (r >= 0)
        r = gr_fs_open_dir(root, &dir_fd);
    if (r >= 0)
        r = gr_fs_publish_fd(dir_fd, name, fd, bytes, 0444);
    return r == -EEXIST ? 0 : r; // named by its digest: what is there is the same
}

// *ret_url is "file://" and the path of the copy. A dry run only says where it would be.
static int copy_to_root(struct gr_cli *cli, const char *file, const struct gr_inspection *i,
                        bool dry_run, char **ret_url, struct gr_error *e)
{
    char root[PATH_MAX], name[512], digest[17];
    int r = first_root(cli, root, e);
    if (r < 0)
        return r;
    snprintf(name, sizeof name, "%s-%s-%s.so", i->contract->module.s, i->contract->version.text,
             gr_digest_short(&i->digest, digest));
    r = dry_run ? 0 : copy(file, root, name, i->bytes);
    if (r < 0)
        return gr_error_set(e, r, GR_REASON_NONE,
                            "cannot copy %s to %s: %s; check its permissions, or give --source URL",
                            file, root, strerror(-r));
    return asprintf(ret_url, "file://%s/%s", root, name) < 0
               ? gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory")
               : 0;
}

static int parse_text(const char *what, const char *text, size_t len, cJSON **ret,
                      struct gr_error *e)
{
    int r = gr_json_parse(text, len, GR_DOCUMENT_BYTES_MAX, ret, e);
    if (r < 0)
        gr_error_wrap(e, "%s", what);
    return r;
}

static int read_strategy(const char *file, cJSON **ret, struct gr_error *e)
{
    GR_AUTO_BUF struct gr_buf text = GR_BUF(GR_DOCUMENT_BYTES_MAX);
    int r = gr_input_read(file, &text, e);
    return r < 0 ? r : parse_text(file, text.len ? text.data : "", text.len, ret, e);
}

// What the command line does not say stays as the present document has it.
static int keep_or_set(cJSON *document, const char *field, cJSON *take, const cJSON *before,
                       struct gr_error *e)
{
    const cJSON *old = gr_json_get(before, field);
    cJSON *value = take ? take : old ? cJSON_Duplicate(old, true) : NULL;
    if (!value || cJSON_AddItemToObject(document, field, value))
        return 0;
    cJSON_Delete(value);
    return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
}

// Steps of `--weight N`: so much of the traffic, a person looks, all of it. What else the strategy
// says stays.
static int set_weight(cJSON **strategy, const cJSON *before, const char *weight, struct gr_error *e)
{
    GR_AUTO_FREE char *steps = NULL;
    cJSON *list = NULL;
    if (!*weight || weight[strspn(weight, "0123456789.")])
        return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                            "--weight %.32s: expected a percentage, like 5 or 2.5", weight);
    if (!*strategy) {
        const cJSON *old = gr_json_get(before, "strategy");
        *strategy = cJSON_IsObject(old) ? cJSON_Duplicate(old, true) : cJSON_CreateObject();
    }
    if (!*strategy ||
        asprintf(&steps, "[{\"weight\":%s},{\"pause\":{}},{\"weight\":100}]", weight) < 0)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    int r = parse_text("--weight", steps, strlen(steps), &list, e);
    if (r < 0)
        return r;
    cJSON_DeleteItemFromObjectCaseSensitive(*strategy, "steps");
    cJSON_AddItemToObject(*strategy, "steps", list);
    return 0;
}

static int add_options(cJSON *document, const struct gr_args *args, const cJSON *before,
                       struct gr_error *e)
{
    const char *settings = gr_args_value(args, "module-config"),
               *strategy_file = gr_args_value(args, "strategy"),
               *weight = gr_args_value(args, "weight");
    cJSON *config = NULL;
    GR_AUTO_JSON cJSON *strategy = NULL;
    int r = settings ? parse_text("--module-config", settings, strlen(settings), &config, e) : 0;
    if (r >= 0)
        r = keep_or_set(document, "config", config, before, e);
    if (r >= 0 && strategy_file)
        r = read_strategy(strategy_file, &strategy, e);
    if (r >= 0 && weight)
        r = set_weight(&strategy, before, weight, e);
    return r < 0 ? r : keep_or_set(document, "strategy", gr_steal(strategy), before, e);
}

static int build(struct gr_cli *cli, const struct gr_args *args, const struct gr_inspection *i,
                 struct gr_docstore *store, struct gr_documents *d, struct gr_error *e)
{
    const char *sources[GR_ARGS_MAX];
    size_t n = gr_args_list(args, "source", sources, GR_ARGS_MAX);
    GR_AUTO_FREE char *copied = NULL;
    GR_AUTO_JSON cJSON *document = NULL, *before = NULL;
    GR_CLEANUP(gr_docstore_entry_done)
    struct gr_docstore_entry now = {.module = i->contract->module};
    int r = gr_docstore_get(store, &now, 1, e);
    if (r >= 0 && n == 0) {
        r = copy_to_root(cli, args->words[0], i, gr_args_has(args, "dry-run"), &copied, e);
        sources[n++] = copied;
    }
    if (r < 0)
        return r;
    before =
        now.value ? cJSON_Parse(now.value) : NULL; // parts of it are checked again with the whole
    document = gr_local_document(i, sources, n);
    if (!document)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory");
    r = add_options(document, args, before, e);
    return r < 0 ? r : gr_documents_add(d, &i->contract->module, gr_steal(document), e);
}

enum gr_exit gr_verb_publish(struct gr_cli *cli, const struct gr_args *args)
{
    GR_CLEANUP(gr_inspection_done) struct gr_inspection i = {0};
    GR_CLEANUP(gr_documents_done) struct gr_documents d = {0};
    GR_CLEANUP(gr_docstore_freep) struct gr_docstore *store = NULL;
    struct gr_error e = {0};
    if (inspect(args->words[0], &i, &e) < 0 || gr_docstore_open(cli, &store, &e) < 0 ||
        build(cli, args, &i, store, &d, &e) < 0)
        return gr_cli_fail(cli, &e);
    return gr_want(cli, args, &d, store);
}
