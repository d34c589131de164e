// audit_key.c - the keys that sign the audit chain, in files: hex digits on one line.

#include "audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/core.h>
#include <sodium/crypto_sign_ed25519.h>
#include <sodium/utils.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert((int)STORE_KEY_BYTES == crypto_sign_ed25519_SECRETKEYBYTES, "an Ed25519 key");
_Static_assert((int)STORE_PUBLIC_KEY_BYTES == crypto_sign_ed25519_PUBLICKEYBYTES, "and its other");

enum { TEXT_BYTES = 2 * STORE_KEY_BYTES + 2 };

// ---- reading ---------------------------------------------------------------------------

// read_key reads so many bytes in hex, with or without a newline behind them.
static bool
read_key(int fd, const char *path, uint8_t *key, size_t size, char *why, size_t room)
{
    char text[TEXT_BYTES + 1];
    ssize_t is = read(fd, text, sizeof text);
    size_t found = 0;
    const char *end = NULL;
    bool is_read = is >= (ssize_t)(2 * size) && is <= (ssize_t)(2 * size + 1) &&
                   (is == (ssize_t)(2 * size) || text[2 * size] == '\n') &&
                   sodium_hex2bin(key, size, text, 2 * size, NULL, &found, &end) == 0 &&
                   found == size;
    sodium_memzero(text, sizeof text);
    if (!is_read)
        snprintf(why, room, "%.150s is no such key: it has %zu hex digits on one line", path,
                 2 * size);
    return is_read;
}

static int
open_key(const char *path, char *why, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        snprintf(why, room, "%.150s: %s", path, strerror(errno));
    return fd;
}

bool
audit_key_read(const char *path, uint8_t key_out[STORE_KEY_BYTES], char *why, size_t room)
{
    struct stat is;
    int fd = open_key(path, why, room);
    if (fd < 0)
        return false;
    bool is_private = fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && (is.st_mode & 077) == 0;
    if (!is_private)
        snprintf(why, room, "others may read %.120s: chmod 0600 it", path);
    bool is_read = is_private && read_key(fd, path, key_out, STORE_KEY_BYTES, why, room);
    close(fd);
    return is_read;
}

bool
audit_key_read_public(const char *path, uint8_t key_out[STORE_PUBLIC_KEY_BYTES], char *why,
                      size_t room)
{
    int fd = open_key(path, why, room);
    if (fd < 0)
        return false;
    bool is_read = read_key(fd, path, key_out, STORE_PUBLIC_KEY_BYTES, why, room);
    close(fd);
    return is_read;
}

// ---- making ----------------------------------------------------------------------------

static bool
write_key(const char *path, mode_t mode, const uint8_t *key, size_t size, char *why, size_t room)
{
    char text[TEXT_BYTES];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    sodium_bin2hex(text, sizeof text, key, size);
    text[2 * size] = '\n';
    ssize_t bytes = (ssize_t)(2 * size + 1);
    bool is_written = fd >= 0 && write(fd, text, (size_t)bytes) == bytes && fsync(fd) == 0;
    if (!is_written)
        snprintf(why, room, "%.150s: %s", path, strerror(errno));
    if (!is_written && fd >= 0)
        unlink(path);
    if (fd >= 0)
        close(fd);
    sodium_memzero(text, sizeof text);
    return is_written;
}

bool
audit_key_make(const char *path, char *why, size_t room)
{
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES], secret_key[STORE_KEY_BYTES];
    char public_path[4096];
    if (sodium_init() < 0 || strlen(path) + 5 > sizeof public_path) {
        snprintf(why, room, "libsodium cannot be used, or the path is too long");
        return false;
    }
    snprintf(public_path, sizeof public_path, "%s.pub", path);
    crypto_sign_ed25519_keypair(public_key, secret_key);
    bool is_made = write_key(path, 0600, secret_key, sizeof secret_key, why, room);
    sodium_memzero(secret_key, sizeof secret_key);
    if (is_made && !write_key(public_path, 0644, public_key, sizeof public_key, why, room)) {
        unlink(path);
        is_made = false;
    }
    return is_made;
}
