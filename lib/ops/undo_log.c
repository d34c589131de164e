// undo_log.c - entries at the end of a file, and links to what would be gone.
//
// Whoever writes may be killed in the middle of an entry. Then the change has not been made: the
// last entry, where it is not whole, says nothing, and whoever carries the log on cuts it off.

#include "undo_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 64 * 1024 };

// ---- opening -----------------------------------------------------------------------------

static bool
name_kept(char path_out[UNDO_PATH_BYTES], const char *folder)
{
    int size = snprintf(path_out, UNDO_PATH_BYTES, "%s.undo", folder);
    return size > 0 && size < UNDO_PATH_BYTES;
}

// find_end is where the last whole entry ends.
static uint64_t
find_end(int fd)
{
    struct stat log;
    struct undo_entry entry;
    uint64_t end = 0;
    if (fstat(fd, &log) != 0)
        return 0;
    while (pread(fd, &entry, sizeof entry, (off_t)end) == sizeof entry &&
           entry.magic == UNDO_MAGIC && entry.bytes <= (uint64_t)log.st_size - end - sizeof entry)
        end += sizeof entry + entry.bytes;
    return end;
}

int
undo_log_open(struct undo_log *self, const char *folder)
{
    char kept[UNDO_PATH_BYTES];
    struct stat is;
    *self = (struct undo_log){.fd = -1, .kept_fd = -1};
    if (!name_kept(kept, folder))
        return ENAMETOOLONG;
    self->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->folder_fd >= 0 && (mkdir(kept, 0700) == 0 || errno == EEXIST))
        self->kept_fd = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->kept_fd >= 0)
        self->fd = openat(self->kept_fd, "log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->fd >= 0) {
        self->size = find_end(self->fd);
        if (ftruncate(self->fd, (off_t)self->size) == 0 && fstat(self->folder_fd, &is) == 0) {
            self->device = is.st_dev;
            self->folder = is.st_ino;
            return 0;
        }
    }
    int error = errno;
    undo_log_close(self);
    return error;
}

void
undo_log_close(struct undo_log *self)
{
    int fds[] = {self->fd, self->kept_fd, self->folder_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    self->fd = self->kept_fd = self->folder_fd = -1;
}

void
undo_log_remove(const char *folder)
{
    char kept[UNDO_PATH_BYTES];
    DIR *files = name_kept(kept, folder) ? opendir(kept) : NULL;
    const struct dirent *file;
    if (files == NULL)
        return;
    while ((file = readdir(files)) != NULL)
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0)
            unlinkat(dirfd(files), file->d_name, 0);
    closedir(files);
    rmdir(kept);
}

// ---- entries -----------------------------------------------------------------------------

// add appends bytes; the entry that they belong to is whole with the last of them.
static int
add(struct undo_log *self, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t done = pwrite(self->fd, at, size, (off_t)self->size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done == 0 ? ENOSPC : errno;
        at += done;
        size -= (size_t)done;
        self->size += (uint64_t)done;
    }
    return 0;
}

static int
add_entry(struct undo_log *self, const struct undo_entry *entry)
{
    struct undo_entry whole = *entry;
    whole.magic = UNDO_MAGIC;
    return add(self, &whole, sizeof whole);
}

// add_old appends what a file has from `at` to `end`, which it is known to have.
static int
add_old(struct undo_log *self, int fd, uint64_t at, uint64_t end)
{
    static uint8_t chunk[CHUNK_BYTES];
    char name[64];
    int error = 0;
    if (at >= end)
        return 0;
    // It may be open for writing only.
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int from = open(name, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno;
    while (error == 0 && at < end) {
        size_t wanted = end - at < sizeof chunk ? (size_t)(end - at) : sizeof chunk;
        ssize_t got = pread(from, chunk, wanted, (off_t)at);
        error = got > 0 ? add(self, chunk, (size_t)got) : got == 0 ? EIO : errno;
        at += got > 0 ? (uint64_t)got : 0;
    }
    close(from);
    return error;
}

int
undo_log_write(struct undo_log *self, int fd, uint64_t at, uint64_t size)
{
    struct stat file;
    if (size == 0)
        return 0;
    if (fstat(fd, &file) != 0)
        return errno;
    uint64_t old_size = (uint64_t)file.st_size;
    uint64_t end = at + size < old_size ? at + size : old_size;
    struct undo_entry entry = {.kind = UNDO_WRITE,
                               .file = file.st_ino,
                               .at = at,
                               .size = size,
                               .old_size = old_size,
                               .bytes = at < end ? end - at : 0};
    int error = add_entry(self, &entry);
    return error != 0 ? error : add_old(self, fd, at, end);
}

int
undo_log_resize(struct undo_log *self, int fd, uint64_t size)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return errno;
    uint64_t old_size = (uint64_t)file.st_size;
    if (size == old_size)
        return 0;
    struct undo_entry entry = {.kind = UNDO_RESIZE,
                               .file = file.st_ino,
                               .at = size,
                               .old_size = old_size,
                               .bytes = size < old_size ? old_size - size : 0};
    int error = add_entry(self, &entry);
    return error != 0 ? error : add_old(self, fd, size, old_size);
}

void
undo_log_strike(struct undo_log *self, uint64_t size)
{
    int error = errno;
    if (size != self->size && ftruncate(self->fd, (off_t)size) == 0)
        self->size = size;
    errno = error;
}

int
undo_log_sync(struct undo_log *self, int fd, uint64_t size)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return errno;
    return add_entry(self,
                     &(struct undo_entry){.kind = UNDO_SYNC, .file = file.st_ino, .at = size});
}

// ---- names -------------------------------------------------------------------------------

static int
add_names(struct undo_log *self, struct undo_entry entry, const char *one, const char *other)
{
    char names[2 * UNDO_NAME_BYTES];
    int size = snprintf(names, sizeof names, "%s%c%s", one, '\0', other);
    if (strlen(one) >= UNDO_NAME_BYTES || strlen(other) >= UNDO_NAME_BYTES)
        return ENAMETOOLONG;
    entry.bytes = (uint64_t)size + 1;
    int error = add_entry(self, &entry);
    return error != 0 ? error : add(self, names, (size_t)size + 1);
}

// keep makes another name for a file that is about to lose one; 0 in `file_out`: there is none.
static int
keep(struct undo_log *self, const char *name, uint64_t *file_out)
{
    struct stat file;
    char other[32];
    *file_out = 0;
    if (fstatat(self->folder_fd, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    snprintf(other, sizeof other, "kept-%llu", (unsigned long long)file.st_ino);
    if (linkat(self->folder_fd, name, self->kept_fd, other, 0) != 0 && errno != EEXIST)
        return errno;
    *file_out = file.st_ino;
    return 0;
}

int
undo_log_remove_name(struct undo_log *self, const char *name)
{
    struct undo_entry entry = {.kind = UNDO_REMOVE};
    int error = keep(self, name, &entry.file);
    return error != 0 || entry.file == 0 ? error : add_names(self, entry, name, "");
}

int
undo_log_rename(struct undo_log *self, const char *from, const char *to)
{
    struct undo_entry entry = {.kind = UNDO_RENAME};
    struct stat file;
    if (fstatat(self->folder_fd, from, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    entry.file = file.st_ino;
    int error = keep(self, to, &entry.old_file);
    return error != 0 ? error : add_names(self, entry, from, to);
}

int
undo_log_create(struct undo_log *self, int fd, const char *name)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return errno;
    return add_names(self, (struct undo_entry){.kind = UNDO_CREATE, .file = file.st_ino}, name, "");
}

int
undo_log_sync_names(struct undo_log *self, uint64_t size)
{
    return add_entry(self, &(struct undo_entry){.kind = UNDO_SYNC_NAMES, .at = size});
}
