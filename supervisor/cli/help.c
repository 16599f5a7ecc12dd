// Help, generated from the table of verbs.
#include "cli/cli.h"

static void print_options(FILE *to, const struct gr_option *o)
{
    for (; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        fprintf(to, "  %-28s %s\n", left, o->help);
    }
}

const char *gr_exit_meaning(int status)
{
    switch (status) {
    case GR_EXIT_OK:
        return "ok";
    case GR_EXIT_INTERNAL:
        return "internal";
    case GR_EXIT_USAGE:
        return "usage";
    case GR_EXIT_NOT_FOUND:
        return "not found";
    case GR_EXIT_DEGRADED:
        return "degraded or rolled back";
    case GR_EXIT_REFUSED:
        return "refused";
    case GR_EXIT_TIMED_OUT:
        return "timed out";
    case GR_EXIT_UNREACHABLE:
        return "etcd or daemon unreachable";
    case GR_EXIT_INTERRUPTED:
        return "interrupted";
    default:
        return NULL;
    }
}

static void print_exits(FILE *to, const struct gr_verb *v)
{
    fprintf(to, "\nExit status: 0 ok, 1 internal, 2 usage");
    for (int i = GR_EXIT_NOT_FOUND; i <= GR_EXIT_UNREACHABLE; i++)
        if (v->exits & GR_EXITS(i))
            fprintf(to, ", %d %s", i, gr_exit_meaning(i));
    fprintf(to, "\n");
}

void gr_help_overview(FILE *to, const struct gr_verb *verbs, size_t n)
{
    fprintf(to, "grayctl: what runs on this host, and what should\n\nUsage: grayctl VERB "
                "[ARGUMENT]... [OPTION]...\n\n");
    for (size_t i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", verbs[i].name, verbs[i].words);
        fprintf(to, "  %-38s %s\n", left, verbs[i].summary);
    }
    fprintf(to, "\nOptions of every verb:\n");
    print_options(to, gr_shared_options);
    fprintf(to, "\nExit status: 0 ok, 1 internal, 2 usage, 3 not found, 4 degraded or rolled back, "
                "5 refused,\n"
                "6 timed out, 7 etcd or daemon unreachable, 130 interrupted. grayctl VERB --help "
                "shows examples.\n");
}

void gr_help_verb(FILE *to, const struct gr_verb *v)
{
    fprintf(to, "Usage: grayctl %s %s\n\n%s.\n", v->name, v->words, v->summary);
    if (v->options) {
        fprintf(to, "\nOptions:\n");
        print_options(to, v->options);
    }
    fprintf(to, "\nOptions of every verb:\n");
    print_options(to, gr_shared_options);
    if (v->examples)
        fprintf(to, "\nExamples:\n%s", v->examples);
    print_exits(to, v);
}
