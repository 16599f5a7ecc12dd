// grayling-worker: started by graylingd only, with the channel as descriptor 3.
#include "base/child.h"
#include "base/log.h"
#include "dispatch/endings/endings.h"
#include "worker/worker.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#define CHANNEL_FD 3

int main(void)
{
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET) {
        fputs("grayling-worker is started by graylingd, which hands it a channel as descriptor 3\n",
              stderr);
        return 2;
    }
    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    gr_program_take_name();
    gr_endings_install();
    gr_log_init("grayling-worker");
    return gr_worker_run(CHANNEL_FD);
}
