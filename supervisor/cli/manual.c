// Writes grayctl(1) from the table of verbs, and grayling.conf(5) from the configuration's keys.
#include "cli/manual.h"
#include "control/config-doc.h"
#include <string.h>

#define DATE "November 26, 2026" // of the last change of these texts: two builds are equal
#define COLUMNS 76

// --- mdoc
// -----------------------------------------------------------------------------------------

static void put(FILE *to, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\\')
            fputs("\\e", to);
        else if (text[i] == '-' || text[i] == '\'' || text[i] == '"')
            fputs(text[i] == '-' ? "\\-" : text[i] == '"' ? "\\(dq" : "\\(aq", to);
        else
            fputc(text[i], to);
}

// Text in lines of some length; none begins with what roff takes for a request.
static void put_text(FILE *to, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " "), shown = len;
        bool ends = len && strchr(".?!", text[len - 1]);
        if (column && column + 1 + shown > COLUMNS) {
            fputc('\n', to);
            column = 0;
        } else if (column) {
            fputc(' ', to);
        }
        if (!column && *text == '.')
            fputs("\\&", to);
        put(to, text, len);
        text += len;
        text += strspn(text, " ");
        column = ends && *text ? 0 : column + shown + 1; // a new sentence begins a new line
        if (ends && *text)
            fputc('\n', to);
    }
    fputc('\n', to);
}

// Words on a line of macros: each is protected from being read as a macro.
static void put_words(FILE *to, const char *text)
{
    for (; *text; text += strspn(text, " ")) {
        size_t len = strcspn(text, " ");
        fputs(" \\&", to);
        put(to, text, len);
        text += len;
    }
}

static void put_literal(FILE *to, const char *lines)
{
    fputs(".Bd -literal -offset indent -compact\n", to);
    while (*lines) {
        size_t len = strcspn(lines, "\n"), blank = strspn(lines, " ");
        fputs(lines[blank] == '.' ? "\\&" : "", to);
        put(to, lines + blank, len > blank ? len - blank : 0);
        fputc('\n', to);
        lines += len + (lines[len] == '\n');
    }
    fputs(".Ed\n", to);
}

static void put_head(FILE *to, const char *title, int section, const char *name, const char *what)
{
    fprintf(to, ".\\\" Made from a table of the program; do not edit.\n.Dd " DATE "\n.Dt %s %d\n",
            title, section);
    fprintf(to, ".Os Grayling\n.Sh NAME\n.Nm %s\n.Nd %s\n", name, what);
}

// --- grayctl(1)
// -----------------------------------------------------------------------------------

static void put_options(FILE *to, const struct gr_option *o)
{
    fputs(".Bl -tag -width Ds\n", to);
    for (; o->name; o++) {
        fputs(".It", to);
        if (o->letter)
            fprintf(to, " Fl %c ,", o->letter);
        fputs(" Fl \\-", to);
        put(to, o->name, strlen(o->name));
        if (o->value) {
            fputs(" Ar", to);
            put_words(to, o->value);
        }
        fputc('\n', to);
        put_text(to, o->help);
    }
    fputs(".El\n", to);
}

static void put_exits(FILE *to, unsigned exits)
{
    char line[256] = "Ends with 0, 1, 2";
    for (int i = GR_EXIT_NOT_FOUND; i <= GR_EXIT_UNREACHABLE; i++)
        if (exits & GR_EXITS(i))
            sprintf(line + strlen(line), ", %d", i);
    strcat(line, " or 130.");
    put_text(to, line);
}

static void put_verb(FILE *to, const struct gr_verb *v)
{
    char summary[256];
    fputs(".It Cm", to);
    put_words(to, v->name);
    if (*v->words) {
        fputs(" Ar", to);
        put_words(to, v->words);
    }
    snprintf(summary, sizeof summary, "%s.", v->summary);
    fputc('\n', to);
    put_text(to, summary);
    if (v->options)
        put_options(to, v->options);
    if (v->examples) {
        fputs(".Pp\n", to);
        put_literal(to, v->examples);
        fputs(".Pp\n", to);
    }
    put_exits(to, v->exits);
}

static void put_statuses(FILE *to)
{
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n", to);
    for (int i = 0; i <= GR_EXIT_INTERRUPTED; i++)
        if (gr_exit_meaning(i))
            fprintf(to, ".It %d\n%s\n", i, gr_exit_meaning(i));
    fputs(".El\n", to);
    put_text(to, "With -o json an output says what it is by apiVersion and kind, the verb; "
                 "grayctl-v1.schema.json in share/grayling/schema describes each.");
}

void gr_manual_grayctl(FILE *to, const struct gr_verb *verbs, size_t n)
{
    put_head(to, "GRAYCTL", 1, "grayctl", "what runs on this host, and what should");
    fputs(".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar argument ...\n.Op Ar option ...\n"
          ".Sh DESCRIPTION\n",
          to);
    put_text(to,
             "Speaks to the control socket of graylingd(8) for what this host does, and to etcd "
             "for what the fleet should do. Data goes to standard output, talk to standard "
             "error. Every write shows what changed and the next command.");
    fputs(".Sh VERBS\n.Bl -tag -width Ds\n", to);
    for (size_t i = 0; i < n; i++)
        put_verb(to, &verbs[i]);
    fputs(".El\n.Sh OPTIONS\nOptions of every verb, before or after it:\n", to);
    put_options(to, gr_shared_options);
    fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n.It Ev GRAYLING_CONTROL\n"
          "As\n.Fl \\-control .\n.It Ev GRAYLING_CONFIG\nAs\n.Fl \\-config .\n"
          ".It Ev NO_COLOR\nNo colour when it is not empty.\n"
          ".It Ev LC_ALL , LC_CTYPE , LANG\nWithout UTF\\-8 only ASCII is shown.\n"
          ".It Ev GRAYLING_LIBEXEC\nWhere the programs of the daemon are.\n"
          ".It Ev GRAYLING_DRILLS , GRAYLING_MODULES\nDirectories of the drills, and of the builds "
          "that drills put.\n"
          ".It Ev XDG_STATE_HOME , HOME\nResults of drills are kept below.\n"
          ".It Ev SUDO_USER\nWho gives an order, when it is set; else the user's name.\n"
          ".It Ev TMPDIR\nWhere\n.Cm drill run\nand\n.Cm module run\nmake their instances.\n"
          ".It Ev PATH\nWhere graylingd is looked for when it is not beside grayctl, and "
          "protoc.\n.El\n"
          ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/grayling/grayling.conf\n"
          "Configuration of the daemon, which says where socket and etcd are.\n"
          ".It Pa /run/grayling/control.sock\nThe control socket.\n.El\n",
          to);
    put_statuses(to);
    fputs(".Sh SEE ALSO\n.Xr grayling.conf 5 ,\n.Xr grayling 7 ,\n.Xr graylingd 8\n", to);
}

// --- grayling.conf(5)
// -----------------------------------------------------------------------------

static void put_key(FILE *to, const struct gr_config_doc *doc)
{
    char line[512];
    fprintf(to, ".It Ic %s Ns =\n", doc->name);
    put_text(to, doc->text);
    snprintf(line, sizeof line, "Value: %s.", doc->value);
    put_text(to, line);
    snprintf(line, sizeof line, "Default: %s.", *doc->otherwise ? doc->otherwise : "(empty)");
    put_text(to, line);
}

void gr_manual_config(FILE *to)
{
    const struct gr_config_doc *doc;
    const char *section = "";
    put_head(to, "GRAYLING.CONF", 5, "grayling.conf", "configuration of graylingd");
    fputs(".Sh SYNOPSIS\n.Pa /etc/grayling/grayling.conf\n.br\n"
          ".Pa /etc/grayling/grayling.conf.d/*.conf\n.Sh DESCRIPTION\n",
          to);
    put_text(to,
             "Sections, keys and values as in systemd.syntax(7). The file is read first, then "
             "the drop-ins in the order of their names, then --set of the command line; a later "
             "value replaces an earlier one. Unknown keys and bad values are refused with file and "
             "line. Durations are written like 30s, 5m or 1h30m.");
    fputs(
        ".Pp\n.Ql grayctl config check\nsays whether it is good,\n.Ql grayctl config cat\n"
        "shows the merge and where each value is from.\n"
        "A reload\n.Pq Dv SIGHUP\ntakes over what [Artifacts] says; other keys take effect at the "
        "next start.\n",
        to);
    for (size_t i = 0; (doc = gr_config_doc(i)); i++) {
        if (strcmp(section, doc->section))
            fprintf(to, "%s.Sh [%s]\n.Bl -tag -width Ds\n", *section ? ".El\n" : "", doc->section);
        section = doc->section;
        put_key(to, doc);
    }
    fputs(".El\n.Sh EXAMPLES\n", to);
    put_literal(to, "[Service]\nName=order\n[Source]\nEtcd=http://127.0.0.1:2379\n"
                    "[Dispatch]\nListen=127.0.0.1:8080\n");
    fputs(".Sh SEE ALSO\n.Xr grayctl 1 ,\n.Xr grayling 7 ,\n.Xr graylingd 8\n", to);
}
