// replay.c - a main() for fuzz targets in builds without libFuzzer.
//
// It gives the target an empty input, every file named on the command line, and
// for each of these a number of broken copies: bytes changed, the end cut off.
// The changes come from a fixed seed, so that a failure comes again. It is no
// search; it keeps the targets compiling and the corpus passing everywhere.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT_SIZE_MAX = 1 << 16,
    COPIES_OF_FILE = 200,
    COPIES_OF_NOTHING = 5000,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

// give hands the target a copy of exactly this size, so that a read past its
// end is seen.
static void
give(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void
give_broken_copies(const uint8_t *data, size_t size, uint32_t *random)
{
    static uint8_t broken[INPUT_SIZE_MAX];
    for (int i = 0; i < COPIES_OF_FILE && size > 0; i++) {
        memcpy(broken, data, size);
        for (uint32_t changes = 1 + next_random(random) % 4; changes > 0; changes--)
            broken[next_random(random) % size] = (uint8_t)next_random(random);
        give(broken, i % 4 == 0 ? next_random(random) % size : size);
    }
}

static void
give_noise(uint32_t *random)
{
    uint8_t noise[256];
    for (int i = 0; i < COPIES_OF_NOTHING; i++) {
        size_t size = next_random(random) % (sizeof noise + 1);
        for (size_t at = 0; at < size; at++)
            noise[at] = (uint8_t)next_random(random);
        give(noise, size);
    }
}

static int
give_file(const char *path, uint32_t *random)
{
    static uint8_t data[INPUT_SIZE_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    give(data, size);
    give_broken_copies(data, size, random);
    return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
    uint32_t random = 2463534242;
    int rc = EXIT_SUCCESS;
    give(NULL, 0);
    give_noise(&random);
    for (int i = 1; i < argc; i++)
        if (give_file(argv[i], &random) != EXIT_SUCCESS)
            rc = EXIT_FAILURE;
    printf("%d files replayed\n", argc - 1);
    return rc;
}
