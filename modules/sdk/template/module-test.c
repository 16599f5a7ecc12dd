// Loads the built module into a host of a few lines, calls it once, and looks at the answer.
#include <dlfcn.h>
#include <grayling/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char answer[256];

static void *host_alloc(const struct grayling_host *host, uint64_t size)
{
    (void)host;
    return malloc(size);
}

static void host_free(const struct grayling_host *host, void *memory)
{
    (void)host;
    free(memory);
}

static void host_fail(struct grayling_call *call, const char *message)
{
    (void)call;
    fprintf(stderr, "the module says: %s\n", message);
}

static int32_t host_respond(struct grayling_call *call, struct grayling_bytes payload)
{
    (void)call;
    snprintf(answer, sizeof answer, "%.*s", (int)payload.size, (const char *)payload.data);
    return GRAYLING_OK;
}

static int check(int good, const char *what)
{
    if (!good)
        fprintf(stderr, "failed: %s\n", what);
    return good;
}

int main(int argc, char **argv)
{
    const struct grayling_host host = {.struct_size = sizeof host,
                                       .alloc = host_alloc,
                                       .free = host_free,
                                       .respond = host_respond,
                                       .fail = host_fail};
    const struct grayling_init init = {.struct_size = sizeof init, .config = {"{}", 2}};
    const struct grayling_request request = {
        .struct_size = sizeof request, .codec = GRAYLING_CODEC_JSON, .payload = {"{}", 2}};
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!check(library != NULL, "loading MODULE.so, the only argument"))
        return 1;
    grayling_module_entry_fn entry;
    *(void **)&entry = dlsym(library, "grayling_module_entry");
    const struct grayling_module *module = entry();
    void *self = NULL;
    if (!check(module->init(&host, &init, &self) == GRAYLING_OK, "init"))
        return 1;
    int good = check(module->handle(self, NULL, &request) == GRAYLING_OK, "handle") &&
               check(strcmp(answer, "{\"greeting\":\"hello\",\"number\":1}") == 0, answer);
    module->destroy(self);
    return good && check(dlclose(library) == 0, "unloading") ? 0 : 1;
}
