// A contract note that the contract compiler would not write: it tells one untruth, see broken() in
// CMakeLists.txt.
#ifndef NOTE_NAME
#define NOTE_NAME GRAYLING_MODULE_NAME
#endif
#ifndef NOTE_VERSION
#define NOTE_VERSION GRAYLING_MODULE_VERSION
#endif
#ifndef NOTE_ABI
#define NOTE_ABI "1"
#endif
#define CONTRACT                                                                                   \
    "{\"module\":\"" NOTE_NAME "\",\"version\":\"" NOTE_VERSION "\",\"abi\":{\"major\":" NOTE_ABI  \
    ",\"minor\":0},\"provides\":[{\"interface\":\"com.example.faulty.FaultyService\","             \
    "\"version\":\"1.0.0\",\"methods\":{\"Poke\":{\"deadline\":\"250ms\",\"idempotent\":true}}}]," \
    "\"requires\":{},\"optional\":{},\"execution\":\"inline\",\"isolation\":\"worker\"}"

static const struct {
    unsigned name_bytes, text_bytes, type;
    char name[12];
    char text[sizeof(CONTRACT) - 1];
} note __attribute__((section(".note.grayling"), used, aligned(4))) = {
    sizeof "Grayling", sizeof(CONTRACT) - 1, 1, "Grayling", CONTRACT};
