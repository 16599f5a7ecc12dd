// module new NAME: a project that builds, from the template that the build put into this program.
#include "base/json.h"
#include "base/macros.h"
#include "base/name.h"
#include "cli/output.h"
#include "cli/template-files.h"
#include "cli/verbs.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// "first-try" -> "firsttry": part of an interface's name.
static void interface_of(const char *module, char ret[GR_NAME_MAX + 2])
{
    size_t n = 0;
    if (isdigit((unsigned char)*module))
        ret[n++] = 'm';
    for (; *module; module++)
        if (isalnum((unsigned char)*module))
            ret[n++] = *module;
    ret[n] = '\0';
}

static void fill_in(FILE *to, const char *text, const char *module, const char *interface)
{
    static const char module_mark[] = "@MODULE@", interface_mark[] = "@INTERFACE@";
    while (*text) {
        size_t plain = strcspn(text, "@");
        fwrite(text, 1, plain, to);
        text += plain;
        if (!strncmp(text, module_mark, strlen(module_mark))) {
            fputs(module, to);
            text += strlen(module_mark);
        } else if (!strncmp(text, interface_mark, strlen(interface_mark))) {
            fputs(interface, to);
            text += strlen(interface_mark);
        } else if (*text) {
            fputc(*text++, to);
        }
    }
}

static int write_file(int dir, const struct gr_embedded_file *file, const char *module)
{
    char interface[GR_NAME_MAX + 2];
    int fd = openat(dir, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
    if (!to) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    interface_of(module, interface);
    fill_in(to, file->text, module, interface);
    return fclose(to) == 0 ? 0 : -errno;
}

static int make(const char *module, struct gr_error *e)
{
    if (mkdir(module, 0755) < 0 && errno == EEXIST)
        return gr_error_set(e, -EEXIST, GR_REASON_NONE,
                            "%s is there already and nothing in it was changed; take another name",
                            module);
    GR_AUTO_CLOSE int dir = open(module, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = dir < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < gr_n_template_files; i++)
        r = write_file(dir, &gr_template_files[i], module);
    return r < 0 ? gr_error_set(e, r, GR_REASON_INTERNAL,
                                "%s could not be written: %s; make room, or go where you may write",
                                module, strerror(-r))
                 : 0;
}

static int check_options(const struct gr_args *args, struct gr_error *e)
{
    for (const struct gr_option *o = args->verb->options; o->name; o++)
        if (gr_args_has(args, o->name))
            return gr_error_set(e, -EINVAL, GR_REASON_NONE,
                                "module new takes no --%s; that is for module run", o->name);
    return 0;
}

static void print_made(struct gr_cli *cli, const char *module)
{
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE)
        return;
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "event", "made");
    cJSON_AddStringToObject(o, "module", module);
    cJSON *files = cJSON_AddArrayToObject(o, "files");
    for (size_t i = 0; i < gr_n_template_files; i++)
        cJSON_AddItemToArray(files, cJSON_CreateString(gr_template_files[i].name));
    gr_output_object(cli, o, NULL, 0, "module");
}

enum gr_exit gr_verb_module(struct gr_cli *cli, const struct gr_args *args)
{
    if (!strcmp(args->words[0], "run"))
        return gr_verb_module_run(cli, args);
    const char *module = args->words[1];
    struct gr_name name;
    struct gr_error e = {0};
    int r = check_options(args, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    r = gr_name_parse(module, strlen(module), &name);
    if (r < 0)
        gr_error_set(&e, -EINVAL, GR_REASON_NONE,
                     "%.80s is no module's name; expected a-z, 0-9, '.', '_' and '-', at most 64, "
                     "beginning with a letter or digit",
                     module);
    else
        r = make(module, &e);
    if (r < 0)
        return gr_cli_fail(cli, &e);
    print_made(cli, module);
    gr_cli_say(cli,
               "%s/ is made; next: cmake -S %s -B %s/build && cmake --build %s/build && ctest "
               "--test-dir %s/build && grayctl module run %s/build/modules/%s-1.0.0.so",
               module, module, module, module, module, module, module);
    return GR_EXIT_OK;
}
