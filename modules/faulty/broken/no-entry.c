// A shared library with a contract but without grayling_module_entry().
__attribute__((used)) static int nothing(void)
{
    return 0;
}
