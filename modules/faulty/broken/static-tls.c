// Thread-local storage in the initial-exec model: takes room that the process never gets back.
static __thread volatile int counter __attribute__((tls_model("initial-exec")));

__attribute__((used)) static int count(void)
{
    return ++counter;
}
