// crash_files.c - the system calls of the store's own files, on crash_disk.h.
//
// The test is linked with --wrap for each of these: what lib/store calls comes here. A file of the
// mounted folder has a descriptor of the system's too, of a file in memory that nobody reads, so
// that it can be locked and closed as usual. SQLite is another library and keeps the system's.

#include "crash_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 32 };

static struct {
    int fd; // 0: free
    struct disk_file *file;
    bool is_folder;
} files[FILES_MAX];

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_ftruncate(int fd, off_t size);
int __real_unlink(const char *path);
int __real_fstat(int fd, struct stat *status_out);
int __real_posix_fallocate(int fd, off_t at, off_t size);
int __real_posix_fadvise(int fd, off_t at, off_t size, int advice);
ssize_t __real_pread(int fd, void *data, size_t size, off_t at);
ssize_t __real_pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t __real_write(int fd, const void *data, size_t size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate(int fd, off_t size);
int __wrap_unlink(const char *path);
int __wrap_fstat(int fd, struct stat *status_out);
int __wrap_posix_fallocate(int fd, off_t at, off_t size);
int __wrap_posix_fadvise(int fd, off_t at, off_t size, int advice);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t size, off_t at);
ssize_t __wrap_write(int fd, const void *data, size_t size);

static int
slot_of(int fd)
{
    for (int at = 0; fd > 0 && at < FILES_MAX; at++)
        if (files[at].fd == fd)
            return at;
    return -1;
}

static int
fail(int error)
{
    errno = error;
    return -1;
}

static int
done(int error)
{
    return error == 0 ? 0 : fail(error);
}

// ---- descriptors -------------------------------------------------------------------

static int
open_mounted(const char *path, int flags, bool is_folder)
{
    int slot = 0;
    while (slot < FILES_MAX && files[slot].fd > 0)
        slot++;
    if (slot == FILES_MAX)
        return fail(EMFILE);
    struct disk_file *file = NULL;
    bool is_new = false;
    int error =
        is_folder ? 0
                  : crash_disk_open(crash_vfs_disk(), path, (flags & O_CREAT) != 0, &file, &is_new);
    if (error != 0)
        return fail(error);
    int fd = memfd_create("crash", MFD_CLOEXEC);
    if (fd <= 0)
        return fail(EMFILE);
    files[slot].fd = fd;
    files[slot].file = file;
    files[slot].is_folder = is_folder;
    return fd;
}

int
__wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;
    va_end(more);
    bool is_folder;
    return crash_vfs_covers(path, &is_folder) ? open_mounted(path, flags, is_folder)
                                              : __real_open(path, flags, mode);
}

int
__wrap_close(int fd)
{
    int slot = slot_of(fd);
    if (slot >= 0) {
        if (files[slot].file != NULL)
            crash_disk_close(files[slot].file);
        files[slot].fd = 0;
        files[slot].file = NULL;
    }
    return __real_close(fd);
}

static int
sync_slot(int slot)
{
    return done(files[slot].is_folder ? crash_disk_sync_names(crash_vfs_disk())
                                      : disk_file_sync(files[slot].file));
}

int
__wrap_fsync(int fd)
{
    int slot = slot_of(fd);
    return slot >= 0 ? sync_slot(slot) : 0;
}

int
__wrap_fdatasync(int fd)
{
    return __wrap_fsync(fd);
}

int
__wrap_ftruncate(int fd, off_t size)
{
    int slot = slot_of(fd);
    return slot >= 0 ? done(disk_file_truncate(files[slot].file, (uint64_t)size))
                     : __real_ftruncate(fd, size);
}

int
__wrap_fstat(int fd, struct stat *status_out)
{
    int result = __real_fstat(fd, status_out);
    int slot = slot_of(fd);
    if (slot >= 0 && files[slot].file != NULL)
        status_out->st_size = (off_t)disk_file_size(files[slot].file);
    return result;
}

// Room on this disk is not counted in bytes.
int
__wrap_posix_fallocate(int fd, off_t at, off_t size)
{
    return slot_of(fd) >= 0 ? 0 : __real_posix_fallocate(fd, at, size);
}

int
__wrap_posix_fadvise(int fd, off_t at, off_t size, int advice)
{
    int slot = slot_of(fd);
    if (slot < 0)
        return __real_posix_fadvise(fd, at, size, advice);
    if (advice == POSIX_FADV_DONTNEED)
        disk_file_drop_cache(files[slot].file);
    return 0;
}

// ---- bytes -------------------------------------------------------------------------

ssize_t
__wrap_pread(int fd, void *data, size_t size, off_t at)
{
    int slot = slot_of(fd);
    if (slot < 0)
        return __real_pread(fd, data, size, at);
    size_t got;
    int error = disk_file_read(files[slot].file, data, size, (uint64_t)at, &got);
    return error == 0 ? (ssize_t)got : fail(error);
}

ssize_t
__wrap_pwrite(int fd, const void *data, size_t size, off_t at)
{
    int slot = slot_of(fd);
    if (slot < 0)
        return __real_pwrite(fd, data, size, at);
    int error = disk_file_write(files[slot].file, data, size, (uint64_t)at);
    return error == 0 ? (ssize_t)size : fail(error);
}

// What the store writes without saying where it appends.
ssize_t
__wrap_write(int fd, const void *data, size_t size)
{
    int slot = slot_of(fd);
    if (slot < 0)
        return __real_write(fd, data, size);
    return __wrap_pwrite(fd, data, size, (off_t)disk_file_size(files[slot].file));
}

// ---- names -------------------------------------------------------------------------

int
__wrap_unlink(const char *path)
{
    bool is_folder;
    return crash_vfs_covers(path, &is_folder) ? done(crash_disk_delete(crash_vfs_disk(), path))
                                              : __real_unlink(path);
}
