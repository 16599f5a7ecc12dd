// Faults in a constructor: whoever loads the file dies inside dlopen.
__attribute__((constructor)) static void crash(void)
{
    static volatile int *volatile nowhere;
    *nowhere = 1;
}
