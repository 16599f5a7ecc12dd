// A ring of the newest loads under a lock of its own; not for signal handlers.
#include "dispatch/loads.h"
#include "base/macros.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct gr_load_note notes[GR_LOADS_KEPT];
static uint32_t last;

static void note_path(struct gr_load_note *n, const char *path)
{
    char here[GR_LOAD_PATH_MAX] = "";
    int len = -1;
    if (*path == '/')
        len = snprintf(n->path, sizeof n->path, "%s", path);
    else if (getcwd(here, sizeof here))
        len = snprintf(n->path, sizeof n->path, "%s/%s", here, path);
    if (len < 0 || (size_t)len >= sizeof n->path)
        n->path[0] = '\0';
}

uint32_t gr_loads_note(const char *name, const char *path, const char *build_id)
{
    pthread_mutex_lock(&lock);
    uint32_t serial = ++last;
    struct gr_load_note *n = &notes[serial % GR_COUNT(notes)];
    n->serial = serial;
    snprintf(n->name, sizeof n->name, "%s", name);
    snprintf(n->build_id, sizeof n->build_id, "%s", build_id);
    note_path(n, path);
    pthread_mutex_unlock(&lock);
    return serial;
}

bool gr_loads_find(uint32_t serial, struct gr_load_note *ret)
{
    pthread_mutex_lock(&lock);
    const struct gr_load_note *n = &notes[serial % GR_COUNT(notes)];
    bool found = serial != 0 && n->serial == serial;
    if (found)
        *ret = *n;
    pthread_mutex_unlock(&lock);
    return found;
}
