// Callers below, callees above; as wide as the share of samples. A module's colour comes from its
// name and version, the host and libraries are grey.
#include "cli/profile/flame.h"
#include <string.h>

#define WIDTH 1200.0
#define MARGIN 10.0
#define ROW 17
#define HEAD 58
#define FOOT 34
#define THINNEST 0.1 // pixels; what is narrower cannot be seen
#define GLYPH 6.6    // pixels of one character of the text

struct drawing {
    FILE *to;
    double per_sample; // pixels
    uint64_t all;
    unsigned rows;
};

static void text(FILE *to, const char *s)
{
    for (; *s; s++) {
        const char *entity = *s == '<'   ? "&lt;"
                             : *s == '>' ? "&gt;"
                             : *s == '&' ? "&amp;"
                             : *s == '"' ? "&quot;"
                                         : NULL;
        if (entity)
            fputs(entity, to);
        else
            putc((unsigned char)*s < 0x20 ? '?' : *s, to);
    }
}

static unsigned depth_of(const struct gr_call_node *n, double per_sample)
{
    unsigned deepest = 0;
    for (const struct gr_call_node *c = n->children; c; c = c->next)
        if ((double)c->total * per_sample >= THINNEST) {
            unsigned d = depth_of(c, per_sample);
            deepest = d > deepest ? d : deepest;
        }
    return deepest + 1;
}

static unsigned hash(const char *s)
{
    unsigned h = 2166136261u; // FNV-1a
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

// Two versions of a module lie apart on the circle of colours, which the eye tells from each other.
static void colour(const struct gr_call_node *n, char ret[48])
{
    unsigned shade = hash(n->function) % 12;
    if (*n->module)
        snprintf(ret, 48, "hsl(%u,70%%,%u%%)", hash(n->module) % 360, 58 + shade);
    else
        snprintf(ret, 48, "hsl(215,10%%,%u%%)", 72 + shade);
}

static void label(const struct drawing *d, const struct gr_call_node *n, double x, double width,
                  double y)
{
    size_t fits = width > 8 ? (size_t)((width - 6) / GLYPH) : 0, len = strlen(n->function);
    char shown[GR_SYMBOL_TEXT_MAX + 4];
    if (fits < 3)
        return;
    if (len > fits)
        snprintf(shown, sizeof shown, "%.*s..", (int)(fits - 2), n->function);
    else
        snprintf(shown, sizeof shown, "%s", n->function);
    fprintf(d->to, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + 12);
    text(d->to, shown);
    fputs("</text>", d->to);
}

static void draw(const struct drawing *d, const struct gr_call_node *n, double x, unsigned row)
{
    double width = (double)n->total * d->per_sample;
    double y = HEAD + (double)(d->rows - 1 - row) * ROW;
    char fill[48];
    if (width < THINNEST)
        return;
    colour(n, fill);
    fputs("<g><title>", d->to);
    text(d->to, n->function);
    if (*n->module) {
        fputs(" of ", d->to);
        text(d->to, n->module);
    }
    fprintf(d->to,
            ": %llu samples, %.2f %%, of them %llu in itself</title>"
            "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" rx=\"2\"/>",
            (unsigned long long)n->total, 100.0 * (double)n->total / (double)d->all,
            (unsigned long long)n->self, x, y, width, ROW - 1, fill);
    label(d, n, x, width, y);
    fputs("</g>\n", d->to);
    for (const struct gr_call_node *c = n->children; c; c = c->next) {
        draw(d, c, x, row + 1);
        x += (double)c->total * d->per_sample;
    }
}

void gr_flame_write(const struct gr_call_tree *t, const char *title, const char *subtitle, FILE *to)
{
    struct drawing d = {.to = to, .all = t->root.total ? t->root.total : 1};
    d.per_sample = (WIDTH - 2 * MARGIN) / (double)d.all;
    d.rows = depth_of(&t->root, d.per_sample);
    unsigned height = HEAD + d.rows * ROW + FOOT;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%u\" "
            "viewBox=\"0 0 %.0f %u\" role=\"img\" aria-labelledby=\"title about\">\n"
            "<title id=\"title\">",
            WIDTH, height, WIDTH, height);
    text(to, title);
    fputs("</title>\n<desc id=\"about\">", to);
    text(to, subtitle);
    fputs(
        ". Each bar is a function, as wide as its share of the samples, above the one that called "
        "it.</desc>\n<style>text{font:11px monospace;fill:#111}.head{font:bold 16px sans-serif}"
        ".small{font:12px sans-serif;fill:#444}g:hover rect{stroke:#111}</style>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text class=\"head\" x=\"10\" "
        "y=\"24\">",
        to);
    text(to, title);
    fputs("</text>\n<text class=\"small\" x=\"10\" y=\"44\">", to);
    text(to, subtitle);
    fputs("</text>\n", to);
    if (t->root.total > 0)
        draw(&d, &t->root, MARGIN, 0);
    fprintf(
        to,
        "<text class=\"small\" x=\"10\" y=\"%u\">coloured: functions of modules, a colour for "
        "each version; grey: the host and libraries. Point at a bar to read it.</text>\n</svg>\n",
        height - 12);
}
