// Keeps what a gray release has reached as one JSON text in its rollout's row. Pure.
#include "base/json.h"
#include "state/journal-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 16384 // names of people and the sentence of a door are the longest parts

const char *gr_hold_name(enum gr_hold h)
{
    static const char *const names[] = {
#define X(id, text) text,
        GR_HOLDS(X)
#undef X
    };
    return (unsigned)h < GR_COUNT(names) ? names[h] : "?";
}

const char *gr_door_name(enum gr_door d)
{
    static const char *const names[] = {
        [GR_DOOR_NONE] = "", [GR_DOOR_CLOSED] = "closed", [GR_DOOR_OPEN] = "open"};
    return (unsigned)d < GR_COUNT(names) ? names[d] : "?";
}

// --- writing -------------------------------------------------------------------------------------

static bool add_order(cJSON *o, const struct gr_order_row *order)
{
    cJSON *j = order->verb[0] ? cJSON_AddObjectToObject(o, "order") : NULL;
    return !order->verb[0] || (j && cJSON_AddStringToObject(j, "verb", order->verb) &&
                               cJSON_AddStringToObject(j, "actor", order->actor) &&
                               cJSON_AddStringToObject(j, "reason", order->reason) &&
                               cJSON_AddNumberToObject(j, "step", (double)order->step) &&
                               cJSON_AddNumberToObject(j, "at", (double)order->at.usec));
}

char *gr_gray_row_format(const struct gr_gray_row *g)
{
    char salt[17]; // 64 bits do not fit a JSON number
    snprintf(salt, sizeof salt, "%016" PRIx64, g->salt);
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    bool ok = o && cJSON_AddStringToObject(o, "salt", salt) &&
              cJSON_AddNumberToObject(o, "weight", g->weight_permyriad) &&
              cJSON_AddNumberToObject(o, "shadow", g->shadow_permyriad) &&
              cJSON_AddNumberToObject(o, "deadline_left", (double)g->deadline_left_usec) &&
              cJSON_AddNumberToObject(o, "pause_left", (double)g->pause_left_usec) &&
              cJSON_AddNumberToObject(o, "pause_requests", (double)g->pause_requests_left) &&
              cJSON_AddStringToObject(o, "hold", gr_hold_name(g->hold)) &&
              cJSON_AddStringToObject(o, "held_by", g->held_by) &&
              cJSON_AddBoolToObject(o, "full", g->full) &&
              cJSON_AddBoolToObject(o, "overruled", g->overruled) &&
              cJSON_AddBoolToObject(o, "swapped", g->swapped) &&
              (!g->door || (cJSON_AddStringToObject(o, "door", gr_door_name(g->door)) &&
                            cJSON_AddStringToObject(o, "door_why", g->door_why))) &&
              add_order(o, &g->order);
    return ok ? gr_json_format(o) : NULL;
}

// --- reading -------------------------------------------------------------------------------------

static int get_text(const cJSON *o, const char *field, char *buf, size_t cap)
{
    const char *text = "";
    int k = gr_json_string(o, "", field, GR_JSON_REQUIRED, &text, NULL);
    if (k == 0 && strlen(text) >= cap)
        k = -EINVAL;
    if (k == 0)
        memcpy(buf, text, strlen(text) + 1);
    return k;
}

static int get_number(const cJSON *o, const char *field, uint64_t max, uint64_t *ret)
{
    return gr_json_uint(o, "", field, GR_JSON_REQUIRED, 0, max, ret, NULL);
}

static int get_order(const cJSON *o, struct gr_order_row *order)
{
    uint64_t step = 0, at = 0;
    if (!o)
        return 0;
    int k = get_text(o, "verb", order->verb, sizeof order->verb);
    if (k == 0)
        k = get_text(o, "actor", order->actor, sizeof order->actor);
    if (k == 0)
        k = get_text(o, "reason", order->reason, sizeof order->reason);
    if (k == 0)
        k = get_number(o, "step", GR_STEPS_MAX, &step);
    if (k == 0)
        k = get_number(o, "at", INT64_C(1) << 53, &at);
    order->step = (int64_t)step;
    order->at.usec = (int64_t)at;
    return k;
}

static int get_hold(const cJSON *o, enum gr_hold *ret)
{
    char text[16];
    int k = get_text(o, "hold", text, sizeof text);
    for (unsigned h = 0; k == 0 && h < GR_HOLD_COUNT; h++)
        if (strcmp(gr_hold_name((enum gr_hold)h), text) == 0) {
            *ret = (enum gr_hold)h;
            return 0;
        }
    return -EINVAL;
}

// Rows of before there were doors have none.
static int get_door(const cJSON *o, struct gr_gray_row *g)
{
    char text[16];
    if (!gr_json_get(o, "door"))
        return 0;
    int k = get_text(o, "door", text, sizeof text);
    if (k == 0)
        k = get_text(o, "door_why", g->door_why, sizeof g->door_why);
    for (unsigned d = GR_DOOR_CLOSED; k == 0 && d < GR_DOOR_COUNT; d++)
        if (strcmp(gr_door_name((enum gr_door)d), text) == 0) {
            g->door = (enum gr_door)d;
            return 0;
        }
    return -EINVAL;
}

static int get_salt(const cJSON *o, uint64_t *ret)
{
    char text[17], *end = NULL;
    int k = get_text(o, "salt", text, sizeof text);
    if (k == 0 && strspn(text, "0123456789abcdef") != 16)
        k = -EINVAL;
    if (k == 0)
        *ret = strtoull(text, &end, 16);
    return k;
}

static int get_all(const cJSON *o, struct gr_gray_row *g)
{
    const uint64_t most = UINT64_C(1) << 53;
    uint64_t weight = 0, shadow = 0;
    int k = get_salt(o, &g->salt);
    if (k == 0)
        k = get_number(o, "weight", 10000, &weight);
    if (k == 0)
        k = get_number(o, "shadow", 10000, &shadow);
    if (k == 0)
        k = get_number(o, "deadline_left", most, &g->deadline_left_usec);
    if (k == 0)
        k = get_number(o, "pause_left", most, &g->pause_left_usec);
    if (k == 0)
        k = get_number(o, "pause_requests", most, &g->pause_requests_left);
    if (k == 0)
        k = get_hold(o, &g->hold);
    if (k == 0)
        k = get_text(o, "held_by", g->held_by, sizeof g->held_by);
    if (k == 0)
        k = gr_json_bool(o, "", "full", GR_JSON_REQUIRED, &g->full, NULL);
    if (k == 0)
        k = gr_json_bool(o, "", "overruled", GR_JSON_REQUIRED, &g->overruled, NULL);
    if (k == 0)
        k = gr_json_bool(o, "", "swapped", GR_JSON_REQUIRED, &g->swapped, NULL);
    if (k == 0)
        k = get_door(o, g);
    g->weight_permyriad = (unsigned)weight;
    g->shadow_permyriad = (unsigned)shadow;
    return k < 0 ? k : get_order(gr_json_get(o, "order"), &g->order);
}

int gr_gray_row_parse(const char *text, enum gr_phase phase, struct gr_gray_row *ret,
                      struct gr_error *e)
{
    struct gr_gray_row g = {0};
    if (!*text) { // there was nothing but a swap then
        g.swapped = phase == GR_PHASE_BAKING || phase == GR_PHASE_ROLLING_BACK;
        *ret = g;
        return 0;
    }
    GR_AUTO_JSON cJSON *o = NULL;
    int k = gr_json_parse(text, strlen(text), TEXT_MAX, &o, NULL);
    if (k == 0)
        k = get_all(o, &g);
    if (k == -ENOMEM)
        return k;
    if (k < 0)
        return gr_error_set(e, -EUCLEAN, GR_REASON_INTERNAL,
                            "the journal holds \"%.64s\" where a gray release's progress was "
                            "expected: it was changed by somebody else. Restore journal.db, or "
                            "move it away to start without it",
                            text);
    *ret = g;
    return 0;
}
