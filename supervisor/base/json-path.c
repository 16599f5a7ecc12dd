// Writes paths into documents; keys are foreign text and never reach a message raw.
#include "base/json-path.h"
#include "base/utf8.h"
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

static void append(struct gr_json_path *p, const char *text, size_t len)
{
    static const char cut[] = "...";
    size_t room = sizeof p->text - 1 - p->len;
    if (p->full)
        return;
    p->full = len > room;
    len = p->full ? room : len;
    memcpy(p->text + p->len, text, len);
    p->len += len;
    if (p->full) {
        p->len = gr_utf8_floor(p->text, sizeof p->text - sizeof cut);
        memcpy(p->text + p->len, cut, strlen(cut));
        p->len += strlen(cut);
    }
    p->text[p->len] = '\0';
}

void gr_json_path_start(struct gr_json_path *p, const char *path)
{
    p->len = 0;
    p->full = false;
    append(p, path, strlen(path));
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_word(const char *key, size_t len)
{
    if (len == 0 || len > WORD_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_word_byte(key[i]))
            return false;
    return true;
}

void gr_json_path_key(struct gr_json_path *p, const char *key, size_t len)
{
    if (is_word(key, len)) {
        if (p->len > 0)
            append(p, ".", 1);
        append(p, key, len);
        return;
    }
    char shown[GR_SHOWN_MAX];
    gr_utf8_show(key, len, shown);
    append(p, "[", 1);
    append(p, shown, strlen(shown));
    append(p, "]", 1);
}

void gr_json_path_index(struct gr_json_path *p, size_t index)
{
    char text[32];
    int n = snprintf(text, sizeof text, "[%zu]", index);
    append(p, text, (size_t)n);
}
