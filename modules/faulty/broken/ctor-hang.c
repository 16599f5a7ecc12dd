// Never returns from a constructor: whoever loads the file stays inside dlopen.
#include <unistd.h>

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}
