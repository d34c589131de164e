// store_lock.c - one process on one store: PATH.lock.
//
// A file of its own, and not the database: to close any descriptor of the database's file
// drops the locks that SQLite has on it. The kernel lets go of the lock when its process ends,
// however it ends. Whose pid is in the file has it, had it, or is about to have it.

#include "store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

// read_pid: 0 where nobody knows. Who looks at a store takes its lock, and leaves there the pid of
// the last who had it.
static int
read_pid(int fd)
{
    char text[24] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    long pid = size > 0 ? strtol(text, NULL, 10) : 0;
    bool is_alive = pid > 0 && pid < INT32_MAX && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
    return is_alive ? (int)pid : 0;
}

static bool
write_pid(int fd)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) == size;
}

static bool
wait_a_moment(const struct store_options *options)
{
    const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
    if (options->goes_on_waiting != NULL && !options->goes_on_waiting(options->context))
        return false;
    nanosleep(&moment, NULL);
    return true;
}

static void
refuse(int fd, const char *path, struct store_error *error_out)
{
    error_out->result = STORE_DOUBT;
    error_out->is_locked = true;
    error_out->pid = read_pid(fd);
    if (error_out->pid != 0)
        snprintf(error_out->text, sizeof error_out->text, "%s is in use: process %d has %s.lock",
                 path, error_out->pid, path);
    else
        snprintf(error_out->text, sizeof error_out->text,
                 "%s is in use: another process has %s.lock, or looks at the store", path, path);
}

int
store_lock(const struct store_options *options, struct store_error *error_out)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s.lock", options->path);
    int fd = size < (int)sizeof path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        error_out->result = STORE_DOUBT;
        snprintf(error_out->text, sizeof error_out->text, "cannot open %.120s.lock: %.100s",
                 options->path, strerror(errno));
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (!options->waits_for_lock || !wait_a_moment(options)) {
            refuse(fd, options->path, error_out);
            close(fd);
            return -1;
        }
    }
    if (!write_pid(fd)) {
        error_out->result = STORE_DOUBT;
        snprintf(error_out->text, sizeof error_out->text, "cannot write %.120s: %.100s", path,
                 strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

bool
store_lock_to_look(const char *path, int *fd_out, struct store_error *error_out)
{
    char name[4096];
    int size = snprintf(name, sizeof name, "%s.lock", path);
    errno = ENAMETOOLONG;
    int fd = size < (int)sizeof name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    *fd_out = fd;
    if (fd < 0 && errno == ENOENT)
        return true;
    if (fd < 0) {
        error_out->result = STORE_DOUBT;
        snprintf(error_out->text, sizeof error_out->text, "cannot open %.120s.lock: %.100s", path,
                 strerror(errno));
        return false;
    }
    while (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        refuse(fd, path, error_out);
        close(fd);
        *fd_out = -1;
        return false;
    }
    return true;
}

void
store_unlock(int fd)
{
    close(fd);
}
