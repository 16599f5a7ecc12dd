// grayling-store: writes one file of the store and makes it durable, so that the supervisor's loop
// need not wait for the disk. Started by the supervisor only: descriptor 3 has the bytes, 4 is the
// store's directory; the arguments are the name and the number of bytes. Its status is 0 or errno.
#include "base/child.h"
#include "base/fs.h"
#include "base/release.h"
#include "verifier/store-wire.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char *end = "";
    if (gr_release_told(argc, argv, "grayling-store"))
        return 0;
    gr_program_take_name();
    errno = 0;
    unsigned long long bytes = argc == 3 ? strtoull(argv[2], &end, 10) : 0;
    if (argc != 3 || errno || *end) {
        fprintf(stderr, "grayling-store is started by the supervisor, which gives it descriptors, "
                        "a name and a size\n");
        return EINVAL;
    }
    return -gr_fs_publish_fd(GR_STORE_FD_DIRECTORY, argv[1], GR_STORE_FD_BYTES, bytes, 0444);
}
