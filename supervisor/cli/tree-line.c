// Builds one line of the tree and cuts it to the screen.
#include "cli/tree-line.h"
#include "base/macros.h"
#include <string.h>

#define RESET "\033[0m"

// What the tree itself writes, and ASCII for it.
static const struct {
    const char *utf8, *ascii;
} ascii_of[] = {
    {"✔", "+"},     {"◌", "o"},  {"‖", "="}, {"✖", "x"}, {"⟳", "*"}, {"├─ ", "|- "}, {"│  ", "|  "},
    {"└─ ", "`- "}, {"→", "->"}, {"×", "x"}, {"−", "-"}, {"Δ", "d"}, {"…", ".."},    {"µ", "u"},
};

static void put(struct gr_tree_line *l, const char *bytes, size_t len, size_t width)
{
    if (l->len + len >= sizeof l->text)
        return;
    memcpy(l->text + l->len, bytes, len);
    l->len += len;
    l->width += width;
}

// Of the character at `text`; 1 for a byte that is none.
static size_t bytes_of(const char *text)
{
    size_t n = 1;
    while (((unsigned char)text[n] & 0xc0) == 0x80 && n < 4)
        n++;
    return n;
}

static const char *in_ascii(const char *text, size_t *ret_len)
{
    for (size_t i = 0; i < GR_COUNT(ascii_of); i++)
        if (!strncmp(text, ascii_of[i].utf8, strlen(ascii_of[i].utf8))) {
            *ret_len = strlen(ascii_of[i].utf8);
            return ascii_of[i].ascii;
        }
    *ret_len = bytes_of(text);
    return "?";
}

void gr_tree_add(struct gr_tree_line *l, const char *text)
{
    while (*text) {
        size_t len = bytes_of(text);
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            put(l, " ", 1, 1);
        else if (l->style->utf8 || (unsigned char)*text < 0x80)
            put(l, text, len, 1);
        else {
            const char *ascii = in_ascii(text, &len);
            put(l, ascii, strlen(ascii), strlen(ascii));
        }
        text += len;
    }
}

void gr_tree_add_mark(struct gr_tree_line *l, enum gr_mark mark, const char *word)
{
    static const char *const marks[] = {"", "✔ ", "◌ ", "‖ ", "✖ ", "⟳ "};
    static const char *const colors[] = {"", "\033[32m", "\033[36m", "\033[33m", "\033[31m", ""};
    bool colored = l->style->color && *colors[mark];
    if (colored)
        put(l, colors[mark], strlen(colors[mark]), 0);
    gr_tree_add(l, marks[mark]);
    gr_tree_add(l, word);
    if (colored)
        put(l, RESET, strlen(RESET), 0);
}

void gr_tree_pad(struct gr_tree_line *l, size_t width)
{
    while (l->width < width && l->len + 1 < sizeof l->text)
        put(l, " ", 1, 1);
}

size_t gr_tree_width(const struct gr_tree_style *style, const char *text)
{
    struct gr_tree_line l = {.style = style};
    gr_tree_add(&l, text);
    return l.width;
}

// Bytes of the first `columns` characters that are seen; colours between them count nothing.
static size_t prefix_of(const struct gr_tree_line *l, size_t columns, bool *ret_colored)
{
    size_t at = 0;
    *ret_colored = false;
    for (size_t seen = 0; at < l->len;) {
        if (l->text[at] == '\033') {
            const char *end = memchr(l->text + at, 'm', l->len - at);
            *ret_colored = strncmp(l->text + at, RESET, strlen(RESET)) != 0;
            at = end ? (size_t)(end - l->text) + 1 : l->len;
            continue;
        }
        if (seen++ == columns)
            break;
        at += bytes_of(l->text + at);
    }
    return at;
}

void gr_tree_flush(struct gr_tree_line *l, FILE *to)
{
    const char *more = l->style->utf8 ? "…" : "..";
    size_t more_width = l->style->utf8 ? 1 : 2, columns = l->style->columns;
    bool colored;
    while (l->len && l->text[l->len - 1] == ' ') {
        l->len--;
        l->width--;
    }
    if (columns > more_width && l->width > columns) {
        l->len = prefix_of(l, columns - more_width, &colored);
        fprintf(to, "%.*s%s%s\n", (int)l->len, l->text, colored ? RESET : "", more);
    } else {
        fprintf(to, "%.*s\n", (int)l->len, l->text);
    }
    l->len = l->width = 0;
}
