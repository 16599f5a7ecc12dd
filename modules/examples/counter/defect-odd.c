// Hooks and increments that go wrong in ways that a process of its own shall contain:
// {"export": "crash|die|hang|huge", "import": "crash|die|hang", "call": "crash|die|hang"}.
#include "counter.h"
#include <string.h>
#include <unistd.h>

#define HUGE_BYTES (UINT64_C(2) << 30)

static const char *const names[] = {"", "crash", "die", "hang", "huge"};
enum { SOUND, CRASH, DIE, HANG, HUGE };

static int *volatile nowhere;
static const char *volatile nothing = (const char *)16;
static volatile size_t length;

static bool choose(const struct json_field *f, uint64_t *ret)
{
    *ret = SOUND;
    for (uint64_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(f->text, names[i]) == 0)
            *ret = i;
    return !f->present || *ret != SOUND;
}

bool defect_configure(struct counter *c, const struct grayling_bytes *config,
                      char why[JSON_WHY_MAX])
{
    struct json_field fields[] = {{.name = "export", .type = JSON_TEXT},
                                  {.name = "import", .type = JSON_TEXT},
                                  {.name = "call", .type = JSON_TEXT}};
    if (!json_read(config->data, config->size, fields, 3, JSON_REFUSE_UNKNOWN, why))
        return false;
    if (choose(&fields[0], &c->odd_export) && choose(&fields[1], &c->odd_import) &&
        choose(&fields[2], &c->odd_call))
        return true;
    strcpy(why, "export, import and call are crash, die, hang or huge.");
    return false;
}

static void misbehave(uint64_t how)
{
    if (how == CRASH)
        *nowhere = 1;
    if (how == DIE) // in the C library, where no guard looks
        length = strlen(nothing);
    while (how == HANG)
        pause();
}

int32_t defect_of_hook(struct counter *c, struct grayling_state *out)
{
    misbehave(out ? c->odd_export : c->odd_import);
    if (out && c->odd_export == HUGE)
        out->bytes = (struct grayling_bytes){c, HUGE_BYTES};
    return GRAYLING_OK;
}

int32_t defect_of_call(struct counter *c)
{
    misbehave(c->odd_call);
    return GRAYLING_OK;
}
