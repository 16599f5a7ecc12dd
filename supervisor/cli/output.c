// Renders JSON values for people and for programs.
#include "cli/output.h"
#include "base/digest.h"
#include "base/json.h"
#include "control/view-json.h"
#include <string.h>

#define CELL_MAX 1200 // a whole message fits

const cJSON *gr_output_find(const cJSON *object, const char *path)
{
    char part[64];
    while (object && *path) {
        size_t len = strcspn(path, ".");
        if (len >= sizeof part)
            return NULL;
        memcpy(part, path, len);
        part[len] = '\0';
        object = gr_json_get(object, part);
        path += len + (path[len] == '.');
    }
    return object;
}

const char *gr_output_text(const cJSON *object, const char *path)
{
    const cJSON *value = gr_output_find(object, path);
    return cJSON_IsString(value) ? value->valuestring : "";
}

// Numbers of JSON that came through cJSON stay below 2^53.
static void format_number(enum gr_cell cell, double n, char text[CELL_MAX])
{
    if (cell == GR_CELL_USEC && n < 1e3)
        snprintf(text, CELL_MAX, "%.3gus", n);
    else if (cell == GR_CELL_USEC && n < 1e6)
        snprintf(text, CELL_MAX, "%.3gms", n / 1e3);
    else if (cell == GR_CELL_USEC)
        snprintf(text, CELL_MAX, "%.4gs", n / 1e6);
    else if (cell == GR_CELL_PERCENT)
        snprintf(text, CELL_MAX, "%g%%", n);
    else if (n == (double)(int64_t)n) // revisions of a directory have 16 digits
        snprintf(text, CELL_MAX, "%.0f", n);
    else
        snprintf(text, CELL_MAX, "%.6g", n);
}

// "-" for what is not there. Control characters of foreign text do not reach the terminal.
static void format_cell(const struct gr_column *c, const cJSON *row, char text[CELL_MAX])
{
    const cJSON *value = gr_output_find(row, c->path);
    snprintf(text, CELL_MAX, "-");
    if (cJSON_IsNumber(value))
        format_number(c->cell, value->valuedouble, text);
    else if (cJSON_IsBool(value))
        snprintf(text, CELL_MAX, "%s", cJSON_IsTrue(value) ? "yes" : "no");
    else if (cJSON_IsString(value) && *value->valuestring)
        snprintf(text, CELL_MAX, "%s", value->valuestring);
    if (c->cell == GR_CELL_HASH && strlen(text) > 23)
        text[strlen("sha256:") + 16] = '\0'; // what file names in the store show
    if (c->cell == GR_CELL_TIME && strlen(text) == strlen("2026-11-24T05:06:07.123456Z"))
        strcpy(text + strlen("2026-11-24T05:06:07"), "Z");
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

static size_t width_of(const char *text) // characters, not bytes
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static const char *color_of(const struct gr_cli *cli, const struct gr_column *c, const char *text)
{
    static const struct {
        const char *word, *color;
    } colors[] = {
        {"Healthy", "\033[32m"},    {"Serving", "\033[32m"},     {"Progressing", "\033[36m"},
        {"Baking", "\033[36m"},     {"Paused", "\033[33m"},      {"Degraded", "\033[31m"},
        {"RolledBack", "\033[31m"}, {"RollingBack", "\033[31m"}, {"Rejected", "\033[31m"},
    };
    for (size_t i = 0; cli->color && c->cell == GR_CELL_PHASE && i < GR_COUNT(colors); i++)
        if (!strcmp(colors[i].word, text))
            return colors[i].color;
    return NULL;
}

static void print_cell(struct gr_cli *cli, const struct gr_column *c, const char *text,
                       size_t width, bool last)
{
    const char *color = color_of(cli, c, text);
    size_t used = width_of(text);
    fprintf(cli->out, "%s%s%s", color ? color : "", text, color ? "\033[0m" : "");
    if (last)
        fputc('\n', cli->out);
    else
        fprintf(cli->out, "%*s", (int)(used < width ? width - used + 2 : 2), "");
}

static void print_table(struct gr_cli *cli, const cJSON *list, const struct gr_column *columns,
                        size_t n, struct gr_output_table *t)
{
    const struct gr_column *shown[GR_OUTPUT_COLUMNS_MAX];
    size_t m = 0;
    char text[CELL_MAX];
    const cJSON *row;
    for (size_t i = 0; i < n && m < GR_OUTPUT_COLUMNS_MAX; i++)
        if (!columns[i].wide || cli->format == GR_FORMAT_WIDE)
            shown[m++] = &columns[i];
    for (size_t i = 0; i < m; i++)
        if (width_of(shown[i]->title) > t->width[i])
            t->width[i] = width_of(shown[i]->title);
    cJSON_ArrayForEach(row, list) for (size_t i = 0; i < m; i++)
    {
        format_cell(shown[i], row, text);
        if (width_of(text) > t->width[i])
            t->width[i] = width_of(text);
    }
    const struct gr_column plain = {0};
    for (size_t i = 0; i < m && !t->begun; i++)
        print_cell(cli, &plain, shown[i]->title, t->width[i], i + 1 == m);
    t->begun = true;
    cJSON_ArrayForEach(row, list) for (size_t i = 0; i < m; i++)
    {
        format_cell(shown[i], row, text);
        print_cell(cli, shown[i], text, t->width[i], i + 1 == m);
    }
}

// What a program reads says what it is: apiVersion, and as kind the verb. A list becomes "items".
static cJSON *envelope(const struct gr_cli *cli, const cJSON *value)
{
    cJSON *o = cJSON_CreateObject(), *rest = cJSON_Duplicate(value, true);
    cJSON_AddStringToObject(o, "apiVersion", GR_API_VERSION);
    if (cli->kind && !gr_json_get(rest, "kind"))
        cJSON_AddStringToObject(o, "kind", cli->kind);
    if (!cJSON_IsObject(rest)) {
        cJSON_AddItemToObject(o, "items", rest);
        return o;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(rest, "apiVersion");
    while (rest->child) {
        cJSON *one = cJSON_DetachItemViaPointer(rest, rest->child);
        GR_AUTO_FREE char *name = strdup(one->string);
        cJSON_AddItemToObject(o, name ? name : "", one);
    }
    cJSON_Delete(rest);
    return o;
}

void gr_output_json(struct gr_cli *cli, const cJSON *value)
{
    GR_AUTO_JSON cJSON *whole = envelope(cli, value);
    char *text =
        cli->format == GR_FORMAT_JSON ? gr_json_format_pretty(whole) : gr_json_format(whole);
    if (text)
        fprintf(cli->out, "%s\n", text);
    free(text);
}

static void print_name(struct gr_cli *cli, const cJSON *object, const char *path)
{
    char text[CELL_MAX];
    format_cell(&(struct gr_column){.path = path}, object, text);
    fprintf(cli->out, "%s\n", text);
}

void gr_output_part(struct gr_cli *cli, const cJSON *list, const struct gr_column *columns,
                    size_t n, const char *name_path, struct gr_output_table *t)
{
    const cJSON *row;
    switch (cli->format) {
    case GR_FORMAT_JSON:
        gr_output_json(cli, list);
        return;
    case GR_FORMAT_JSONL:
        cJSON_ArrayForEach(row, list) gr_output_json(cli, row);
        return;
    case GR_FORMAT_NAME:
        cJSON_ArrayForEach(row, list) print_name(cli, row, name_path);
        return;
    case GR_FORMAT_TABLE:
    case GR_FORMAT_WIDE:
        print_table(cli, list, columns, n, t);
        return;
    }
}

void gr_output_list(struct gr_cli *cli, const cJSON *list, const struct gr_column *columns,
                    size_t n, const char *name_path)
{
    struct gr_output_table t = {0};
    gr_output_part(cli, list, columns, n, name_path, &t);
}

static void print_lines(struct gr_cli *cli, const cJSON *object, const struct gr_column *columns,
                        size_t n)
{
    size_t width = 0;
    char text[CELL_MAX];
    for (size_t i = 0; i < n; i++)
        if (width_of(columns[i].title) > width)
            width = width_of(columns[i].title);
    for (size_t i = 0; i < n; i++) {
        const cJSON *value = gr_output_find(object, columns[i].path);
        if (!value || cJSON_IsNull(value) || (columns[i].wide && cli->format != GR_FORMAT_WIDE))
            continue;
        format_cell(&columns[i], object, text);
        fprintf(cli->out, "%s:%*s", columns[i].title, (int)(width - width_of(columns[i].title) + 1),
                "");
        print_cell(cli, &columns[i], text, 0, true);
    }
}

void gr_output_object(struct gr_cli *cli, const cJSON *object, const struct gr_column *columns,
                      size_t n, const char *name_path)
{
    switch (cli->format) {
    case GR_FORMAT_JSON:
    case GR_FORMAT_JSONL:
        gr_output_json(cli, object);
        return;
    case GR_FORMAT_NAME:
        print_name(cli, object, name_path);
        return;
    case GR_FORMAT_TABLE:
    case GR_FORMAT_WIDE:
        print_lines(cli, object, columns, n);
        return;
    }
}
