// Any bytes as a Host header: what is taken for ours is an address, or one of the names.
#include "control/admin-guard.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char own[256] = "", *host = malloc(size + 1);
    if (!host)
        return 0;
    memcpy(host, data, size);
    host[size] = '\0';
    (void)gethostname(own, sizeof own - 1);
    if (gr_admin_host_is_ours(host, "127.0.0.1:1", "grayling.example")) {
        size_t name = strcspn(host, ":");
        bool named = strncasecmp(host, "localhost", 9) == 0 || strncasecmp(host, own, name) == 0 ||
                     strncasecmp(host, "grayling.example", 16) == 0;
        if (!named && *host != '[' && strspn(host, "0123456789.") != name)
            abort();
    }
    free(host);
    return 0;
}
