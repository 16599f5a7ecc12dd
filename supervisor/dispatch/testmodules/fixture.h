// What the tests of dispatch share: fresh copies of the test modules, loading, calling. Only
// included by x-test.c files.
#pragma once
#include "dispatch/dispatch.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <cmocka.h>

#define PROBE "com.example.probe.Probe"
#define PEER "com.example.peer.Peer"
#define SOLO "com.example.solo.Solo"
#define GUIDE "com.example.guide.Guide"
#define SECOND GR_USEC_PER_SEC

struct fixture {
    struct gr_dispatch *d;
    struct gr_thread *t;
    struct gr_stats *stats;
    int stats_fd;
    char dir[64];
    unsigned copies, faults, resumed;
    char last_log[160], last_frame[96], last_detail[160], last_build_id[96];
    enum gr_fault_kind last_kind;
    int last_signal;
    struct gr_error e;
};

static void fixture_on_log(void *userdata, unsigned slot, int level, const char *message)
{
    struct fixture *f = userdata;
    (void)slot;
    (void)level;
    snprintf(f->last_log, sizeof(f->last_log), "%s", message);
}

static void fixture_on_fault(void *userdata, const struct gr_fault *fault)
{
    struct fixture *f = userdata;
    f->faults++;
    f->last_kind = fault->kind;
    f->last_signal = fault->signal;
    snprintf(f->last_detail, sizeof(f->last_detail), "%s", fault->detail);
    snprintf(f->last_build_id, sizeof(f->last_build_id), "%s", fault->build_id);
    snprintf(f->last_frame, sizeof(f->last_frame), "%s", fault->n_frames ? fault->frames[0] : "");
}

static __attribute__((unused)) int
fixture_setup_with(void **state, void (*on_harm)(void *userdata, const struct gr_harm *harm))
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_int_equal(gr_stats_new(&f->stats, &f->stats_fd), 0);
    struct gr_dispatch_options o = {.stats = f->stats,
                                    .max_threads = 8,
                                    .on_log = fixture_on_log,
                                    .on_fault = fixture_on_fault,
                                    .on_harm = on_harm,
                                    .userdata = f};
    assert_int_equal(gr_dispatch_new(&o, &f->d, &f->e), 0);
    assert_int_equal(gr_thread_attach(f->d, &f->t), 0);
    strcpy(f->dir, "/tmp/grayling-dispatch-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static __attribute__((unused)) int fixture_setup(void **state)
{
    return fixture_setup_with(state, NULL);
}

static void remove_copies(struct fixture *f)
{
    for (unsigned i = 1; i <= f->copies; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%u.so", f->dir, i);
        unlink(path);
    }
    rmdir(f->dir);
}

static __attribute__((unused)) int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    gr_thread_detach(f->t);
    gr_dispatch_free(f->d);
    gr_stats_free(f->stats);
    close(f->stats_fd);
    remove_copies(f);
    free(f);
    return 0;
}

// Every load gets a path and inode of its own, as the store gives them. Returns the number of the
// copy.
static const char *fresh_copy(struct fixture *f, const char *file, char path[128])
{
    char from[512];
    const char *build = getenv("GRAYLING_BUILD");
    snprintf(from, sizeof(from), "%s/tests/modules/%s.so", build ? build : ".", file);
    snprintf(path, 128, "%s/%u.so", f->dir, ++f->copies);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    struct stat st;
    assert_true(in >= 0 && out >= 0 && fstat(in, &st) == 0);
    assert_int_equal(sendfile(out, in, NULL, (size_t)st.st_size), st.st_size);
    close(in);
    close(out);
    return path;
}

static __attribute__((unused)) int load_configured(struct fixture *f, const char *file,
                                                   const char *config, struct gr_instance **ret)
{
    char path[128];
    struct gr_load l = {
        .path = fresh_copy(f, file, path), .fd = -1, .config = config, .slot = f->copies};
    return gr_instance_load(f->d, &l, ret, &f->e);
}

static __attribute__((unused)) struct gr_instance *load_module(struct fixture *f, const char *file)
{
    struct gr_instance *i = NULL;
    if (load_configured(f, file, NULL, &i) < 0)
        fail_msg("%s", f->e.message);
    return i;
}

static __attribute__((unused)) void route(struct fixture *f, const char *module,
                                          struct gr_instance *stable, struct gr_instance *rescue)
{
    struct gr_swap_result result;
    struct gr_change change = {.module = module, .stable = stable, .rescue = rescue};
    if (gr_dispatch_swap(f->d, &change, 1, 5 * SECOND, &result, &f->e) < 0)
        fail_msg("%s", f->e.message);
}

static __attribute__((unused)) struct grayling_request
request_to(const char *interface_name, const char *method_name, const void *payload, size_t size)
{
    return (struct grayling_request){
        .struct_size = sizeof(struct grayling_request),
        .interface_name = interface_name,
        .method_name = method_name,
        .payload = {payload, size},
        .request_id = "request-1",
    };
}

// One call by the fixture's thread; the answer as text.
static __attribute__((unused)) int32_t call_text(struct fixture *f, const char *interface_name,
                                                 const char *method_name, const char *payload,
                                                 char answer[64])
{
    struct grayling_request q = request_to(interface_name, method_name, payload, strlen(payload));
    struct gr_response r;
    assert_int_equal(gr_dispatch_call(f->t, &q, &r), GR_CALL_DONE);
    snprintf(answer, 64, "%.*s", (int)r.payload.size, (const char *)r.payload.data);
    int32_t code = r.code;
    gr_response_done(f->d, &r);
    return code;
}

// --- a call that does not end ------------------------------------------------------------------

struct holder { // a thread inside Hold until release_holder()
    struct fixture *f;
    const char *interface_name;
    pthread_t thread;
    int entered[2], go[2];
    struct gr_response response;
};

static __attribute__((unused)) void *hold_call(void *arg)
{
    struct holder *h = arg;
    struct gr_thread *t;
    assert_int_equal(gr_thread_attach(h->f->d, &t), 0);
    int fds[2] = {h->entered[1], h->go[0]};
    struct grayling_request q = request_to(h->interface_name, "Hold", fds, sizeof(fds));
    q.request_id = "the-stuck-one";
    assert_int_equal(gr_dispatch_call(t, &q, &h->response), GR_CALL_DONE);
    gr_thread_detach(t);
    return NULL;
}

static __attribute__((unused)) void start_holder(struct holder *h, struct fixture *f,
                                                 const char *interface_name)
{
    char c;
    h->f = f;
    h->interface_name = interface_name;
    assert_true(pipe(h->entered) == 0 && pipe(h->go) == 0);
    assert_int_equal(pthread_create(&h->thread, NULL, hold_call, h), 0);
    assert_int_equal(read(h->entered[0], &c, 1), 1);
}

static __attribute__((unused)) void release_holder(struct holder *h)
{
    assert_int_equal(write(h->go[1], "x", 1), 1);
    pthread_join(h->thread, NULL);
    for (int i = 0; i < 2; i++) {
        close(h->entered[i]);
        close(h->go[i]);
    }
}
