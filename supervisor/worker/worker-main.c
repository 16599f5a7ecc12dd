// grayling-worker: started by graylingd only, with the channel as descriptor 3. Itself it starts
// its spawner, and that the processes of isolated versions, from the same program.
#include "base/child.h"
#include "base/log.h"
#include "base/release.h"
#include "dispatch/endings/endings.h"
#include "worker/isolated.h"
#include "worker/spawner.h"
#include "worker/worker.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CHANNEL_FD 3

static int is_asked_for(int argc, char **argv, const char *what)
{
    return argc == 2 && strcmp(argv[1], what) == 0;
}

int main(int argc, char **argv)
{
    if (gr_release_told(argc, argv, "grayling-worker"))
        return 0;
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET) {
        fputs("grayling-worker is started by graylingd, which hands it a channel as descriptor 3\n",
              stderr);
        return 2;
    }
    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    gr_program_take_name();
    gr_log_init("grayling-worker");
    if (is_asked_for(argc, argv, GR_SPAWNER_ARGUMENT))
        return gr_spawner_run(CHANNEL_FD);
    gr_endings_install();
    if (is_asked_for(argc, argv, GR_ISOLATED_ARGUMENT))
        return gr_isolated_run(CHANNEL_FD);
    return gr_worker_run(CHANNEL_FD);
}
