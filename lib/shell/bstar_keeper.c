// bstar_keeper.c - a thread that sleeps until there is a record.

#include "bstar_keeper.h"

#include "must.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void
tell(int fd)
{
    uint64_t once = 1;
    (void)!write(fd, &once, sizeof once);
}

static void
take_edge(int fd)
{
    uint64_t times;
    (void)!read(fd, &times, sizeof times);
}

static void *
keep(void *context)
{
    struct bstar_keeper *self = context;
    for (;;) {
        take_edge(self->wake_fd); // blocks
        pthread_mutex_lock(&self->lock);
        bool is_asked = self->is_asked;
        bool is_ending = self->is_ending;
        struct bstar_record record = self->record;
        self->is_asked = false;
        pthread_mutex_unlock(&self->lock);
        if (is_asked) {
            int error = bstar_record_write(self->file, &record) ? 0 : errno;
            pthread_mutex_lock(&self->lock);
            self->is_done = true;
            self->error = error;
            pthread_mutex_unlock(&self->lock);
            tell(self->done_fd);
        }
        if (is_ending)
            return NULL;
    }
}

int
bstar_keeper_open(struct bstar_keeper *self, const struct bstar_record_file *file)
{
    *self = (struct bstar_keeper){.file = file};
    pthread_mutex_init(&self->lock, NULL);
    self->wake_fd = eventfd(0, EFD_CLOEXEC);
    self->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd < 0 || self->done_fd < 0)
        return errno;
    // Signals are the program's: none of them is for this thread.
    sigset_t all, callers;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &callers);
    int error = pthread_create(&self->thread, NULL, keep, self);
    pthread_sigmask(SIG_SETMASK, &callers, NULL);
    self->is_running = error == 0;
    return error;
}

void
bstar_keeper_close(struct bstar_keeper *self)
{
    if (self->is_running) {
        pthread_mutex_lock(&self->lock);
        self->is_ending = true;
        pthread_mutex_unlock(&self->lock);
        tell(self->wake_fd);
        pthread_join(self->thread, NULL);
    }
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    if (self->done_fd >= 0)
        close(self->done_fd);
    pthread_mutex_destroy(&self->lock);
}

void
bstar_keeper_write(struct bstar_keeper *self, const struct bstar_record *record)
{
    pthread_mutex_lock(&self->lock);
    must(!self->is_asked && !self->is_done);
    self->record = *record;
    self->is_asked = true;
    pthread_mutex_unlock(&self->lock);
    tell(self->wake_fd);
}

bool
bstar_keeper_is_done(struct bstar_keeper *self, int *error_out)
{
    pthread_mutex_lock(&self->lock);
    bool is_done = self->is_done;
    *error_out = self->error;
    self->is_done = false;
    pthread_mutex_unlock(&self->lock);
    if (is_done)
        take_edge(self->done_fd);
    return is_done;
}
