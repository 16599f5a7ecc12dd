// What the verifier and grayling-preflight agree on. The child gets three descriptors; the request
// is one JSON object {"module","version","path","build_id","config"?} in a memfd, the verdict one
// JSON object in a pipe: {"ok":true} or {"reason","message"}. No verdict is a verdict too: the
// candidate ended the process.
#pragma once

enum { GR_PREFLIGHT_FD_MODULE = 3, GR_PREFLIGHT_FD_REQUEST = 4, GR_PREFLIGHT_FD_VERDICT = 5 };
#define GR_PREFLIGHT_REQUEST_MAX (512u * 1024) // a configuration at its cap, escaped
