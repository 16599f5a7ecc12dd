// Needs a function that no library has.
int nobody_defines_this(void);

__attribute__((used)) static int call_nobody(void)
{
    return nobody_defines_this();
}
