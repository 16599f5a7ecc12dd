// What those who watch this host are shown: the host and each module as a text of JSON, rendered
// once for all of them. Each text has the number of the change that made it, so that whoever was
// slow is told the newest and nothing in between. Knows no connection and no clock.
#pragma once
#include "base/buf.h"
#include "control/view.h"
#include <cjson/cJSON.h>

struct gr_board;
GR_MUST_CHECK int gr_board_new(struct gr_board **ret); // -ENOMEM
void gr_board_free(struct gr_board *b);                // NULL is fine
// Renders the view. Fails: -ENOMEM; some texts may be older than others then.
GR_MUST_CHECK int gr_board_update(struct gr_board *b, const struct gr_view *v);
// Appends what has changed after *seen (0: everything) as server-sent events `host` and `module`,
// oldest change first, until `out` holds GR_STREAM_SAY_BYTES; *seen is the last one told. `host`
// lists the modules that there are. Fails: -ENOMEM, -E2BIG.
GR_MUST_CHECK int gr_board_tell(const struct gr_board *b, uint64_t *seen, struct gr_buf *out);

// A module as gr_view_module_to_json() has it, and more: `gates` (each enabled gate of the newest
// verdict by name), and of each version `source` (without user, password and query), `actor`, `why`
// and `contract`. NULL: out of memory.
cJSON *gr_board_module_json(const struct gr_view_module *m);
