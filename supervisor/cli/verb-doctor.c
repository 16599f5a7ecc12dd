// doctor: looks at everything, says what is wrong and what to do.
#include "cli/doctor.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <stdarg.h>

void gr_doctor_add(struct gr_doctor *d, enum gr_health state, const char *check, const char *format,
                   ...)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    char message[GR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "state", names[state]);
    cJSON_AddStringToObject(line, "check", check);
    cJSON_AddStringToObject(line, "message", message);
    cJSON_AddItemToArray(d->lines, line);
    if (state > d->worst)
        d->worst = state;
}

enum gr_exit gr_verb_doctor(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {
        {"STATE", "state", GR_CELL_TEXT, false},
        {"CHECK", "check", GR_CELL_TEXT, false},
        {"MESSAGE", "message", GR_CELL_TEXT, false},
    };
    struct gr_doctor d = {.cli = cli, .lines = cJSON_CreateArray()};
    (void)args;
    gr_doctor_check_host(&d);
    gr_doctor_check_programs(&d);
    gr_doctor_check_service(&d);
    gr_output_list(cli, d.lines, columns, GR_COUNT(columns), "check");
    cJSON_Delete(d.lines);
    return d.worst == GR_HEALTH_FAIL ? GR_EXIT_DEGRADED : GR_EXIT_OK;
}
