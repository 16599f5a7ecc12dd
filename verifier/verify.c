// The pipeline of untrusted bytes. One order, no way around it: nothing of the bytes runs before
// digest, ELF facts and contract have passed, nothing is preflighted that is not in the store, and
// only the end of the line makes a struct gr_verified.
#include "verifier/verify.h"
#include "base/child.h"
#include "base/fault.h"
#include "base/limits.h"
#include "verifier/attempt.h"
#include "verifier/fetch.h"
#include "verifier/preflight.h"
#include "verifier/store-write.h"
#include "verifier/verified.h"
#include "verifier/verifier-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct gr_verification {
    struct gr_verifier *verifier;
    struct gr_verify_callbacks cb;
    struct gr_name module;
    struct gr_version version;
    struct gr_digest digest;
    char *config;
    uint64_t max_bytes;
    bool sealed;
    struct gr_mono deadline;
    struct gr_fetch *fetch;
    struct gr_file_attempt *reading; // of the store's copy
    struct gr_bytes *bytes;
    int store_fd; // the store file whose bytes these are
    bool again;   // a copy of it is wanted as well
    struct gr_store_write *writing;
    struct gr_examined examined;
    struct gr_preflight *preflight;
    enum gr_verify_station station;
    struct gr_mono entered;
    uint64_t station_usec[GR_VERIFY_STATIONS];
    bool calling, cancelled; // a callback runs; it cancelled
};

static struct gr_store_key key(const struct gr_verification *v)
{
    return (struct gr_store_key){
        .module = &v->module, .version = &v->version, .digest = &v->digest};
}

static void destroy(struct gr_verification *v)
{
    gr_fetch_free(v->fetch);
    gr_file_attempt_cancel(v->reading);
    gr_preflight_free(v->preflight);
    gr_store_write_free(v->writing);
    gr_bytes_free(v->bytes);
    gr_closep(&v->store_fd);
    gr_examined_done(&v->examined);
    free(v->config);
    free(v);
}

void gr_verification_cancel(struct gr_verification *v)
{
    if (!v)
        return;
    v->cancelled = true;
    if (!v->calling)
        destroy(v);
}

static void leave_station(struct gr_verification *v)
{
    uint64_t took = gr_mono_now().usec - v->entered.usec;
    v->station_usec[v->station] += took ? took : 1; // 0 means skipped
}

// False: the receiver cancelled, and v is gone.
static bool enter_station(struct gr_verification *v, enum gr_verify_station s)
{
    if (v->entered.usec)
        leave_station(v);
    v->station = s;
    v->entered = gr_mono_now();
    if (v->cb.station) {
        v->calling = true;
        v->cb.station(v->cb.userdata, s);
        v->calling = false;
    }
    bool goes_on = !v->cancelled;
    if (!goes_on)
        destroy(v);
    return goes_on;
}

static void finish(struct gr_verification *v, struct gr_verified *verified,
                   const struct gr_error *e)
{
    v->calling = true; // cancelling from inside is harmless
    v->cb.done(v->cb.userdata, verified, e);
    destroy(v);
}

static void refuse(struct gr_verification *v, struct gr_error *e)
{
    gr_error_wrap(e, "%s %s", v->module.s, v->version.text);
    finish(v, NULL, e);
}

static void succeed(struct gr_verification *v)
{
    struct gr_error e;
    struct gr_verified *verified;
    struct gr_store_key k = key(v);
    int fd =
        v->sealed ? fcntl(gr_bytes_fd(v->bytes), F_DUPFD_CLOEXEC, 3) : gr_steal_fd(&v->store_fd);
    int r = fd < 0
                ? -errno
                : gr_verified_new(v->verifier->store, &k, fd, v->sealed, &v->examined, &verified);
    if (r < 0) {
        gr_error_set_retryable(&e, r, GR_REASON_INTERNAL, "the verdict cannot be kept: %s",
                               strerror(-r));
        refuse(v, &e);
        return;
    }
    leave_station(v);
    memcpy(verified->station_usec, v->station_usec, sizeof v->station_usec);
    finish(v, verified, NULL);
}

static void on_preflight(void *userdata, const struct gr_error *why)
{
    struct gr_verification *v = userdata;
    if (!why) {
        succeed(v);
        return;
    }
    struct gr_error e = *why;
    refuse(v, &e);
}

static int start_preflight(struct gr_verification *v, struct gr_error *e)
{
    GR_AUTO_FREE char *path = NULL;
    struct gr_store_key k = key(v);
    uint64_t now = gr_mono_now().usec;
    uint64_t left = v->deadline.usec > now ? v->deadline.usec - now : 1;
    if (gr_store_path(v->verifier->store, &k, &path) < 0)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a preflight");
    struct gr_preflight_options o = {
        .program = &v->verifier->preflight,
        .module = v->module.s,
        .version = v->version.text,
        .path = v->sealed ? "/proc/self/fd/3" : path,
        .build_id = v->examined.build_id,
        .fd = v->sealed ? gr_bytes_fd(v->bytes) : v->store_fd,
        .config = v->config,
        .timeout_usec = left < GR_PREFLIGHT_USEC_MAX ? left : GR_PREFLIGHT_USEC_MAX,
        .done = on_preflight,
        .userdata = v,
    };
    return gr_preflight_start(v->verifier->event, &o, &v->preflight, e);
}

static void try_out(struct gr_verification *v)
{
    struct gr_error e = {0};
    int r = GR_FAULT("verify.after-store");
    if (r < 0)
        gr_error_set_retryable(&e, r, GR_REASON_INTERNAL, "stopped after the store: %s",
                               strerror(-r));
    if (r == 0) {
        if (!enter_station(v, GR_VERIFY_PREFLIGHT))
            return;
        r = start_preflight(v, &e);
    }
    if (r < 0)
        refuse(v, &e);
}

static void store(struct gr_verification *v);

static void on_written(void *userdata, int fd, const struct gr_error *why)
{
    struct gr_verification *v = userdata;
    GR_INSTANT("store.written");
    gr_store_write_free(gr_steal(v->writing));
    if (fd < 0) {
        struct gr_error e = *why;
        refuse(v, &e);
        return;
    }
    if (v->store_fd < 0) {
        v->store_fd = fd;
    } else {
        close(fd); // the copy is opened and hashed when it is loaded
        v->again = false;
    }
    store(v);
}

static bool has_copy(struct gr_verification *v, const struct gr_store_key *k)
{
    GR_AUTO_CLOSE int fd = -1;
    return gr_store_get(v->verifier->store, k, &fd) == 0;
}

// The file, then its copy where one is wanted, each unless it is there.
static void store(struct gr_verification *v)
{
    struct gr_error e = {0};
    struct gr_store_write_options o = {.event = v->verifier->event,
                                       .program = &v->verifier->writer,
                                       .store = v->verifier->store,
                                       .key = key(v),
                                       .bytes = v->bytes,
                                       .done = on_written,
                                       .userdata = v};
    o.key.copy = v->store_fd >= 0;
    if (o.key.copy && (!v->again || v->sealed || has_copy(v, &o.key))) {
        try_out(v);
        return;
    }
    if (gr_store_write_start(&o, &v->writing, &e) < 0)
        refuse(v, &e);
}

// The bytes have the right digest; the rest of the way.
static void proceed(struct gr_verification *v)
{
    struct gr_error e = {0};
    struct gr_store_key k = key(v);
    if (!enter_station(v, GR_VERIFY_CHECK))
        return;
    int r = GR_FAULT("verify.examine");
    if (r < 0)
        gr_error_set_retryable(&e, r, GR_REASON_INTERNAL, "its bytes could not be read: %s",
                               strerror(-r));
    else
        r = gr_examine(v->bytes, &k, &v->examined, &e);
    if (r == 0) {
        if (!enter_station(v, GR_VERIFY_STORE))
            return;
        r = GR_FAULT("verify.before-store");
        if (r < 0)
            gr_error_set_retryable(&e, r, GR_REASON_INTERNAL, "the store cannot be used: %s",
                                   strerror(-r));
    }
    if (r < 0)
        refuse(v, &e);
    else
        store(v);
}

static void on_fetched(void *userdata, struct gr_bytes *bytes, const struct gr_error *why)
{
    struct gr_verification *v = userdata;
    v->bytes = bytes;
    if (bytes) {
        proceed(v);
        return;
    }
    struct gr_error e = *why;
    refuse(v, &e);
}

static int begin_fetch(struct gr_verification *v, struct gr_error *e)
{
    v->station = GR_VERIFY_FETCH;
    v->entered = gr_mono_now();
    int r = gr_fetch_begin(v->fetch);
    if (r < 0)
        gr_error_set(e, r, GR_REASON_INTERNAL, "the fetch cannot begin: %s", strerror(-r));
    return r;
}

static void drop_stored(struct gr_verification *v)
{
    gr_file_attempt_cancel(gr_steal(v->reading));
    gr_bytes_free(gr_steal(v->bytes));
    gr_closep(&v->store_fd);
    v->store_fd = -1;
}

// What is about to be put in force has to survive a power cut, also when the process that wrote it
// was killed before its sync.
static void take_stored(struct gr_verification *v)
{
    struct gr_error e;
    int r = gr_store_settle(v->verifier->store);
    if (r == 0) {
        proceed(v);
        return;
    }
    gr_error_set_retryable(&e, r, GR_REASON_INTERNAL,
                           "the store's directory could not be synced: %s; it is not known that "
                           "the file would survive a power cut",
                           strerror(-r));
    refuse(v, &e);
}

// The store's copy was read. A damaged one is set aside, and the sources are asked as if it had
// never been there.
static void on_stored(void *userdata, const struct gr_error *why)
{
    struct gr_verification *v = userdata;
    struct gr_store_key k = key(v);
    struct gr_error e;
    gr_file_attempt_cancel(gr_steal(v->reading));
    if (!why && gr_bytes_seal(v->bytes) == 0 &&
        gr_digest_equal(gr_bytes_digest(v->bytes), &v->digest)) {
        take_stored(v);
        return;
    }
    drop_stored(v);
    (void)!gr_store_set_aside(v->verifier->store, &k); // storing tries again and reports
    if (begin_fetch(v, &e) < 0)
        refuse(v, &e);
}

// True: the store has a file of that name and it is being read. Whatever else has the name, storing
// deals with it.
static bool read_stored(struct gr_verification *v)
{
    struct gr_store_key k = key(v);
    struct gr_attempt_options o = {
        .event = v->verifier->event, .max_bytes = v->max_bytes, .done = on_stored, .userdata = v};
    if (gr_store_get(v->verifier->store, &k, &v->store_fd) < 0)
        return false;
    int fd = fcntl(v->store_fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0 && gr_bytes_new(v->max_bytes, &v->bytes) == 0) {
        o.into = v->bytes;
        if (gr_file_attempt_start_fd(&o, gr_steal_fd(&fd), "(store)", &v->reading, NULL) == 0)
            return true;
    }
    gr_closep(&fd);
    drop_stored(v);
    return false;
}

static int prepare(struct gr_verification *v, const struct gr_verify_request *r, struct gr_error *e)
{
    uint64_t limit = r->timeout_usec ? r->timeout_usec : GR_FETCH_USEC_MAX + GR_PREFLIGHT_USEC_MAX;
    uint64_t now = gr_mono_now().usec;
    v->deadline.usec = now + limit;
    if (r->config && !(v->config = strdup(r->config)))
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a verification");
    struct gr_fetch_options o = {
        .event = v->verifier->event,
        .transport = v->verifier->transport,
        .policy = v->verifier->policy,
        .sources = r->sources,
        .n_sources = r->n_sources,
        .digest = r->digest,
        .size = r->size,
        .max_bytes = v->max_bytes,
        .deadline.usec = now + (limit < GR_FETCH_USEC_MAX ? limit : GR_FETCH_USEC_MAX),
        .ca_file = v->verifier->ca_file,
        .done = on_fetched,
        .userdata = v,
    };
    return gr_fetch_new(&o, &v->fetch, e);
}

int gr_verification_start(struct gr_verifier *verifier, const struct gr_verify_request *r,
                          const struct gr_verify_callbacks *cb, struct gr_verification **ret,
                          struct gr_error *e)
{
    struct gr_verification *v = calloc(1, sizeof *v);
    if (!v)
        return gr_error_set(e, -ENOMEM, GR_REASON_INTERNAL, "out of memory for a verification");
    *v = (struct gr_verification){.verifier = verifier,
                                  .cb = *cb,
                                  .module = *r->module,
                                  .version = *r->version,
                                  .digest = *r->digest,
                                  .max_bytes = verifier->max_bytes,
                                  .sealed = verifier->sealed,
                                  .again = r->again,
                                  .store_fd = -1};
    int k = prepare(v, r, e);
    if (k == 0 && !read_stored(v))
        k = begin_fetch(v, e);
    if (k < 0) {
        gr_error_wrap(e, "%s %s", r->module->s, r->version->text);
        destroy(v);
        return k;
    }
    *ret = v;
    return 0;
}
