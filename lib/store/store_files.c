// store_files.c - the small files that stand beside a store.

#include "store_files.h"

#include "bytes.h"
#include "siphash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool
name_file(char to[STORE_PATH_BYTES_MAX], const char *path, const char *end)
{
    int size = snprintf(to, STORE_PATH_BYTES_MAX, "%s%s", path, end);
    return size > 0 && size < STORE_PATH_BYTES_MAX;
}

static int
open_beside(const char *path, const char *end, int flags)
{
    char name[STORE_PATH_BYTES_MAX];
    return name_file(name, path, end) ? open(name, flags | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
}

// ---- the anchor ----------------------------------------------------------------------

enum { SLOT_BYTES = 64, SLOTS = 2, MAGIC = 0x47416e31 }; // "GAn1"

// The key is no secret: the checksum is against torn and flipped bytes.
static uint64_t
checksum(const uint8_t *slot)
{
    static const struct siphash_key key = {{0x616e63686f72u, 1}};
    return siphash(&key, view_of(slot, SLOT_BYTES - 8));
}

int
anchor_open(const char *path)
{
    return open_beside(path, ".anchor", O_RDWR | O_CREAT);
}

int
anchor_open_to_read(const char *path)
{
    return open_beside(path, ".anchor", O_RDONLY);
}

static bool
decode_slot(const uint8_t *slot, struct store_anchor *anchor_out)
{
    if (bytes_get32(slot) != MAGIC || bytes_get64(slot + SLOT_BYTES - 8) != checksum(slot))
        return false;
    anchor_out->incarnation = bytes_get64(slot + 8);
    anchor_out->changes = bytes_get64(slot + 16);
    memcpy(anchor_out->head, slot + 24, sizeof anchor_out->head);
    return true;
}

static bool
is_newer(const struct store_anchor *one, const struct store_anchor *other)
{
    return one->incarnation != other->incarnation ? one->incarnation > other->incarnation
                                                  : one->changes > other->changes;
}

bool
anchor_read(int fd, struct store_anchor *anchor_out, unsigned *slot_out)
{
    bool has_one = false;
    *slot_out = 0;
    for (unsigned at = 0; at < SLOTS; at++) {
        uint8_t slot[SLOT_BYTES];
        struct store_anchor one;
        if (pread(fd, slot, sizeof slot, at * SLOT_BYTES) == SLOT_BYTES &&
            decode_slot(slot, &one) && (!has_one || is_newer(&one, anchor_out))) {
            *anchor_out = one;
            *slot_out = at + 1;
            has_one = true;
        }
    }
    return has_one;
}

bool
anchor_write(int fd, unsigned *slot, const struct store_anchor *anchor)
{
    uint8_t bytes[SLOT_BYTES] = {0};
    bytes_put32(bytes, MAGIC);
    bytes_put64(bytes + 8, anchor->incarnation);
    bytes_put64(bytes + 16, anchor->changes);
    memcpy(bytes + 24, anchor->head, sizeof anchor->head);
    bytes_put64(bytes + SLOT_BYTES - 8, checksum(bytes));
    off_t at = (off_t)(*slot % SLOTS) * SLOT_BYTES;
    *slot += 1;
    return pwrite(fd, bytes, sizeof bytes, at) == SLOT_BYTES && fdatasync(fd) == 0;
}

// ---- faults --------------------------------------------------------------------------

enum { TEN_MINUTES_MS = 10 * 60 * 1000, NOTES_BYTES_MAX = 64 * 1024 };

static void
add_line(const char *path, uint64_t now_ms, const char *mark, const char *what)
{
    char line[STORE_ERROR_BYTES + 64];
    int fd = open_beside(path, ".fault", O_WRONLY | O_CREAT | O_APPEND);
    if (fd < 0)
        return;
    int size =
        snprintf(line, sizeof line, "%llu %s %.255s\n", (unsigned long long)now_ms, mark, what);
    if (write(fd, line, (size_t)size) == size)
        fsync(fd);
    close(fd);
}

void
fault_note(const char *path, uint64_t now_ms, const char *what)
{
    add_line(path, now_ms, "fault", what);
}

void
fault_checked(const char *path, uint64_t now_ms)
{
    add_line(path, now_ms, "checked", "the store is whole");
}

enum fault_history
fault_read(const char *path)
{
    static char text[NOTES_BYTES_MAX + 1];
    int fd = open_beside(path, ".fault", O_RDONLY);
    ssize_t size = fd >= 0 ? pread(fd, text, NOTES_BYTES_MAX, 0) : 0;
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    enum fault_history history = FAULT_NONE;
    uint64_t before_ms = 0;
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n'), *mark;
        if (end == NULL)
            break;
        uint64_t at_ms = strtoull(line, &mark, 10);
        if (strncmp(mark, " fault ", 7) == 0) {
            bool is_soon = before_ms > 0 && at_ms - before_ms <= TEN_MINUTES_MS;
            history = is_soon || history == FAULT_TWICE ? FAULT_TWICE : FAULT_NOTED;
            before_ms = at_ms;
        } else if (history == FAULT_NOTED) {
            history = FAULT_NONE;
        }
        line = end + 1;
    }
    return history;
}

void
fault_forget_cached(const char *path)
{
    static const char *const ends[] = {"", "-wal"};
    for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) {
        int fd = open_beside(path, ends[at], O_RDONLY);
        if (fd < 0)
            continue;
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
}

bool
log_sync(const char *path)
{
    int fd = open_beside(path, "-wal", O_RDONLY);
    if (fd < 0)
        return errno == ENOENT;
    bool is_synced = fdatasync(fd) == 0;
    close(fd);
    return is_synced;
}

// ---- room ----------------------------------------------------------------------------

enum { MIB = 1024 * 1024, ENOUGH_MIB = 512, BALLAST_MIB = 64, SPARE_MIB = 64 };

static bool
read_room(const char *path, uint64_t *free_out, uint64_t *all_out)
{
    struct statvfs room;
    if (statvfs(path, &room) != 0)
        return false;
    *free_out = (uint64_t)room.f_bavail * room.f_frsize;
    *all_out = (uint64_t)room.f_blocks * room.f_frsize;
    return true;
}

// A tenth of the disk, but no more than 512 MiB: a tenth of a large disk is a lot of room.
bool
room_is_short(const char *path, uint64_t least, bool was_short)
{
    uint64_t left, all, enough = least > 0 ? least : (uint64_t)ENOUGH_MIB * MIB;
    if (!read_room(path, &left, &all))
        return false;
    if (least == 0 && all / 10 < enough)
        enough = all / 10;
    // Not an eighth of a large limit: nobody would understand what it waits for.
    uint64_t spare = enough / 8 < SPARE_MIB * MIB ? enough / 8 : SPARE_MIB * MIB;
    return left < (was_short ? enough + spare : enough);
}

void
ballast_take(const char *path)
{
    uint64_t left, all, bytes = (uint64_t)BALLAST_MIB * MIB;
    if (!read_room(path, &left, &all))
        return;
    if (all / 64 < bytes)
        bytes = all / 64;
    int fd = open_beside(path, ".ballast", O_RDWR | O_CREAT);
    struct stat is;
    if (fd >= 0 && fstat(fd, &is) == 0 && (uint64_t)is.st_size < bytes && left > 4 * bytes &&
        posix_fallocate(fd, 0, (off_t)bytes) != 0)
        ballast_drop(path);
    if (fd >= 0)
        close(fd);
}

void
ballast_drop(const char *path)
{
    char name[STORE_PATH_BYTES_MAX];
    if (name_file(name, path, ".ballast"))
        unlink(name);
}
