// bstar.c - the sockets, the disk and the clock around bstar_core.
//
// A turn is bstar_pump: what the disk has done, all that is queued, TICK. Clients come after
// it. In classic the beats are another thread's (bstar_beats.c). In guarded they are the main
// loop's, as its renewals are: of a loop that hangs the others hear nothing, and its lease ends.

#include <galleon/bstar.h>

#include "bstar_beats.h"
#include "bstar_half.h"
#include "bstar_keeper.h"
#include "bstar_lease.h"
#include "bstar_log.h"
#include "bstar_mail.h"
#include "clock.h"
#include "endpoints.h"
#include "log.h"
#include "must.h"
#include "sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

// ---- carrying out ---------------------------------------------------------------------------

static void
write_record(bstar_t *self, const struct bstar_record *record)
{
    must(self->has_keeper);
    bstar_keeper_write(&self->keeper, record);
}

static void
send_message(bstar_t *self, const struct bstar_effect *effect)
{
    enum bstar_command command = effect->message.command;
    bool is_question = command == BSTAR_ASK || command == BSTAR_VOTE || command == BSTAR_RENEW;
    if (!self->has_mail)
        return;
    bstar_mail_send(&self->mail, effect->to, &effect->message);
    if (is_question && effect->to == BSTAR_FROM_WITNESS)
        bstar_log_asked(&self->silences, self->now_ns);
}

// drain asks for what is out to be finished, or dropped. Without hooks nothing is out.
static void
drain(bstar_t *self, void (*hook)(void *ctx))
{
    self->is_draining = hook != NULL;
    self->owes_drained = hook == NULL;
    if (hook != NULL)
        hook(self->hooks.ctx);
}

static void
change(bstar_t *self)
{
    bstar_state_t was = self->shown;
    self->shown = bstar_state(self);
    if (self->shown != was && self->on_change != NULL)
        self->on_change(self->ctx, was, self->shown);
}

static void
carry_out(bstar_t *self, const struct bstar_effect *effect)
{
    switch (effect->kind) {
    case BSTAR_DO_PUBLISH:
        if (self->has_beats)
            bstar_beats_say(&self->beats, &effect->beat);
        break;
    case BSTAR_DO_SEND:
        send_message(self, effect);
        break;
    case BSTAR_DO_REPLY:
        bstar_mail_reply(&self->mail, effect->route, &effect->message);
        break;
    case BSTAR_DO_STORE:
        write_record(self, &effect->record);
        break;
    case BSTAR_DO_CHANGE:
        change(self);
        break;
    case BSTAR_DO_SERVE:
        self->is_served = true;
        break;
    case BSTAR_DO_ACCEPT:
        self->answer = (struct bstar_answer){.is_accepted = true, .why = ""};
        break;
    case BSTAR_DO_DECLINE:
        self->answer = (struct bstar_answer){.why = effect->why,
                                             .wait_ms = (effect->wait_ns + 999999) / 1000000};
        break;
    case BSTAR_DO_DRAIN:
        drain(self, self->hooks.drain);
        break;
    case BSTAR_DO_DROP:
        drain(self, self->hooks.drop);
        break;
    case BSTAR_DO_ALARM:
        self->alarm = effect->why;
        break;
    case BSTAR_DO_OPEN: // there is no store
    case BSTAR_DO_CLOSE:
    case BSTAR_DO_REFUSE:
    case BSTAR_DO_AUDIT:
    case BSTAR_DO_EXIT:
        break;
    }
}

static void
step(bstar_t *self, struct bstar_event event)
{
    do {
        self->owes_drained = false;
        event.now_ns = self->now_ns;
        bstar_core_step(&self->core, &event, &self->effects);
        bstar_log_effects(&self->core, &self->effects);
        for (size_t i = 0; i < self->effects.count; i++)
            carry_out(self, &self->effects.list[i]);
        event = (struct bstar_event){.kind = BSTAR_ON_DRAINED};
    } while (self->owes_drained);
}

static void
take_clock(bstar_t *self, uint64_t now_ns)
{
    if (now_ns > self->now_ns)
        self->now_ns = now_ns;
}

// ---- what comes in --------------------------------------------------------------------------

static void
hear_beats(bstar_t *self)
{
    struct bstar_beat beat;
    enum bstar_fault fault;
    bstar_beats_begin(&self->beats);
    while (bstar_beats_next(&self->beats, &beat, &fault)) {
        if (fault == BSTAR_SOUND && !self->core.config.is_bare &&
            beat.node == self->core.config.node)
            fault = BSTAR_OWN_NODE;
        step(self, (struct bstar_event){.kind = BSTAR_ON_BEAT, .fault = fault, .beat = &beat});
        bstar_log_strangers(&self->strangers, &self->core, beat.node);
    }
}

// read_mail looks at the clock once more when each message is there: we may have been stopped since
// the turn began, and a hold that counts from before its vote came is over before its lease.
static void
read_mail(bstar_t *self)
{
    struct bstar_letter letter;
    bstar_mail_begin(&self->mail);
    while (bstar_mail_next(&self->mail, &letter)) {
        take_clock(self, galleon_now_ns());
        step(self, (struct bstar_event){.kind = BSTAR_ON_MESSAGE,
                                        .fault = letter.fault,
                                        .message = &letter.message,
                                        .sender = letter.sender,
                                        .route = letter.route});
        bstar_log_strangers(&self->strangers, &self->core, letter.message.node);
    }
}

static void
read_all(bstar_t *self)
{
    if (self->has_beats)
        hear_beats(self);
    if (self->has_mail)
        read_mail(self);
}

static void
take_stored(bstar_t *self)
{
    int error;
    if (!self->has_keeper || !bstar_keeper_is_done(&self->keeper, &error))
        return;
    if (error != 0) {
        self->trouble = BSTAR_RECORD_FAILED;
        bstar_record_complain(self->state_file, self->trouble, error);
    }
    step(self, (struct bstar_event){.kind = error == 0 ? BSTAR_ON_STORED : BSTAR_ON_UNSTORED});
}

// leave_behind: after a gap what is on its way to us is of before it, in the kernel's hands too.
static void
leave_behind(bstar_t *self)
{
    if (self->gaps == self->core.stats.gaps)
        return;
    self->gaps = self->core.stats.gaps;
    log_warn("PAIR-GAP", "limit_ms=%llu gaps=%llu",
             (unsigned long long)(self->core.config.gap_ns / 1000000),
             (unsigned long long)self->gaps);
    if (self->has_beats)
        bstar_line_drop(&self->beats.ear);
}

// look_after the connections, now and then: that takes some system calls.
static void
look_after(bstar_t *self)
{
    static const uint64_t pause_ns = 10000000;
    if (self->now_ns < self->looked_ns + pause_ns)
        return;
    self->looked_ns = self->now_ns;
    if (self->has_beats) {
        listener_pump(&self->beats.mouth);
        bstar_line_look(&self->beats.ear, self->now_ns);
    }
    if (self->has_mail) {
        listener_pump(&self->mail.door);
        bstar_mail_look(&self->mail, self->now_ns);
    }
}

int
bstar_pump(bstar_t *self, uint64_t now_ns)
{
    take_clock(self, now_ns);
    take_stored(self);
    read_all(self);
    step(self, (struct bstar_event){.kind = BSTAR_ON_TICK});
    leave_behind(self);
    if (self->has_beats)
        bstar_beats_turn(&self->beats, self->core.pulse.progress, self->now_ns);
    look_after(self);
    bool is_joined = self->has_mail && bstar_mail_reaches(&self->mail, BSTAR_FROM_WITNESS);
    bstar_log_silences(&self->silences, &self->core, is_joined);
    return GALLEON_OK;
}

int
bstar_fd(bstar_t *self)
{
    return self->epoll_fd;
}

uint64_t
bstar_deadline(const bstar_t *self)
{
    bool has_input = (self->has_beats && bstar_beats_has_input(&self->beats)) ||
                     (self->has_mail && bstar_mail_has_input(&self->mail));
    return has_input && !bstar_is_over(self) ? 0 : bstar_core_deadline(&self->core);
}

// ---- what it is asked -----------------------------------------------------------------------

bool
bstar_may_serve(bstar_t *self, uint64_t now_ns)
{
    take_clock(self, now_ns);
    // A vote is about a peer that is silent: nothing of its may be waiting to be read.
    if (self->has_beats && !bstar_core_may_serve(&self->core, self->now_ns))
        hear_beats(self);
    self->is_served = false;
    step(self, (struct bstar_event){.kind = BSTAR_ON_CLIENT});
    return self->is_served;
}

bool
bstar_is_serving(const bstar_t *self, uint64_t now_ns)
{
    return bstar_core_may_serve(&self->core, now_ns);
}

bool
bstar_may_finish(const bstar_t *self, uint64_t now_ns)
{
    return bstar_core_may_finish(&self->core, now_ns);
}

bstar_state_t
bstar_state(const bstar_t *self)
{
    return (bstar_state_t)bstar_core_shown(&self->core);
}

const char *
bstar_state_name(bstar_state_t state)
{
    static const char *const names[] = {[BSTAR_WAITING] = "WAITING",
                                        [BSTAR_ACTIVE] = "ACTIVE",
                                        [BSTAR_PASSIVE] = "PASSIVE",
                                        [BSTAR_FAULT] = "FAULT"};
    return (unsigned)state <= BSTAR_FAULT ? names[state] : "";
}

const char *
bstar_endpoint(const bstar_t *self)
{
    return listener_endpoint(self->is_guarded ? &self->mail.door : &self->beats.mouth);
}

const char *
bstar_why(const bstar_t *self)
{
    if (bstar_state(self) != BSTAR_FAULT)
        return "";
    if (!self->is_guarded)
        return self->alarm;
    return self->trouble != BSTAR_RECORD_GOOD ? bstar_trouble_text(self->trouble)
                                              : self->core.guarded.fault_why;
}

bool
bstar_stamp(const bstar_t *self, struct bstar_stamp *stamp_out)
{
    *stamp_out = (struct bstar_stamp){self->core.config.pair, bstar_core_epoch(&self->core)};
    return self->is_guarded;
}

void
bstar_fenced(bstar_t *self, uint64_t now_ns)
{
    take_clock(self, now_ns);
    step(self, (struct bstar_event){.kind = BSTAR_ON_FENCED});
}

// ---- draining and leaving -------------------------------------------------------------------

void
bstar_hook(bstar_t *self, const struct bstar_hooks *hooks)
{
    self->hooks = *hooks;
}

void
bstar_drained(bstar_t *self, uint64_t now_ns)
{
    if (!self->is_draining)
        return;
    take_clock(self, now_ns);
    self->is_draining = false;
    step(self, (struct bstar_event){.kind = BSTAR_ON_DRAINED});
}

void
bstar_stop(bstar_t *self, uint64_t now_ns)
{
    take_clock(self, now_ns);
    step(self, (struct bstar_event){.kind = BSTAR_ON_STOP});
}

bool
bstar_is_over(const bstar_t *self)
{
    return self->core.pulse.is_over;
}

// ---- the record -----------------------------------------------------------------------------

// load_record reads it, and takes our node from it; false: self->trouble says why.
static bool
load_record(bstar_t *self, struct bstar_record *record_out)
{
    struct bstar_owner owner;
    char member = self->core.config.is_primary ? 'P' : 'B';
    bstar_record_close(&self->file);
    self->trouble = bstar_record_open(&self->file, self->state_file, self->core.config.pair, member,
                                      &owner, record_out);
    if (self->trouble == BSTAR_RECORD_GOOD)
        self->core.config.node = owner.node;
    return self->trouble == BSTAR_RECORD_GOOD;
}

struct bstar_answer
bstar_say(bstar_t *self, enum bstar_word word, uint64_t now_ns)
{
    static const enum bstar_event_kind kinds[] = {
        [BSTAR_SAY_PROMOTE] = BSTAR_ON_PROMOTE, [BSTAR_SAY_PROMOTE_PEER_IS_DEAD] = BSTAR_ON_PROMOTE,
        [BSTAR_SAY_DEMOTE] = BSTAR_ON_DEMOTE,   [BSTAR_SAY_FREEZE] = BSTAR_ON_FREEZE,
        [BSTAR_SAY_THAW] = BSTAR_ON_THAW,       [BSTAR_SAY_CLEAR] = BSTAR_ON_CLEAR};
    struct bstar_record record;
    struct bstar_event event = {.kind = kinds[word],
                                .is_peer_dead = word == BSTAR_SAY_PROMOTE_PEER_IS_DEAD};
    take_clock(self, now_ns);
    bool is_cleared = word == BSTAR_SAY_CLEAR && self->is_guarded &&
                      self->core.guarded.state == GUARDED_FAULT && !self->core.voter.is_storing;
    if (is_cleared && load_record(self, &record))
        event.record = &record;
    self->answer = (struct bstar_answer){.why = "stopping"};
    step(self, event);
    if (is_cleared && !self->answer.is_accepted)
        self->answer.why = bstar_why(self);
    if (word == BSTAR_SAY_FREEZE && self->answer.is_accepted)
        log_warn("PAIR-FROZEN", "state=%s", bstar_core_state_name(&self->core));
    if (word == BSTAR_SAY_THAW && self->answer.is_accepted)
        log_warn("PAIR-THAWED", "state=%s", bstar_core_state_name(&self->core));
    return self->answer;
}

// ---- making one -----------------------------------------------------------------------------

static bool
is_connectable(const char *endpoint)
{
    struct endpoints list;
    if (endpoint == NULL || !endpoints_init(&list, endpoint))
        return false;
    bool is_one = list.count == 1;
    endpoints_release(&list);
    return is_one;
}

// check returns 0 or an errno.
static int
check(const char *bind, const char *peer, const bstar_options_t *options)
{
    const char *witness = options->witness;
    if (bind == NULL || !endpoints_is_bindable(bind) || !is_connectable(peer))
        return EINVAL;
    if (witness == NULL)
        return options->state_file != NULL || options->init || options->lease_ms != 0 ? EINVAL : 0;
    // Members speak plain: not beyond this machine.
    if (!is_connectable(witness) || !endpoints_is_local(bind) || !endpoints_is_local(peer) ||
        !endpoints_is_local(witness) || options->state_file == NULL || options->guide_peer)
        return EINVAL;
    return clock_counts_suspension() ? 0 : ENOTSUP;
}

static int
copy_texts(bstar_t *self, const char *bind, const char *peer, const bstar_options_t *options)
{
    self->bind = strdup(bind);
    self->peer = strdup(peer);
    if (options->witness != NULL)
        self->witness = strdup(options->witness);
    if (options->state_file != NULL)
        self->state_file = strdup(options->state_file);
    bool is_copied = self->bind != NULL && self->peer != NULL &&
                     (self->witness == NULL) == (options->witness == NULL) &&
                     (self->state_file == NULL) == (options->state_file == NULL);
    return is_copied ? 0 : ENOMEM;
}

static int
make_config(bstar_t *self, bstar_role_t role, const bstar_options_t *options,
            struct bstar_config *config)
{
    const char *pair = options->pair != NULL ? options->pair : "galleon";
    bstar_config_init(config, self->is_guarded ? BSTAR_GUARDED : BSTAR_CLASSIC,
                      role == BSTAR_PRIMARY, options->guide_peer, options->heartbeat_ms,
                      options->liveness, options->lease_ms);
    config->pair = bstar_pair_of(view_of(pair, strlen(pair)));
    while (config->node == 0)
        if (getrandom(&config->node, sizeof config->node, 0) != sizeof config->node)
            return errno;
    if (getrandom(config->seed, sizeof config->seed, 0) != sizeof config->seed)
        return errno;
    bool is_lease_short =
        self->is_guarded && options->lease_ms != 0 && options->lease_ms < bstar_lease_ms_min();
    return !is_lease_short && bstar_config_check(config) == NULL ? 0 : EINVAL;
}

static int
begin_classic(bstar_t *self)
{
    struct bstar_beats_options options = {.bind = self->bind,
                                          .peer = self->peer,
                                          .epoll_fd = self->epoll_fd,
                                          .is_bare = self->core.config.is_bare,
                                          .beat_ns = self->core.config.beat_ns,
                                          .gap_ns = self->core.config.gap_ns};
    self->has_beats = true;
    return bstar_beats_open(&self->beats, &options);
}

// begin_guarded knows its record before it hears anybody.
static int
begin_guarded(bstar_t *self, bool is_first)
{
    struct bstar_owner owner = {.pair = self->core.config.pair,
                                .member = self->core.config.is_primary ? 'P' : 'B'};
    int error = is_first ? bstar_record_make(self->state_file, owner) : 0;
    if (error != 0)
        return error;
    struct bstar_record record;
    bool is_loaded = load_record(self, &record);
    if (self->trouble == BSTAR_RECORD_LOCKED)
        return EBUSY;
    self->has_keeper = true;
    error = bstar_keeper_open(&self->keeper, &self->file);
    if (error != 0)
        return error;
    struct epoll_event done = {.events = EPOLLIN, .data.fd = self->keeper.done_fd};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, self->keeper.done_fd, &done) != 0)
        return errno;
    if (!is_loaded)
        bstar_record_complain(self->state_file, self->trouble, self->file.error);
    struct bstar_event event = {.kind = is_loaded ? BSTAR_ON_LOADED : BSTAR_ON_FAILED,
                                .record = &record};
    // Whoever had the record before us may have granted until now: our wait begins here.
    take_clock(self, galleon_now_ns());
    step(self, event);
    self->has_mail = true;
    return bstar_mail_open(&self->mail, self->bind, self->peer, self->witness, self->epoll_fd);
}

static int
begin(bstar_t *self, bstar_role_t role, const bstar_options_t *options)
{
    struct bstar_config config;
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (zsys_init() == NULL || self->epoll_fd < 0)
        return ENOMEM;
    int error = make_config(self, role, options, &config);
    if (error != 0)
        return error;
    self->now_ns = galleon_now_ns();
    bstar_core_init(&self->core, &config, self->now_ns);
    self->shown = bstar_state(self);
    return self->is_guarded ? begin_guarded(self, options->init) : begin_classic(self);
}

static void
release(bstar_t *self)
{
    if (self->has_beats)
        bstar_beats_close(&self->beats);
    if (self->has_mail)
        bstar_mail_close(&self->mail);
    if (self->has_keeper)
        bstar_keeper_close(&self->keeper);
    bstar_record_close(&self->file);
    if (self->epoll_fd >= 0)
        close(self->epoll_fd);
    free(self->bind);
    free(self->peer);
    free(self->witness);
    free(self->state_file);
    free(self);
}

bstar_t *
bstar_new(bstar_role_t role, const char *bind_endpoint, const char *peer_endpoint,
          const bstar_options_t *options)
{
    static const bstar_options_t defaults = {0};
    if (options == NULL)
        options = &defaults;
    int error = check(bind_endpoint, peer_endpoint, options);
    bstar_t *self = error == 0 ? calloc(1, sizeof *self) : NULL;
    if (self == NULL) {
        errno = error == 0 ? ENOMEM : error;
        return NULL;
    }
    self->epoll_fd = -1;
    self->file.fd = -1;
    self->alarm = "";
    self->is_guarded = options->witness != NULL;
    error = copy_texts(self, bind_endpoint, peer_endpoint, options);
    if (error == 0)
        error = begin(self, role, options);
    if (error != 0) {
        release(self);
        errno = error;
        return NULL;
    }
    self->on_change = options->on_change;
    self->ctx = options->ctx;
    return self;
}

void
bstar_destroy(bstar_t **self_p)
{
    bstar_t *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    // Nobody is asked any more, and nothing is waited for.
    self->on_change = NULL;
    self->hooks = (struct bstar_hooks){.ctx = NULL};
    take_clock(self, galleon_now_ns());
    step(self, (struct bstar_event){.kind = BSTAR_ON_STOP});
    if (!self->core.pulse.is_over)
        step(self, (struct bstar_event){.kind = BSTAR_ON_DRAINED});
    release(self);
}
