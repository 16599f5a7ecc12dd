// graylingd: options, signals and the event loop. Everything else is the manager's.
#include "base/log.h"
#include "base/release.h"
#include "control/manager.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define SETS_MAX 64

static const char usage[] =
    "Usage: graylingd [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config]\n"
    "Serves business modules and changes them while they serve, as etcd keys (or files) ask.\n\n"
    "  --config FILE            default: $GRAYLING_CONFIG, else /etc/grayling/grayling.conf\n"
    "  --set SECTION.KEY=VALUE  overrides the files; may be repeated\n"
    "  --check-config           validates the configuration and exits\n"
    "  --version, --help\n\n"
    "Signals: TERM drains and exits 0; HUP reloads; USR2 replaces the worker without losing a "
    "request.\n\n"
    "Example: graylingd --set Service.Name=order --set Source.Etcd=http://127.0.0.1:2379 \\\n"
    "             --set Dispatch.Listen=127.0.0.1:8080 --set Service.StateDirectory=/tmp/order\n";

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *u)
{
    (void)s;
    struct gr_manager *m = u;
    if (si->ssi_signo == SIGHUP)
        gr_manager_reload(m);
    else if (si->ssi_signo == SIGUSR2)
        gr_manager_replace_worker(m, "SIGUSR2");
    else
        gr_manager_stop(m);
    return 0;
}

static int add_signals(sd_event *event, struct gr_manager *m)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    int k = 0;
    for (size_t i = 0; i < GR_COUNT(signals) && k >= 0; i++)
        k = sd_event_add_signal(event, NULL, signals[i], on_signal, m);
    return k;
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct gr_config *take, char *const *sets, size_t n_sets, const char *path)
{
    sd_event *event = NULL;
    struct gr_manager *m = NULL;
    struct gr_error e = {0};
    int k = sd_event_default(&event);
    if (k < 0) {
        gr_config_free(take);
        return 1;
    }
    sd_event_set_watchdog(event, true);
    k = gr_manager_new(event, take, sets, n_sets, path, &m, &e);
    if (k == 0)
        k = add_signals(event, m);
    if (k >= 0)
        k = sd_event_loop(event);
    else
        gr_log(GR_LOG_ERROR, "graylingd does not start: %s",
               e.message[0] ? e.message : strerror(-k));
    gr_manager_free(m);
    sd_event_unref(event);
    return k < 0 ? 1 : k;
}

int main(int argc, char **argv)
{
    enum { OPT_CONFIG = 1000, OPT_SET, OPT_CHECK, OPT_VERSION, OPT_HELP };
    static const struct option options[] = {
        {"config", required_argument, NULL, OPT_CONFIG},
        {"set", required_argument, NULL, OPT_SET},
        {"check-config", no_argument, NULL, OPT_CHECK},
        {"version", no_argument, NULL, OPT_VERSION},
        {"help", no_argument, NULL, OPT_HELP},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    char *sets[SETS_MAX];
    size_t n_sets = 0;
    bool check = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;)
        switch (c) {
        case OPT_CONFIG:
            path = optarg;
            break;
        case OPT_SET:
            if (n_sets == SETS_MAX) {
                fprintf(stderr, "graylingd: at most %d --set\n", SETS_MAX);
                return 2;
            }
            sets[n_sets++] = optarg;
            break;
        case OPT_CHECK:
            check = true;
            break;
        case OPT_VERSION:
            printf("graylingd %s\n", gr_release);
            return 0;
        case OPT_HELP:
            fputs(usage, stdout);
            return 0;
        default:
            fputs("Try: graylingd --help\n", stderr);
            return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "graylingd: '%s' is not expected; options only. Try: graylingd --help\n",
                argv[optind]);
        return 2;
    }
    gr_log_init("graylingd");
    block_signals();
    struct gr_config *config = NULL;
    struct gr_error e = {0};
    if (gr_config_load(path, sets, n_sets, &config, &e) < 0) {
        fprintf(stderr, "graylingd: %s\n", e.message);
        return 2;
    }
    if (check) {
        gr_config_free(config);
        puts("the configuration is valid");
        return 0;
    }
    return serve(config, sets, n_sets, path);
}
