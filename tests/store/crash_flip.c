// crash_flip.c - damages real files.

#include "crash_flip.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
flip_bit(int fd, uint64_t bit)
{
    uint8_t byte;
    if (pread(fd, &byte, 1, (off_t)(bit / 8)) != 1)
        return false;
    byte ^= (uint8_t)(1u << (bit % 8));
    return pwrite(fd, &byte, 1, (off_t)(bit / 8)) == 1;
}

bool
crash_flip(struct prng *prng, const char *path, struct flip *flip_out)
{
    static const char *const ends[] = {"", "-wal", ".anchor"};
    static const enum flip_file files[] = {FLIP_DATABASE, FLIP_DATABASE, FLIP_LOG, FLIP_LOG,
                                           FLIP_ANCHOR};
    flip_out->file = files[prng_below(prng, sizeof files / sizeof *files)];
    char name[512];
    snprintf(name, sizeof name, "%s%s", path, ends[flip_out->file]);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    struct stat is;
    bool is_done = fd >= 0 && fstat(fd, &is) == 0 && is.st_size > 0;
    if (is_done) {
        flip_out->is_cut = prng_below(prng, 4) == 0;
        uint64_t size = (uint64_t)is.st_size;
        flip_out->at = prng_below(prng, flip_out->is_cut ? size : size * 8);
        is_done =
            flip_out->is_cut ? ftruncate(fd, (off_t)flip_out->at) == 0 : flip_bit(fd, flip_out->at);
    }
    if (fd >= 0)
        close(fd);
    return is_done;
}
