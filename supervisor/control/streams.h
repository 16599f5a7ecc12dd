// GET /v1/stream: who watches this host. Tells events (with their seq as id, so that a client that
// comes back is told what it missed) and the board's changes. While nobody watches nothing is
// looked at.
#pragma once
#include "control/control-routes.h"

struct gr_streams;
// Borrows c, whose `admin` it wakes. Fails: -ENOMEM, errno of sd-event.
GR_MUST_CHECK int gr_streams_new(sd_event *event, struct gr_control *c, struct gr_streams **ret);
void gr_streams_free(struct gr_streams *s); // after the server; NULL is fine
// Something changed: it is looked at now, or soon when that was just done.
void gr_streams_notify(struct gr_streams *s);
