// What the verbs about a module's file share.
#pragma once
#include "verifier/verify.h"
#include <cjson/cJSON.h>

// Name, hash, machine, identity and verdict of one file; the caller's.
cJSON *gr_artifact_facts(const char *file, const struct gr_inspection *i);
