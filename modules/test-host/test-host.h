// A host of a few lines for tests: loads one built module, calls it, and keeps what it answered.
// Serves the tests of what modules do; what a host must do with modules is tested with the real
// one.
#pragma once
#include <grayling/module.h>

// What the last call left behind, and what the module gets when it calls another one.
struct test_host_seen {
    char answer[1024];
    unsigned answers;
    char sentence[256];
    char log[256];
    char counted[64]; // "name add" of the last count()
    char called[512]; // "interface/method payload" of a call to another module
    int32_t callee_code;
    const char *callee_answer;
};
extern struct test_host_seen seen;

struct instance {
    void *library;
    const struct grayling_module *module;
    void *self;
    const char *method_name; // what the next calls are told beside the number; may be NULL
};

// Loads $GRAYLING_BUILD/modules/{name}.so and forgets what was seen. Fails the test that calls it.
struct instance instance_load(const char *name);
// Returns init()'s code.
int32_t instance_init(struct instance *i, const char *config);
// Load, init and self_test; fails the test that calls it.
struct instance instance_start(const char *name, const char *config);
void instance_stop(struct instance *i);

// Calls handle() with a JSON payload; authorization: that header, or NULL.
int32_t instance_call(struct instance *i, uint32_t method, const char *payload,
                      const char *authorization);
