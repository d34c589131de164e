// bstar_witness.c - read, judge, write, answer.
//
// It writes its record in its own thread: while a record is on its way to the disk a voter answers
// nobody anyway.

#include "bstar_witness.h"

#include "bstar_log.h"
#include "bstar_mail.h"
#include "clock.h"
#include "endpoints.h"
#include "log.h"
#include "sockets.h"

#include <galleon/status.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 1000 };

struct bstar_witness {
    struct bstar_core core;
    struct bstar_effects effects;
    struct bstar_mail mail;
    struct bstar_record_file file;
    struct bstar_strangers strangers;
    char *bind;
    int epoll_fd;
    int stop_fd;
};

// ---- carrying out ---------------------------------------------------------------------------

// store writes the record, and says which event comes of it.
static struct bstar_event
store(struct bstar_witness *self, const struct bstar_record *record)
{
    bool is_stored = bstar_record_write(&self->file, record);
    if (is_stored)
        log_info("PAIR-GRANT", "epoch=%llu holder=%016llx", (unsigned long long)record->epoch,
                 (unsigned long long)record->holder);
    return (struct bstar_event){.kind = is_stored ? BSTAR_ON_STORED : BSTAR_ON_UNSTORED};
}

static void
step(struct bstar_witness *self, struct bstar_event event)
{
    bool has_event = true;
    while (has_event) {
        has_event = false;
        // The time of each step is its own: a write may have taken long.
        event.now_ns = galleon_now_ns();
        bstar_core_step(&self->core, &event, &self->effects);
        bstar_log_effects(&self->core, &self->effects);
        if (self->effects.fault != BSTAR_SOUND)
            bstar_log_rejected(&self->strangers, self->effects.fault, event.message->node,
                               event.now_ns);
        for (size_t i = 0; i < self->effects.count; i++) {
            const struct bstar_effect *effect = &self->effects.list[i];
            if (effect->kind == BSTAR_DO_REPLY)
                bstar_mail_reply(&self->mail, effect->route, &effect->message);
            if (effect->kind == BSTAR_DO_STORE) {
                event = store(self, &effect->record);
                has_event = true;
            }
        }
    }
}

// ---- the loop -------------------------------------------------------------------------------

static void
turn(struct bstar_witness *self)
{
    struct bstar_letter letter;
    listener_pump(&self->mail.door);
    bstar_mail_begin(&self->mail);
    while (bstar_mail_next(&self->mail, &letter)) {
        step(self, (struct bstar_event){.kind = BSTAR_ON_MESSAGE,
                                        .fault = letter.fault,
                                        .message = &letter.message,
                                        .sender = letter.sender,
                                        .route = letter.route});
    }
    step(self, (struct bstar_event){.kind = BSTAR_ON_TICK});
    log_catch_up(self->core.now_ns);
}

static int
wait_ms(const struct bstar_witness *self)
{
    if (bstar_mail_has_input(&self->mail))
        return 0;
    uint64_t deadline_ns = bstar_core_deadline(&self->core);
    uint64_t now_ns = galleon_now_ns();
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t ms = (deadline_ns - now_ns) / 1000000 + 1;
    return ms < WAIT_MS_MAX ? (int)ms : WAIT_MS_MAX;
}

bool
bstar_witness_run(struct bstar_witness *self)
{
    for (;;) {
        uint64_t times;
        struct epoll_event event;
        turn(self);
        if (epoll_wait(self->epoll_fd, &event, 1, wait_ms(self)) < 0 && errno != EINTR)
            return false;
        if (read(self->stop_fd, &times, sizeof times) > 0)
            return true;
    }
}

void
bstar_witness_stop(struct bstar_witness *self)
{
    uint64_t once = 1;
    int saved = errno;
    (void)!write(self->stop_fd, &once, sizeof once);
    errno = saved;
}

const char *
bstar_witness_endpoint(const struct bstar_witness *self)
{
    return listener_endpoint(&self->mail.door);
}

// ---- making one -----------------------------------------------------------------------------

static bool
watch(struct bstar_witness *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

// error_of is the errno of a record that cannot be used.
static int
error_of(enum bstar_trouble trouble, const struct bstar_record_file *file)
{
    if (trouble == BSTAR_RECORD_LOCKED)
        return EBUSY;
    if (trouble == BSTAR_RECORD_FAILED && file->error != 0)
        return file->error;
    return trouble == BSTAR_RECORD_MISSING ? ENOENT : EIO;
}

static int
begin(struct bstar_witness *self, const struct bstar_witness_options *options,
      enum bstar_trouble *trouble_out)
{
    struct bstar_config config;
    struct bstar_owner owner = {.node = 1, .member = 'W'};
    struct bstar_record record;
    bstar_config_init(&config, BSTAR_WITNESS, false, false, 0, 0, options->lease_ms);
    config.node = owner.node;
    config.pair = bstar_pair_of(view_of(options->pair, strlen(options->pair)));
    if (bstar_config_check(&config) != NULL)
        return EINVAL;
    owner = (struct bstar_owner){.pair = config.pair, .member = 'W'};
    int error = options->init ? bstar_record_make(options->state_file, owner) : 0;
    if (error != 0)
        return error;
    *trouble_out =
        bstar_record_open(&self->file, options->state_file, config.pair, 'W', &owner, &record);
    if (*trouble_out != BSTAR_RECORD_GOOD)
        return error_of(*trouble_out, &self->file);
    config.node = owner.node;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (zsys_init() == NULL || self->epoll_fd < 0 || self->stop_fd < 0 ||
        !watch(self, self->stop_fd) ||
        getrandom(config.seed, sizeof config.seed, 0) != sizeof config.seed)
        return ENOMEM;
    bstar_core_init(&self->core, &config, galleon_now_ns());
    step(self, (struct bstar_event){.kind = BSTAR_ON_LOADED, .record = &record});
    error = bstar_mail_open(&self->mail, self->bind, NULL, NULL, self->epoll_fd);
    if (error == 0 && !watch(self, listener_fd(&self->mail.door)))
        error = ENOMEM;
    return error;
}

struct bstar_witness *
bstar_witness_new(const struct bstar_witness_options *options, enum bstar_trouble *trouble_out)
{
    *trouble_out = BSTAR_RECORD_GOOD;
    if (!endpoints_is_bindable(options->bind) || !endpoints_is_local(options->bind)) {
        errno = EINVAL;
        return NULL;
    }
    if (!clock_counts_suspension()) {
        errno = ENOTSUP;
        return NULL;
    }
    struct bstar_witness *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->file.fd = self->epoll_fd = self->stop_fd = -1;
    self->bind = strdup(options->bind);
    int error = self->bind == NULL ? ENOMEM : begin(self, options, trouble_out);
    if (error != 0) {
        bstar_witness_destroy(&self);
        errno = error;
    }
    return self;
}

void
bstar_witness_destroy(struct bstar_witness **self_p)
{
    struct bstar_witness *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    bstar_mail_close(&self->mail);
    bstar_record_close(&self->file);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    if (self->stop_fd >= 0)
        close(self->stop_fd);
    free(self->bind);
    free(self);
}
