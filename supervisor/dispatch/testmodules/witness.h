// What a test and the module probe share by a pointer in the payload: the test forbids a version,
// probe tells when it ran although it was forbidden.
#pragma once
#include <stdatomic.h>
#include <stdint.h>

struct witness {
    _Atomic uint32_t forbidden[3]; // by major version
    _Atomic uint64_t violations;
};
