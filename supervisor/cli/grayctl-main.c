// grayctl: parses, runs one verb, and ends with its exit status.
#include "cli/cli.h"
#include "cli/complete.h"
#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#define COMPLETE "__complete" // what the shells' scripts call; a command line follows as it is

static void on_interrupt(int number)
{
    (void)number;
    _exit(GR_EXIT_INTERRUPTED);
}

static enum gr_exit run(struct gr_cli *cli, int argc, char **argv)
{
    struct gr_args args;
    struct gr_error e = {0};
    if (argc > 0 && !strcmp(argv[0], COMPLETE)) {
        (void)!gr_cli_init(cli, &(struct gr_args){0}, &e);
        gr_complete(cli, (const char *const *)argv + 1, (size_t)argc - 1);
        return GR_EXIT_OK;
    }
    if (gr_args_parse(argc, argv, gr_verbs, gr_n_verbs, &args, &e) < 0 ||
        gr_cli_init(cli, &args, &e) < 0) {
        gr_cli_fail(cli, &e);
        return GR_EXIT_USAGE;
    }
    if (!args.verb) {
        bool asked = gr_args_has(&args, "help");
        gr_help_overview(asked ? cli->out : cli->err, gr_verbs, gr_n_verbs);
        return asked ? GR_EXIT_OK : GR_EXIT_USAGE;
    }
    if (gr_args_has(&args, "help")) {
        gr_help_verb(cli->out, args.verb);
        return GR_EXIT_OK;
    }
    cli->kind = args.verb->name;
    return args.verb->run(cli, &args);
}

int main(int argc, char **argv)
{
    struct gr_cli cli = {.out = stdout, .err = stderr, .verbs = gr_verbs, .n_verbs = gr_n_verbs};
    struct sigaction interrupt = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &interrupt, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    enum gr_exit status = run(&cli, argc - 1, argv + 1);
    gr_cli_done(&cli);
    curl_global_cleanup();
    if (fflush(stdout) != 0 && status == GR_EXIT_OK)
        status = GR_EXIT_INTERNAL; // a full disk or a closed pipe must not look like success
    return (int)status;
}
