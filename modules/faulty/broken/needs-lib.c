// Needs a library beyond libc, which a host does not allow.
const char *sqlite3_libversion(void);

__attribute__((used)) static const char *call_library(void)
{
    return sqlite3_libversion();
}
