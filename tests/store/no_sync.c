// no_sync.c - SQLite's syncs do nothing.
//
// A program's functions go before those of libraries, so these are the ones that SQLite calls
// through its ordinary file layer. Where no disk stands for a folder nobody loses power, and a
// sync would only cost time.

#include <unistd.h>

__attribute__((visibility("default"))) int
fsync(int fd)
{
    (void)fd;
    return 0;
}

__attribute__((visibility("default"))) int
fdatasync(int fd)
{
    (void)fd;
    return 0;
}
