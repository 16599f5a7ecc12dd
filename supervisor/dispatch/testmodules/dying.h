// A program of the tests that dies on purpose: itself again, with an argument, over an inherited
// statistics segment in which its evidence is found afterwards.
#pragma once
#include "base/child.h"
#include "dispatch/testmodules/fixture.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

static const char *self_path;
static int *volatile host_nowhere = (int *)8;

// The child: dies inside `how`, after it sent its statistics segment's evidence nowhere but into
// the inherited memfd.
static __attribute__((unused)) int die_inside(const char *how, int stats_fd)
{
    void *state;
    struct fixture *f;
    fixture_setup(&state);
    f = state;
    gr_thread_detach(f->t);
    gr_dispatch_free(f->d);
    struct gr_dispatch_options o = {.max_threads = 1};
    if (gr_stats_map(stats_fd, &o.stats) < 0 || gr_dispatch_new(&o, &f->d, &f->e) < 0 ||
        gr_guard_install(f->d) < 0 || gr_thread_attach(f->d, &f->t) < 0)
        return 2;
    if (strcmp(how, "host") == 0 && rmdir(f->dir) == 0)
        return *host_nowhere; // the host's own fault, on a thread that could be guarded
    struct gr_instance *probe = load_module(f, "probe-1.0.0");
    route(f, "probe", probe, NULL);
    remove_copies(f); // nobody will be there to do it later
    char answer[64];
    (void)call_text(f, PROBE, "Crash", how, answer);
    return 3; // survived
}

// false: it left no evidence.
static __attribute__((unused)) bool run_child_to_its_end(const char *how, int *ret_status,
                                                         struct gr_evidence *ret,
                                                         struct gr_in_call *ret_in)
{
    struct gr_stats *stats;
    int fd;
    assert_int_equal(gr_stats_new(&stats, &fd), 0);
    char *argv[] = {(char *)self_path, (char *)how, NULL};
    struct gr_child child;
    struct gr_error e;
    assert_int_equal(gr_child_spawn(argv, NULL, &(struct gr_child_fd){fd, 3}, 1, &child, &e), 0);
    assert_int_equal(waitpid(child.pid, ret_status, 0), child.pid);
    close(child.pidfd);
    bool evident = gr_stats_evidence(stats, ret);
    if (evident)
        assert_int_equal(ret->pid, child.pid);
    memset(ret_in, 0, sizeof(*ret_in));
    (void)gr_stats_in_calls(stats, ret_in, 1);
    gr_stats_free(stats);
    close(fd);
    return evident;
}

static __attribute__((unused)) void run_child(const char *how, int *ret_status,
                                              struct gr_evidence *ret, struct gr_in_call *ret_in)
{
    if (!run_child_to_its_end(how, ret_status, ret, ret_in))
        fail_msg("%s left no evidence", how);
}
