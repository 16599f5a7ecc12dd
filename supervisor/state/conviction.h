// A conviction as other hosts write it to etcd (INTERFACES §4), and the lift that an operator puts
// in its place. Pure.
#pragma once
#include "state/journal.h"

// {"module","version","reason","evidence","instance","at"[,"lifted":{"actor","reason","at"}]}; what
// else there is is left to its writer. ret_lift->at 0: it stands. Fails: -EINVAL DocumentInvalid,
// the sentence begins with the field's path.
GR_MUST_CHECK int gr_conviction_parse(const struct gr_digest *digest, const char *bytes, size_t len,
                                      struct gr_conviction *ret, struct gr_lift *ret_lift,
                                      struct gr_error *e);
