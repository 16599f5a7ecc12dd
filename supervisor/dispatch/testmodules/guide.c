// Asks probe, then peer with its own payload, and answers both versions; a callee's failure is its
// own.
#include <grayling/module.h>
#include <string.h>

static const struct grayling_host *host;

static int32_t handle(void *self, struct grayling_call *call,
                      const struct grayling_request *request)
{
    static const char *const interfaces[] = {"com.example.probe.Probe", "com.example.peer.Peer"};
    char both[64] = "";
    (void)self;
    for (int i = 0; i < 2; i++) {
        struct grayling_bytes answer, payload = {0};
        int32_t code = host->call(call, interfaces[i], "Version",
                                  i == 1 ? request->payload : payload, &answer);
        if (code != GRAYLING_OK)
            return code;
        size_t len = strlen(both);
        if (len + answer.size + 1 >= sizeof(both))
            return GRAYLING_OUT_OF_RANGE;
        memcpy(both + len, answer.data, answer.size);
        strcpy(both + len + answer.size, i == 0 ? "+" : "");
    }
    return host->respond(call, (struct grayling_bytes){both, strlen(both)});
}

static int32_t init(const struct grayling_host *given, const struct grayling_init *init,
                    void **self)
{
    (void)init;
    host = given;
    *self = NULL;
    return GRAYLING_OK;
}

static const struct grayling_module guide = {
    .magic = GRAYLING_MAGIC,
    .struct_size = sizeof(guide),
    .abi_major = GRAYLING_ABI_MAJOR,
    .abi_minor = GRAYLING_ABI_MINOR,
    .init = init,
    .handle = handle,
};

const struct grayling_module *grayling_module_entry(void)
{
    return &guide;
}
