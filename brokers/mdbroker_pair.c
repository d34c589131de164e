// mdbroker_pair.c - sentences about pairs that cannot be.

#include "mdbroker_pair.h"

#include "bstar_lease.h"
#include "endpoints.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    ROLE,
    PAIR_BIND,
    PAIR_PEER,
    WITNESS,
    PAIR_NAME,
    PAIR_STATE,
    PAIR_INIT,
    PAIR_HEARTBEAT,
    PAIR_LEASE,
    PAIR_REDIRECT,
    PAIR_GUIDE,
    PLACES,
    GUARDED_ONLY = 1 << PAIR_STATE | 1 << PAIR_INIT | 1 << PAIR_LEASE,
    NAME_BYTES_MAX = 64,
    HEARTBEAT_MS_MIN = 10,
    HEARTBEAT_MS_MAX = 60000,
    LEASE_MS_MAX = 600000
};

static const char *const names[PLACES] = {
    [ROLE] = "pair",
    [PAIR_BIND] = "pair-bind",
    [PAIR_PEER] = "pair-peer",
    [WITNESS] = "witness",
    [PAIR_NAME] = "pair-name",
    [PAIR_STATE] = "pair-state",
    [PAIR_INIT] = "pair-init",
    [PAIR_HEARTBEAT] = "pair-heartbeat",
    [PAIR_LEASE] = "pair-lease",
    [PAIR_REDIRECT] = "pair-redirect",
    [PAIR_GUIDE] = "pair-guide",
};

void
mdbroker_pair_set(struct mdbroker_pair *self, const struct options *options, int place)
{
    static const char *const roles[] = {"primary", "backup", NULL};
    self->given |= 1u << place;
    switch (place) {
    case ROLE:
        self->is_wanted = true;
        self->role = options_choice(options, roles) == 0 ? BSTAR_PRIMARY : BSTAR_BACKUP;
        break;
    case PAIR_BIND:
        self->bind = options->value;
        break;
    case PAIR_PEER:
        self->peer = options->value;
        break;
    case WITNESS:
        self->options.witness = options->value;
        break;
    case PAIR_NAME:
        if (options->value[0] == '\0' || strlen(options->value) > NAME_BYTES_MAX)
            options_fail(options, "--pair-name: a name has 1 to %d bytes", NAME_BYTES_MAX);
        self->options.pair = options->value;
        break;
    case PAIR_STATE:
        if (options->value[0] == '\0')
            options_fail(options, "--pair-state: a file is wanted");
        self->options.state_file = options->value;
        break;
    case PAIR_INIT:
        self->options.init = true;
        break;
    case PAIR_HEARTBEAT:
        self->options.heartbeat_ms =
            (uint32_t)options_number(options, HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX);
        break;
    case PAIR_LEASE:
        self->options.lease_ms =
            (uint32_t)options_number(options, bstar_lease_ms_min(), LEASE_MS_MAX);
        break;
    case PAIR_REDIRECT:
        self->redirect = options->value;
        break;
    case PAIR_GUIDE:
        self->options.guide_peer = true;
        break;
    default:
        break;
    }
}

// ---- what does not go together ------------------------------------------------------------

static bool
is_given(const struct mdbroker_pair *self, int place)
{
    return self->given & 1u << place;
}

static void
check_words(const struct mdbroker_pair *self, const struct options *options)
{
    for (int i = 0; i < PLACES && !self->is_wanted; i++)
        if (is_given(self, i))
            options_fail(options, "--%s is of a pair: say --pair primary or --pair backup too",
                         names[i]);
    if (!self->is_wanted)
        return;
    if (self->bind == NULL || self->peer == NULL)
        options_fail(options, "--pair needs --%s",
                     names[self->bind == NULL ? PAIR_BIND : PAIR_PEER]);
    bool is_guarded = is_given(self, WITNESS);
    for (int i = 0; i < PLACES && !is_guarded; i++)
        if (is_given(self, i) && (GUARDED_ONLY & 1u << i))
            options_fail(options, "--%s is of a pair with a witness: give --witness too", names[i]);
    if (is_guarded && !is_given(self, PAIR_STATE))
        options_fail(options, "--witness needs --pair-state: a half that forgets its vote could "
                              "give it twice");
    if (is_guarded && is_given(self, PAIR_GUIDE))
        options_fail(options, "--pair-guide and --witness: give one of them; the Guide's pairs "
                              "have no witness");
}

// check_connectable: is it one endpoint to connect to?
static void
check_connectable(const struct options *options, int place, const char *endpoint)
{
    struct endpoints list;
    bool is_one = endpoints_init(&list, endpoint);
    if (is_one) {
        is_one = list.count == 1;
        endpoints_release(&list);
    }
    if (!is_one || strncmp(endpoint, "inproc:", 7) == 0)
        options_fail(options, "--%s: '%s' is no endpoint; one looks like tcp://127.0.0.1:5003",
                     names[place], endpoint);
}

// check_local: halves with a witness trust what they hear, so only this machine may speak.
static void
check_local(const struct options *options, int place, const char *endpoint)
{
    if (!endpoints_is_local(endpoint))
        options_fail(options,
                     "--%s: '%s' may lead to another machine, and a pair with a witness "
                     "speaks plain: until it is encrypted it takes ipc://, tcp://127.0.0.1:PORT "
                     "and tcp://[::1]:PORT only",
                     names[place], endpoint);
}

// check_different: is no endpoint given for two things? Whoever is told to ask itself as its peer
// or its witness would never be one of three.
static void
check_different(const struct mdbroker_pair *self, const struct options *options,
                const struct serving_endpoints *clients)
{
    const char *witness = self->options.witness;
    if (strcmp(self->bind, self->peer) == 0)
        options_fail(options, "--pair-peer is the other half's --pair-bind, not this one's '%s'",
                     self->bind);
    if (witness != NULL && (strcmp(witness, self->bind) == 0 || strcmp(witness, self->peer) == 0))
        options_fail(options, "--witness is a starwitness's --bind, not that of a half, '%s'",
                     witness);
    for (size_t i = 0; i < clients->count; i++) {
        const char *one = clients->list[i];
        if (strchr(one, '*') != NULL)
            continue;
        if (strcmp(one, self->bind) == 0 || strcmp(one, self->peer) == 0)
            options_fail(options, "'%s' is for clients by --bind: the halves need another port",
                         one);
        if (self->redirect != NULL && strcmp(one, self->redirect) == 0)
            options_fail(options, "--pair-redirect is the other half's --bind, not this one's '%s'",
                         one);
    }
}

void
mdbroker_pair_check(const struct mdbroker_pair *self, const struct options *options,
                    const struct serving_endpoints *clients, bool is_insecure)
{
    check_words(self, options);
    if (!self->is_wanted)
        return;
    char *bind = (char *)(uintptr_t)self->bind; // it is only read
    const struct serving_endpoints one = {.list = &bind, .count = 1};
    bool is_guarded = self->options.witness != NULL;
    serving_check(options, &one, names[PAIR_BIND], is_insecure || is_guarded);
    if (strncmp(self->bind, "tcp:", 4) == 0 &&
        strcmp(self->bind + strlen(self->bind) - 2, ":*") == 0)
        options_fail(options,
                     "--pair-bind: '%s': the other half's --pair-peer has to name the port",
                     self->bind);
    check_connectable(options, PAIR_PEER, self->peer);
    if (self->redirect != NULL)
        check_connectable(options, PAIR_REDIRECT, self->redirect);
    check_different(self, options, clients);
    if (!is_guarded)
        return;
    check_connectable(options, WITNESS, self->options.witness);
    check_local(options, PAIR_BIND, self->bind);
    check_local(options, PAIR_PEER, self->peer);
    check_local(options, WITNESS, self->options.witness);
}

// ---- the half -------------------------------------------------------------------------------

// say_why says why there is no half; returns the exit code.
static int
say_why(const struct mdbroker_pair *self, int error)
{
    const char *file = self->options.state_file;
    // The record is made before anything is bound: where there is one, it is not about it.
    bool is_about_file = self->options.init && access(file, F_OK) != 0;
    if (error == ENOMEM)
        fprintf(stderr, "mdbroker: out of memory or descriptors\n");
    else if (error == EBUSY)
        fprintf(stderr, "mdbroker: %s: another process has it; is this half running already?\n",
                file);
    else if (error == EEXIST)
        fprintf(stderr,
                "mdbroker: %s is there already, and stays as it is; start without --pair-init\n",
                file);
    else if (error == ENOTSUP)
        fprintf(stderr, "mdbroker: this system has no clock that counts while it sleeps, which a "
                        "pair with a witness needs\n");
    else if (is_about_file)
        fprintf(stderr, "mdbroker: cannot make %s: %s\n", file, strerror(error));
    else
        serving_say_cannot_bind("mdbroker", self->bind, error);
    return EXIT_FAILED;
}

int
mdbroker_pair_open(const struct mdbroker_pair *self, bstar_t **half_out)
{
    if (self->options.witness == NULL)
        log_warn("MDP-PAIR-CLASSIC",
                 "what=\"both halves may serve while they cannot hear each other\"");
    *half_out = bstar_new(self->role, self->bind, self->peer, &self->options);
    return *half_out == NULL ? say_why(self, errno) : EXIT_DONE;
}
