// The writer's half of the asymmetric pair: membarrier(2) with PRIVATE_EXPEDITED, or a fence where
// the kernel refuses it.
#include "dispatch/asym.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

bool gr_asym_fences;

static int membarrier(int command)
{
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void choose(void)
{
    gr_asym_fences = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) < 0;
}

void gr_asym_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
}

void gr_asym_heavy(void)
{
#ifndef GR_TSAN
    if (!gr_asym_fences && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
        return;
    atomic_thread_fence(memory_order_seq_cst);
#endif
}
