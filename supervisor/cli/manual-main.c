// Writes a manual page on standard output; the build runs it, it is not installed.
#include "cli/manual.h"
#include <string.h>

int main(int argc, char **argv)
{
    const char *page = argc == 2 ? argv[1] : "";
    if (!strcmp(page, "grayctl.1"))
        gr_manual_grayctl(stdout, gr_verbs, gr_n_verbs);
    else if (!strcmp(page, "grayling.conf.5"))
        gr_manual_config(stdout);
    else
        return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}
