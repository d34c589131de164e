// bstar_half.h - what a half is made of, for the files that look into it.

#ifndef GALLEON_BSTAR_HALF_H
#define GALLEON_BSTAR_HALF_H

#include "bstar_beats.h"
#include "bstar_core.h"
#include "bstar_inside.h"
#include "bstar_keeper.h"
#include "bstar_log.h"
#include "bstar_mail.h"

struct bstar {
    struct bstar_core core;
    struct bstar_effects effects;
    uint64_t now_ns;
    bool is_guarded;
    int epoll_fd;
    uint64_t looked_ns; // after the connections

    char *bind, *peer, *witness, *state_file;

    // classic
    struct bstar_beats beats;
    bool has_beats;

    // guarded
    struct bstar_mail mail;
    bool has_mail;
    struct bstar_record_file file;
    struct bstar_keeper keeper;
    bool has_keeper;
    enum bstar_trouble trouble;

    void (*on_change)(void *ctx, bstar_state_t was, bstar_state_t is);
    void *ctx;
    bstar_state_t shown;
    struct bstar_hooks hooks;
    bool is_draining;  // a hook was called, and has not been answered
    bool owes_drained; // there is none: we answer

    // What a step has said.
    bool is_served;
    struct bstar_answer answer;
    const char *alarm;

    struct bstar_silences silences;
    struct bstar_strangers strangers;
    uint64_t gaps; // that were logged
};

#endif
