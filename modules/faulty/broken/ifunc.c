// An indirect function: its resolver runs inside dlopen, before any constructor.
static int answer(void)
{
    return 0;
}

__attribute__((used)) static int (*resolve(void))(void)
{
    return answer;
}

static int indirect(void) __attribute__((ifunc("resolve")));

__attribute__((used)) static int call_indirect(void)
{
    return indirect();
}
