// Desired state from a directory under inotify: {module}.json is one document, a file
// {"modules":{...}} is a batch. Every change is answered by reading the whole directory, so that
// what is delivered is what lies there together. A missing directory is an outage, not an order to
// remove everything.
#include "base/clock.h"
#include "watchers/directory-read.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define DIRECTORY_EVENTS                                                                           \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define ABOVE_EVENTS (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define WRITERS_MAX 16
#define WRITERS_USEC (3 * GR_USEC_PER_SEC) // so long a read waits for files that are being written

struct directory_source {
    struct gr_source base;
    char *path;
    sd_event_source *inside; // inotify of the directory
    sd_event_source *above;  // inotify of its nearest ancestor that exists
    const char *next;        // the part of the path below that ancestor, up to '/'
    sd_event_source *read;   // timer: one read for many events
    size_t n_writers;
    char writers[WRITERS_MAX][NAME_MAX + 1]; // created or modified, not closed yet
};

static void ask_read(struct directory_source *s)
{
    uint64_t wait = s->n_writers ? WRITERS_USEC : 0;
    (void)sd_event_source_set_time(s->read, gr_mono_now().usec + wait);
    (void)sd_event_source_set_enabled(s->read, SD_EVENT_ONESHOT);
}

static size_t find_writer(const struct directory_source *s, const char *file)
{
    size_t i = 0;
    while (i < s->n_writers && strcmp(s->writers[i], file) != 0)
        i++;
    return i;
}

static void note_writer(struct directory_source *s, const char *file)
{
    if (find_writer(s, file) == s->n_writers && s->n_writers < WRITERS_MAX)
        snprintf(s->writers[s->n_writers++], sizeof s->writers[0], "%s", file);
}

static void forget_writer(struct directory_source *s, const char *file)
{
    size_t i = find_writer(s, file);
    if (i < s->n_writers && i != --s->n_writers)
        memcpy(s->writers[i], s->writers[s->n_writers], sizeof s->writers[i]);
}

static int on_inside(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    (void)source;
    struct directory_source *s = userdata;
    const char *file = event->len ? event->name : "";
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
        s->inside = sd_event_source_disable_unref(s->inside);
        s->n_writers = 0;
    } else if (event->mask & IN_Q_OVERFLOW) {
        s->n_writers = 0;
    } else if (!gr_directory_is_document(file) || event->mask & IN_ISDIR) {
        return 0;
    } else if (event->mask & (IN_CREATE | IN_MODIFY)) {
        note_writer(s, file); // its end is another event
    } else {
        forget_writer(s, file);
    }
    ask_read(s);
    return 0;
}

static int on_above(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    (void)source;
    struct directory_source *s = userdata;
    size_t len = strcspn(s->next, "/");
    if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT))
        s->above = sd_event_source_disable_unref(s->above);
    else if (event->len && (strncmp(event->name, s->next, len) != 0 || event->name[len]))
        return 0;                                         // something else lies beside it
    s->inside = sd_event_source_disable_unref(s->inside); // the path may lead elsewhere now
    s->n_writers = 0;
    ask_read(s);
    return 0;
}

// Watches the nearest ancestor that exists, so that the creation of the next part of the path is
// seen.
static int watch_above(struct directory_source *s)
{
    GR_AUTO_FREE char *above = strdup(s->path);
    int r = -ENOMEM;
    s->above = sd_event_source_disable_unref(s->above);
    for (bool more = above != NULL; more;) {
        char *slash = strrchr(above, '/');
        const char *where = !slash ? "." : slash == above ? "/" : above;
        s->next = slash ? s->path + (slash - above) + 1 : s->path;
        more = where == above;
        if (slash)
            *slash = '\0';
        r = sd_event_add_inotify(s->base.event, &s->above, where, ABOVE_EVENTS, on_above, s);
        more = more && (r == -ENOENT || r == -ENOTDIR);
    }
    return r;
}

// Both watches stand before anything is read: what changes later is an event.
static int watch_path(struct directory_source *s)
{
    int r = 0;
    if (!s->inside || !s->above)
        r = watch_above(s);
    if (r < 0 || s->inside)
        return r;
    r = sd_event_add_inotify(s->base.event, &s->inside, s->path, DIRECTORY_EVENTS, on_inside, s);
    return r == -ENOENT || r == -ENOTDIR ? 0 : r; // the read will say so
}

static int on_read(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    struct directory_source *s = userdata;
    struct gr_snapshot *now = NULL;
    struct gr_error e = {0};
    s->n_writers = 0;
    int r = watch_path(s);
    if (r < 0)
        gr_error_set_retryable(&e, r, GR_REASON_SOURCE_UNREACHABLE,
                               "The directory %s cannot be watched: %s. Raise "
                               "fs.inotify.max_user_watches or correct its permissions.",
                               s->path, strerror(-r));
    else
        r = gr_directory_read(s->path, s->base.last, &now, &e);
    if (r < 0) {
        gr_source_report(&s->base, false, false, &e);
        return 0;
    }
    s->base.health.revision = now->revision;
    gr_source_report(&s->base, true, false, NULL);
    gr_source_offer(&s->base, now);
    return 0;
}

static int start(struct gr_source *base, struct gr_error *e)
{
    struct directory_source *s = (struct directory_source *)base;
    (void)e;
    s->base.health.resyncs[GR_RESYNC_START]++;
    ask_read(s);
    return 0;
}

static void done(struct gr_source *base)
{
    struct directory_source *s = (struct directory_source *)base;
    sd_event_source_disable_unref(s->inside);
    sd_event_source_disable_unref(s->above);
    sd_event_source_disable_unref(s->read);
    free(s->path);
}

static const struct gr_source_ops ops = {.start = start, .done = done};

int gr_source_directory_new(sd_event *event, const char *path, const struct gr_source_callbacks *cb,
                            struct gr_source **ret, struct gr_error *e)
{
    struct directory_source *s = calloc(1, sizeof *s);
    if (!s)
        return gr_error_set_retryable(e, -ENOMEM, GR_REASON_INTERNAL, "Out of memory.");
    int r = gr_source_init(&s->base, &ops, event, cb);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    s->path = strndup(path, len);
    if (r >= 0 && !s->path)
        r = -ENOMEM;
    if (r >= 0)
        r = sd_event_add_time(event, &s->read, CLOCK_MONOTONIC, 0, 1, on_read, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->read, SD_EVENT_OFF);
    if (r < 0) {
        gr_source_free(&s->base);
        return gr_error_set_retryable(e, r, GR_REASON_INTERNAL,
                                      "The directory source for %s could not be made: %s.", path,
                                      strerror(-r));
    }
    snprintf(s->base.health.endpoint, sizeof s->base.health.endpoint, "%s", s->path);
    *ret = &s->base;
    return 0;
}
