// Ends the process in a constructor, with the status of success.
#include <stdlib.h>

__attribute__((constructor)) static void leave(void)
{
    exit(0);
}
