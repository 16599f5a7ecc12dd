// A host in forty lines: loads a module beside nothing else, routes it, asks it once, unloads it.
// It knows no etcd, no supervisor and no network; the dispatch library is all that it links.
//
//   grayling-example-host FILE.so INTERFACE METHOD PAYLOAD
#include "dispatch/dispatch.h"
#include <stdio.h>
#include <string.h>

static int fail(const struct gr_error *e)
{
    fprintf(stderr, "host: %s\n", e->message);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(stderr, "usage: %s FILE.so INTERFACE METHOD PAYLOAD\n", argv[0]), 2;
    struct gr_dispatch *d;
    struct gr_thread *self;
    struct gr_instance *module;
    struct gr_swap_result swapped;
    struct gr_error e = {0};
    struct gr_dispatch_options options = {.max_threads = 1};
    struct gr_load load = {.path = argv[1], .fd = -1};

    if (gr_dispatch_new(&options, &d, &e) < 0 || gr_instance_load(d, &load, &module, &e) < 0)
        return fail(&e);
    struct gr_change change = {.module = gr_instance_contract(module)->module.s, .stable = module};
    if (gr_guard_install(d) < 0 || gr_thread_attach(d, &self) < 0 ||
        gr_dispatch_swap(d, &change, 1, GR_USEC_PER_SEC, &swapped, &e) < 0)
        return fail(&e);

    struct grayling_request request = {.struct_size = sizeof request,
                                       .interface_name = argv[2],
                                       .method_name = argv[3],
                                       .payload = {argv[4], strlen(argv[4])},
                                       .request_id = "example"};
    struct gr_response response;
    if (gr_dispatch_call(self, &request, &response) ==
        GR_CALL_DONE) // no gate closes without a second thread
        printf("%s %s: code %d %s%.*s\n", response.module, response.version, response.code,
               response.message, (int)response.payload.size, (const char *)response.payload.data);
    int status = response.code == GRAYLING_OK ? 0 : 4;
    gr_response_done(d, &response);
    gr_thread_detach(self);
    gr_dispatch_free(d); // takes the module out of the table, then unloads it
    return status;
}
