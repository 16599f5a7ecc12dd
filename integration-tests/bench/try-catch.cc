#include "try-catch.h"

int32_t bench_try(int32_t (*call)(void *), void *arg)
{
    try {
        return call(arg);
    } catch (int32_t) {
        return -1;
    }
}

int32_t bench_throw(void *arg)
{
    throw *static_cast<int32_t *>(arg);
}
