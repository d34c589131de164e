// lose_unsynced.c - preloaded by a drill: a process whose disk may lose what was not synced.
//
//     GALLEON_UNSYNCED=FOLDER      what is changed in this folder (not below it) is written down,
//                                  see undo_log.h; what is synced, too
//     GALLEON_UNSYNCED_KILL=N      before its Nth change or sync the process kills itself
//
// The calls that follow stand before those of the C library; each does what it always did, and
// first, or then, writes that down. They are those by which SQLite's file layer and lib/store
// change files: a test holds the programs to having no others. Where something cannot be written
// down the process ends, as a drill that went on would prove nothing.

#include "undo_log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL __attribute__((visibility("default")))

enum { FILES_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo_log undo;
static bool is_on;
static __thread bool is_inside; // our own calls are not written down
static ino_t files[FILES_MAX];  // that were opened in the folder
static size_t file_count;
static uint64_t operations, kill_at;

static void
die(const char *what, int error)
{
    fprintf(stderr, "lose_unsynced: %s: %s\n", what, strerror(error));
    abort();
}

__attribute__((constructor)) static void
begin(void)
{
    const char *folder = getenv("GALLEON_UNSYNCED"), *number = getenv("GALLEON_UNSYNCED_KILL");
    if (folder == NULL)
        return;
    int error = undo_log_open(&undo, folder);
    if (error != 0)
        die(folder, error);
    kill_at = number == NULL ? 0 : strtoull(number, NULL, 10);
    is_on = true;
}

// real finds the function that ours stands before. A pointer to a function cannot be made of one
// to data but like this.
#define REAL(function, name)                                                                       \
    do {                                                                                           \
        *(void **)&(function) = dlsym(RTLD_NEXT, name);                                            \
        if ((function) == NULL)                                                                    \
            abort();                                                                               \
    } while (0)

// enter returns false where nothing is to be written down; else leave follows.
static bool
enter(void)
{
    if (!is_on || is_inside)
        return false;
    is_inside = true;
    pthread_mutex_lock(&lock);
    return true;
}

static void
leave(void)
{
    int error = errno;
    pthread_mutex_unlock(&lock);
    is_inside = false;
    errno = error;
}

// count comes before each change and each sync.
static void
count(void)
{
    if (++operations == kill_at) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
}

static void
written_down(int error)
{
    if (error != 0)
        die("cannot write down a change", error);
}

// end strikes out what was written down since the log was so long, where it was not done; returns
// how it went.
static ssize_t
end(ssize_t result, bool is_done, uint64_t size)
{
    if (!is_done)
        undo_log_strike(&undo, size);
    leave();
    return result;
}

// ---- which files ---------------------------------------------------------------------------

static bool
is_known(const struct stat *file)
{
    if (!S_ISREG(file->st_mode) || file->st_dev != undo.device)
        return false;
    for (size_t i = 0; i < file_count; i++)
        if (files[i] == file->st_ino)
            return true;
    return false;
}

// is_ours: a descriptor of a file of the folder.
static bool
is_ours(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && is_known(&file);
}

static bool
is_folder(const struct stat *file)
{
    return S_ISDIR(file->st_mode) && file->st_dev == undo.device && file->st_ino == undo.folder;
}

static void
know(int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || is_known(&file))
        return;
    if (file_count == FILES_MAX)
        die("too many files", EMFILE);
    files[file_count++] = file.st_ino;
}

// name_in_folder is the last part of a path whose folder is ours, else NULL.
static const char *
name_in_folder(int at, const char *path)
{
    char folder[PATH_MAX];
    struct stat is;
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (size >= sizeof folder || *name == '\0')
        return NULL;
    memcpy(folder, path, size);
    memcpy(folder + size, ".", 2);
    return fstatat(at, folder, &is, 0) == 0 && is_folder(&is) ? name : NULL;
}

// ---- opening -------------------------------------------------------------------------------

typedef int openat_fn(int at, const char *path, int flags, ...);

static int
open_here(const char *name, int flags, mode_t mode)
{
    struct stat before;
    openat_fn *real;
    uint64_t size = undo.size;
    REAL(real, "openat");
    bool is_new = fstatat(undo.folder_fd, name, &before, 0) != 0 && (flags & O_CREAT) != 0;
    bool is_cut = !is_new && (flags & O_TRUNC) != 0;
    if (is_new || is_cut)
        count();
    if (is_cut) {
        int fd = real(undo.folder_fd, name, O_RDONLY | O_CLOEXEC);
        written_down(fd < 0 ? errno : undo_log_resize(&undo, fd, 0));
        close(fd);
    }
    int fd = real(undo.folder_fd, name, flags, mode);
    if (fd < 0) {
        undo_log_strike(&undo, size);
        return fd;
    }
    know(fd);
    if (is_new)
        written_down(undo_log_create(&undo, fd, name));
    return fd;
}

static int
open_any(int at, const char *path, int flags, mode_t mode)
{
    openat_fn *real;
    REAL(real, "openat");
    if (!enter())
        return real(at, path, flags, mode);
    const char *name = name_in_folder(at, path);
    int fd = name != NULL ? open_here(name, flags, mode) : real(at, path, flags, mode);
    leave();
    return fd;
}

static bool
has_mode(int flags)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

#define OPEN(at)                                                                                   \
    va_list more;                                                                                  \
    va_start(more, flags);                                                                         \
    mode_t mode = has_mode(flags) ? va_arg(more, mode_t) : 0;                                      \
    va_end(more);                                                                                  \
    return open_any(at, path, flags, mode)

CALL int
open(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD);
}

CALL int
open64(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD);
}

CALL int
openat(int at, const char *path, int flags, ...)
{
    OPEN(at);
}

// What a fortified program calls where it gives no mode.
CALL int __open_2(const char *path, int flags);
CALL int __open64_2(const char *path, int flags);

CALL int
__open_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

CALL int
__open64_2(const char *path, int flags)
{
    return open_any(AT_FDCWD, path, flags, 0);
}

CALL int
openat64(int at, const char *path, int flags, ...)
{
    OPEN(at);
}

// ---- bytes ---------------------------------------------------------------------------------

CALL ssize_t
pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t);
    REAL(real, "pwrite");
    if (!enter())
        return real(fd, data, size, at);
    uint64_t before = undo.size;
    if (is_ours(fd)) {
        count();
        written_down(undo_log_write(&undo, fd, (uint64_t)at, size));
    }
    ssize_t done = real(fd, data, size, at);
    return end(done, done >= 0, before);
}

CALL ssize_t
pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    return pwrite(fd, data, size, at);
}

// place is where a write will go that does not say so.
static uint64_t
place(int fd)
{
    struct stat file;
    if ((fcntl(fd, F_GETFL) & O_APPEND) != 0)
        return fstat(fd, &file) == 0 ? (uint64_t)file.st_size : 0;
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at > 0 ? (uint64_t)at : 0;
}

// What is no file of ours, a socket say, may take its time: nobody waits for it.
CALL ssize_t
write(int fd, const void *data, size_t size)
{
    ssize_t (*real)(int, const void *, size_t);
    REAL(real, "write");
    if (!enter())
        return real(fd, data, size);
    if (!is_ours(fd)) {
        leave();
        return real(fd, data, size);
    }
    uint64_t before = undo.size;
    count();
    written_down(undo_log_write(&undo, fd, place(fd), size));
    ssize_t done = real(fd, data, size);
    return end(done, done >= 0, before);
}

CALL int
ftruncate(int fd, off_t size)
{
    int (*real)(int, off_t);
    REAL(real, "ftruncate");
    if (!enter())
        return real(fd, size);
    uint64_t before = undo.size;
    if (is_ours(fd)) {
        count();
        written_down(undo_log_resize(&undo, fd, (uint64_t)size));
    }
    int result = real(fd, size);
    return (int)end(result, result == 0, before);
}

CALL int
ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

CALL int
posix_fallocate(int fd, off_t at, off_t size)
{
    int (*real)(int, off_t, off_t);
    struct stat file;
    REAL(real, "posix_fallocate");
    if (!enter())
        return real(fd, at, size);
    uint64_t before = undo.size;
    if (is_ours(fd) && fstat(fd, &file) == 0 && at + size > file.st_size) {
        count();
        written_down(undo_log_resize(&undo, fd, (uint64_t)(at + size)));
    }
    int result = real(fd, at, size);
    return (int)end(result, result == 0, before);
}

CALL int
posix_fallocate64(int fd, off64_t at, off64_t size)
{
    return posix_fallocate(fd, at, size);
}

// ---- syncs ---------------------------------------------------------------------------------

// Others may go on while the disk works: what they write meanwhile is not covered.
static int
sync_any(int fd, const char *name)
{
    int (*real)(int);
    struct stat file;
    REAL(real, name);
    if (!enter())
        return real(fd);
    bool is_there = fstat(fd, &file) == 0;
    bool is_file = is_there && is_known(&file);
    bool is_of_names = is_there && is_folder(&file);
    uint64_t size = undo.size;
    if (is_file || is_of_names)
        count();
    leave();
    int result = real(fd);
    if (result != 0 || !enter())
        return result;
    if (is_file)
        written_down(undo_log_sync(&undo, fd, size));
    else if (is_of_names)
        written_down(undo_log_sync_names(&undo, size));
    leave();
    return result;
}

CALL int
fsync(int fd)
{
    return sync_any(fd, "fsync");
}

CALL int
fdatasync(int fd)
{
    return sync_any(fd, "fdatasync");
}

// ---- names ---------------------------------------------------------------------------------

CALL int
unlinkat(int at, const char *path, int flags)
{
    int (*real)(int, const char *, int);
    REAL(real, "unlinkat");
    if (!enter())
        return real(at, path, flags);
    uint64_t before = undo.size;
    const char *name = flags == 0 ? name_in_folder(at, path) : NULL;
    if (name != NULL) {
        count();
        written_down(undo_log_remove_name(&undo, name));
    }
    int result = real(at, path, flags);
    return (int)end(result, result == 0, before);
}

CALL int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

// Into the folder, or out of it, nothing is moved that has to survive.
CALL int
renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    int (*real)(int, const char *, int, const char *, unsigned);
    REAL(real, "renameat2");
    if (!enter())
        return real(from_at, from, to_at, to, flags);
    uint64_t before = undo.size;
    const char *old = name_in_folder(from_at, from), *new = name_in_folder(to_at, to);
    if ((old == NULL) != (new == NULL))
        die("cannot write down that a file changes its folder", EXDEV);
    if (old != NULL) {
        count();
        written_down(undo_log_rename(&undo, old, new));
    }
    int result = real(from_at, from, to_at, to, flags);
    return (int)end(result, result == 0, before);
}

CALL int
renameat(int from_at, const char *from, int to_at, const char *to)
{
    return renameat2(from_at, from, to_at, to, 0);
}

CALL int
rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
