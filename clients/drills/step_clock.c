// step_clock.c - preloaded by a drill: a process whose wall clock somebody steps.
//
//     GALLEON_CLOCK=FILE           by how much it is off, see step_clock.h
//
// The calls that follow stand before those of the C library. Only what tells the time of day is
// changed; the clocks that count from the start of the machine are not, as on a machine whose clock
// is set. Nothing outside of the process sees another time.

#include "step_clock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CALL __attribute__((visibility("default")))

static struct step_clock *shared;

__attribute__((constructor)) static void
begin(void)
{
    const char *path = getenv("GALLEON_CLOCK");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *memory =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "step_clock: cannot use %s\n", path);
        abort();
    }
    shared = memory;
    atomic_fetch_add(&shared->processes, 1);
}

static int64_t
ahead_s(void)
{
    if (shared == NULL)
        return 0;
    atomic_fetch_add(&shared->readings, 1);
    return atomic_load(&shared->ahead_s);
}

CALL int
clock_gettime(clockid_t clock, struct timespec *time_out)
{
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&real, &found, sizeof real);
    }
    int result = real(clock, time_out);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time_out->tv_sec += ahead_s();
    return result;
}

CALL int
gettimeofday(struct timeval *restrict time_out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    *time_out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return result;
}

CALL time_t
time(time_t *time_out)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (time_out != NULL)
        *time_out = now.tv_sec;
    return now.tv_sec;
}

CALL int
timespec_get(struct timespec *time_out, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time_out) == 0 ? base : 0;
}
