// bstar_record.c - a file that is made whole or not at all, and then written slot by slot.

#include "bstar_record.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const char *
bstar_trouble_text(enum bstar_trouble trouble)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        BSTAR_TROUBLE_MAP(X)
#undef X
    };
    return texts[trouble];
}

void
bstar_record_complain(const char *path, enum bstar_trouble trouble, int error)
{
    log_error("PAIR-RECORD", "file=\"%s\" why=\"%s\" error=\"%s\"", path,
              bstar_trouble_text(trouble), error == 0 ? "" : strerror(error));
}

// ---- making one -----------------------------------------------------------------------------

static bool
write_whole(int fd, const uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
        at += written;
    }
    return true;
}

// sync_folder makes the name last.
static int
sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int
fill(int fd, struct bstar_owner *owner)
{
    while (owner->node == 0)
        if (getrandom(&owner->node, sizeof owner->node, 0) != sizeof owner->node)
            return errno;
    uint8_t file[BSTAR_FILE_BYTES] = {0};
    struct bstar_record nobody = {.pair = owner->pair};
    bstar_record_encode(&nobody, file + bstar_record_offset(&nobody));
    bstar_owner_encode(owner, file + BSTAR_RECORD_BYTES);
    bool is_written = write_whole(fd, file, sizeof file, 0) && fsync(fd) == 0;
    return is_written ? 0 : errno;
}

int
bstar_record_make(const char *path, struct bstar_owner owner)
{
    char draft[PATH_MAX];
    int size = snprintf(draft, sizeof draft, "%s.%ld.new", path, (long)getpid());
    if (size >= (int)sizeof draft)
        return ENAMETOOLONG;
    int fd = open(draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = fill(fd, &owner);
    close(fd);
    // A link takes nobody's place: where there is a file, it stays.
    if (error == 0 && link(draft, path) != 0)
        error = errno;
    unlink(draft);
    return error == 0 ? sync_folder(path) : error;
}

// ---- reading --------------------------------------------------------------------------------

static enum bstar_trouble
read_file(int fd, uint64_t pair, char member, struct bstar_owner *owner_out,
          struct bstar_record *record_out)
{
    uint8_t file[BSTAR_FILE_BYTES];
    ssize_t size = pread(fd, file, sizeof file, 0);
    if (size < 0)
        return BSTAR_RECORD_FAILED;
    if (size != sizeof file || !bstar_owner_decode(file + BSTAR_RECORD_BYTES, owner_out))
        return BSTAR_RECORD_BAD;
    if (owner_out->pair != pair || owner_out->member != member)
        return BSTAR_RECORD_FOREIGN;
    bool is_found = bstar_record_decode(view_of(file, BSTAR_RECORD_BYTES), pair, record_out);
    return is_found ? BSTAR_RECORD_GOOD : BSTAR_RECORD_BAD;
}

static enum bstar_trouble
lock(int fd)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0)
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? BSTAR_RECORD_LOCKED : BSTAR_RECORD_FAILED;
    return BSTAR_RECORD_GOOD;
}

enum bstar_trouble
bstar_record_open(struct bstar_record_file *self, const char *path, uint64_t pair, char member,
                  struct bstar_owner *owner_out, struct bstar_record *record_out)
{
    self->error = 0;
    self->fd = open(path, O_RDWR | O_CLOEXEC);
    if (self->fd < 0 && errno == ENOENT)
        return BSTAR_RECORD_MISSING;
    if (self->fd < 0) {
        self->error = errno;
        return BSTAR_RECORD_FAILED;
    }
    enum bstar_trouble trouble = lock(self->fd);
    if (trouble == BSTAR_RECORD_GOOD)
        trouble = read_file(self->fd, pair, member, owner_out, record_out);
    if (trouble == BSTAR_RECORD_GOOD) {
        // What was read may be in the system's memory only, after a write that failed.
        record_out->serial++;
        if (!bstar_record_write(self, record_out))
            trouble = BSTAR_RECORD_FAILED;
    }
    if (trouble == BSTAR_RECORD_FAILED)
        self->error = errno;
    if (trouble != BSTAR_RECORD_GOOD)
        bstar_record_close(self);
    return trouble;
}

void
bstar_record_close(struct bstar_record_file *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

// ---- writing --------------------------------------------------------------------------------

bool
bstar_record_write(const struct bstar_record_file *self, const struct bstar_record *record)
{
    uint8_t slot[BSTAR_SLOT_BYTES];
    bstar_record_encode(record, slot);
    return write_whole(self->fd, slot, sizeof slot, (off_t)bstar_record_offset(record)) &&
           fdatasync(self->fd) == 0;
}
