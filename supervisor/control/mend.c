// Owns the fetching anew of lost artifacts. One record for each digest that a row of the table
// names; tries grow apart and never end while the row names it, since what is served meanwhile is
// not what is committed.
#include "control/mend.h"
#include "base/limits.h"
#include "base/log.h"
#include "control/manager-internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct gr_mend {
    struct gr_mend *next;
    struct gr_manager *manager;
    struct gr_desired *desired;
    struct gr_verification *verification; // NULL: none runs
    sd_event_source *timer;               // until the next try
    unsigned tries;                       // since the module was whole last
    uint64_t worker;                      // number of the one that lacked it last
    bool told;
};

static void mend_free(struct gr_mend *f)
{
    sd_event_source_disable_unref(f->timer);
    gr_verification_cancel(f->verification);
    gr_desired_free(f->desired);
    free(f);
}

static void drop(struct gr_mend *f)
{
    for (struct gr_mend **p = &f->manager->mends; *p; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            break;
        }
    mend_free(f);
}

static bool still_named(const struct gr_mend *f)
{
    const struct gr_committed *row = gr_manager_row(f->manager, &f->desired->module);
    return row && gr_manager_row_names(row, &f->desired->digest);
}

static void start(struct gr_mend *f);

static int on_timer(sd_event_source *s, uint64_t usec, void *u)
{
    (void)s, (void)usec;
    struct gr_mend *f = u;
    f->timer = sd_event_source_disable_unref(f->timer);
    if (still_named(f) && !f->manager->stopping)
        start(f);
    else
        drop(f);
    return 0;
}

// Doubles from one try to the next; *ret_usec is the wait until the next.
static void try_later(struct gr_mend *f, uint64_t *ret_usec)
{
    unsigned doublings = f->tries < 16 ? f->tries : 16;
    uint64_t usec = GR_MEND_BACKOFF_USEC << doublings;
    *ret_usec = usec < GR_MEND_BACKOFF_USEC_MAX ? usec : GR_MEND_BACKOFF_USEC_MAX;
    f->tries++;
    if (!f->timer && sd_event_add_time_relative(f->manager->event, &f->timer, CLOCK_MONOTONIC,
                                                *ret_usec, GR_USEC_PER_MSEC, on_timer, f) < 0)
        gr_log(GR_LOG_ERROR, "no timer to fetch %s %s again", f->desired->module.s,
               f->desired->version.text);
}

static void failed(struct gr_mend *f, const struct gr_error *why)
{
    struct gr_error e = {0};
    uint64_t wait;
    char text[32];
    try_later(f, &wait);
    gr_error_set(&e, why->code, why->reason,
                 "the store has lost %s %s, and it could not be fetched again (try %u): %s. It is "
                 "tried again in %s; put the file back at one of its sources",
                 f->desired->module.s, f->desired->version.text, f->tries, why->message,
                 gr_duration_format(wait, text));
    gr_manager_lacks(f->manager, f->desired, &e, f->worker, !f->told);
    f->told = true;
}

static void on_done(void *u, struct gr_verified *v, const struct gr_error *e)
{
    struct gr_mend *f = u;
    struct gr_manager *m = f->manager;
    struct gr_verified *verified GR_CLEANUP(gr_verified_freep) = v;
    f->verification = NULL;
    if (!still_named(f)) {
        drop(f);
        return;
    }
    if (!verified) {
        failed(f, e);
        return;
    }
    char text[GR_MESSAGE_MAX], why[128];
    snprintf(text, sizeof text,
             "%s %s was fetched again and verified; a worker is built that has it",
             f->desired->module.s, f->desired->version.text);
    gr_manager_tell(m, GR_MSG_MENDED, GR_LOG_NOTICE, f->desired->module.s, f->desired->version.text,
                    0, NULL, GR_REASON_NONE, text);
    snprintf(why, sizeof why, "%.64s %.40s is in the store again", f->desired->module.s,
             f->desired->version.text);
    f->told = false;
    gr_manager_replace_worker(m, why);
}

static void start(struct gr_mend *f)
{
    const struct gr_desired *d = f->desired;
    const struct gr_verify_request request = {.module = &d->module,
                                              .version = &d->version,
                                              .digest = &d->digest,
                                              .size = d->size,
                                              .sources = (const char *const *)d->sources,
                                              .n_sources = d->n_sources,
                                              .config = d->config};
    const struct gr_verify_callbacks cb = {.done = on_done, .userdata = f};
    struct gr_error e = {0};
    if (gr_verification_start(f->manager->verifier, &request, &cb, &f->verification, &e) < 0)
        failed(f, &e);
}

void gr_mend_want(struct gr_manager *m, const struct gr_desired *d, uint64_t worker)
{
    for (struct gr_mend *f = m->mends, *next; f; f = next) { // so that the list stays short
        next = f->next;
        if (!still_named(f))
            drop(f);
    }
    for (struct gr_mend *f = m->mends; f; f = f->next)
        if (gr_name_equal(&f->desired->module, &d->module) &&
            gr_digest_equal(&f->desired->digest, &d->digest)) {
            uint64_t wait; // a disk that loses it again and again is not asked at once each time
            f->worker = worker;
            if (!f->verification && !f->timer)
                try_later(f, &wait);
            return;
        }
    struct gr_mend *f = calloc(1, sizeof *f);
    if (!f || gr_desired_copy(d, &f->desired) < 0) {
        free(f);
        gr_log(GR_LOG_ERROR, "out of memory: %s %s is not fetched again", d->module.s,
               d->version.text);
        return;
    }
    f->manager = m;
    f->worker = worker;
    f->next = m->mends;
    m->mends = f;
    start(f);
}

void gr_mend_forget(struct gr_manager *m, const struct gr_name *module)
{
    for (struct gr_mend *f = m->mends, *next; f; f = next) {
        next = f->next;
        if (gr_name_equal(&f->desired->module, module))
            drop(f);
    }
}

void gr_mend_free_all(struct gr_manager *m)
{
    for (struct gr_mend *f; (f = m->mends);) {
        m->mends = f->next;
        mend_free(f);
    }
}
