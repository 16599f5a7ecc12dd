// Read-only bytes that nobody reads: they make a module larger, see PAD_BYTES of
// grayling_add_module().
static const unsigned char padding[GRAYLING_PAD_BYTES] __attribute__((used)) = {1};
