// Putting bytes into the store without making the event loop wait for the disk: a child writes and
// makes durable, then what is in the file is hashed through the descriptor that is handed out, a
// chunk at each turn of the loop.
#pragma once
#include "base/child.h"
#include "verifier/store.h"
#include <systemd/sd-event.h>

struct gr_store_write;
struct gr_store_write_options { // borrowed while it lives
    sd_event *event;
    const struct gr_program *program; // grayling-store
    const struct gr_store *store;
    struct gr_store_key key;      // what it points at, too
    const struct gr_bytes *bytes; // sealed
    // Once, never from inside start; the receiver frees the write. fd -1: *e says why. Owns: fd is
    // the receiver's.
    void (*done)(void *userdata, int fd, const struct gr_error *e);
    void *userdata;
};
// What gr_store_put() does. Fails: DiskFull, Internal; nothing half-written gets the name.
GR_MUST_CHECK int gr_store_write_start(const struct gr_store_write_options *o,
                                       struct gr_store_write **ret, struct gr_error *e);
void gr_store_write_free(struct gr_store_write *w); // kills and reaps the child; NULL is fine
