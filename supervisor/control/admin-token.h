// The secret that orders on the admin address need ([Admin] TokenFile).
#pragma once
#include "base/error.h"
#include <stdbool.h>

// Reads it: one line of 16 to 256 visible ASCII characters. Owns: *ret by the caller, who forgets
// it with gr_admin_token_free(). Fails: errno of reading, -EINVAL, with a sentence that does not
// hold it.
GR_MUST_CHECK int gr_admin_token_load(const char *path, char **ret, struct gr_error *e);
void gr_admin_token_free(char *token); // overwritten first; NULL is fine
// Whether an Authorization header ("Bearer TOKEN"; NULL: absent) has it. Takes the same time for
// each wrong one of a length.
bool gr_admin_token_is_in(const char *token, const char *authorization);
