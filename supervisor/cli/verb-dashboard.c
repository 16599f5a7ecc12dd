// dashboard: where this host shows itself to a browser.
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

// The admin address as a browser on this host, or one that knows it by name, can open it.
static void url_of(const char *admin, char *buf, size_t cap)
{
    char host[256] = "localhost";
    const char *port = strrchr(admin, ':');
    if (!strncmp(admin, "0.0.0.0:", 8) || !strncmp(admin, "[::]:", 5) || *admin == '*') {
        (void)gethostname(host, sizeof host - 1);
        snprintf(buf, cap, "http://%s%s/", host, port);
    } else {
        snprintf(buf, cap, "http://%s/", admin);
    }
}

enum gr_exit gr_verb_dashboard(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct gr_column columns[] = {{"Dashboard", "url", GR_CELL_TEXT, false}};
    GR_AUTO_JSON cJSON *status = NULL, *o = cJSON_CreateObject();
    struct gr_error e = {0};
    char url[320];
    (void)args;
    if (gr_cli_request(cli, "GET", "/v1/status", NULL, 0, &status, &e) < 0)
        return gr_cli_fail(cli, &e);
    const char *admin = gr_output_text(status, "admin");
    if (!*admin || !strncmp(admin, "unix:", 5)) {
        gr_error_set(&e, -ENOENT, GR_REASON_NONE,
                     "no browser can open the dashboard: the admin address is %s; expected [Admin] "
                     "Listen=127.0.0.1:9464 or the like",
                     *admin ? admin : "not there");
        return gr_cli_fail(cli, &e);
    }
    url_of(admin, url, sizeof url);
    cJSON_AddStringToObject(o, "url", url);
    gr_output_object(cli, o, columns, GR_COUNT(columns), "url");
    return GR_EXIT_OK;
}
