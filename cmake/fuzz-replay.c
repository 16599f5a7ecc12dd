// Replays a corpus through a fuzz target without libFuzzer: every file of every directory named on
// the command line.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    size_t cap = 4u << 20;
    uint8_t *bytes = malloc(cap);
    size_t len = bytes ? fread(bytes, 1, cap, f) : 0;
    fclose(f);
    // an exact-size copy, so that reading past the end is seen by the address sanitizer
    uint8_t *exact = malloc(len ? len : 1);
    for (size_t i = 0; exact && i < len; i++)
        exact[i] = bytes[i];
    if (exact)
        LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *de; (de = readdir(d));) {
            char path[4096];
            if (de->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], de->d_name);
            if (replay(path) < 0)
                return 1;
            n++;
        }
        closedir(d);
    }
    printf("%u inputs replayed\n", n);
    return n ? 0 : 1; // an empty corpus proves nothing
}
