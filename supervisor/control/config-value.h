// Single values of the configuration as operators spell them. Pure.
#pragma once
#include "base/macros.h"
#include <stdbool.h>
#include <stdint.h>

// "64M", "3K", "1G", "17". Fails: -EINVAL no number, -ERANGE over max.
GR_MUST_CHECK int gr_config_parse_size(const char *text, uint64_t max, uint64_t *ret);
// yes true on 1, no false off 0, in any case. Fails: -EINVAL.
GR_MUST_CHECK int gr_config_parse_bool(const char *text, bool *ret);
// "127.0.0.1:8080", "[::1]:8080", "*:8080", "localhost:8080", "unix:/path".
bool gr_config_is_address(const char *text);
// "http://HOST[:PORT][/]" or https.
bool gr_config_is_endpoint(const char *text);
// "http://HOST[:PORT][/PATH]" or https, without user, query and fragment.
bool gr_config_is_url(const char *text);
// "0", "1", "0.01": up to six decimals, as millionths. Fails: -EINVAL.
GR_MUST_CHECK int gr_config_parse_ratio(const char *text, unsigned *ret_ppm);
// As it is parsed, without zeros at the end.
void gr_config_format_ratio(unsigned ppm, char ret[32]);
// Edits between two short words, whatever their case (Levenshtein 1966), for "did you mean".
unsigned gr_config_distance(const char *a, const char *b);
