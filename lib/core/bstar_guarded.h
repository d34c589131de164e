// bstar_guarded.h - what the files of a half with a witness share: rows, rounds, leases.

#ifndef GALLEON_BSTAR_GUARDED_H
#define GALLEON_BSTAR_GUARDED_H

#include "bstar_state.h"

#define GUARDED_ROW_MAP(X)                                                                         \
    X(GUARDED_VERIFIED, "record and store verified")                                               \
    X(GUARDED_QUARANTINE_OVER, "quarantine over")                                                  \
    X(GUARDED_PEER_NEWER, "peer ACTIVE, newer epoch")                                              \
    X(GUARDED_PEER_SAME, "peer ACTIVE, same epoch")                                                \
    X(GUARDED_PEER_OLDER, "peer ACTIVE, older epoch")                                              \
    X(GUARDED_PEER_ALIVE, "peer alive, not ACTIVE")                                                \
    X(GUARDED_PEER_SILENT, "peer silent (raised each beat)")                                       \
    X(GUARDED_CLIENT, "client request")                                                            \
    X(GUARDED_TRAFFIC, "worker, heartbeat, mmi traffic")                                           \
    X(GUARDED_MAJORITY, "majority for this nonce")                                                 \
    X(GUARDED_ROUND_OVER, "round over, no majority")                                               \
    X(GUARDED_DENIED, "denial showing a newer epoch")                                              \
    X(GUARDED_LEASE_ENDS, "own lease ends")                                                        \
    X(GUARDED_GRANTED_PEER, "own voter granted the peer")                                          \
    X(GUARDED_STORE_OPEN, "store open, epoch written (or no store)")                               \
    X(GUARDED_FAILED, "store or record error")                                                     \
    X(GUARDED_DRAINED, "drain finished")                                                           \
    X(GUARDED_GAP, "own gap")                                                                      \
    X(GUARDED_PROMOTE, "operator: promote")                                                        \
    X(GUARDED_PROMOTE_DEAD, "operator: promote, peer is dead")                                     \
    X(GUARDED_DEMOTE, "operator: demote")                                                          \
    X(GUARDED_FREEZE, "operator: freeze or thaw")                                                  \
    X(GUARDED_CLEAR, "operator: clear")                                                            \
    X(GUARDED_STOP, "stop signal")                                                                 \
    X(GUARDED_FENCED, "a worker or client refuses our epoch")                                      \
    X(GUARDED_MALFORMED, "malformed or foreign message")

enum guarded_row {
#define X(name, text) name,
    GUARDED_ROW_MAP(X)
#undef X
        GUARDED_ROWS
};

// A bit for each voter. The operator's word stands for one where there is no other.
enum guarded_voter { OWN_VOTE = 1, PEER_VOTE = 2, WITNESS_VOTE = 4, OPERATOR_VOTE = 8 };

// bstar_guarded_end_finishing: what a soft drain has not finished is to be dropped.
void bstar_guarded_end_finishing(struct bstar_core *self);

// ---- bstar_round.c ---------------------------------------------------------------------

struct bstar_message bstar_own_message(const struct bstar_core *self, enum bstar_command command,
                                       uint64_t epoch);

// bstar_send_beat tells the peer what we are, now.
void bstar_send_beat(struct bstar_core *self);

// bstar_is_split: the peer asks another witness than we do. Each could have a majority by its own;
// so who knows of it votes no more, but by the operator's word.
bool bstar_is_split(const struct bstar_core *self);

// bstar_begin_round sends ASK, VOTE or RENEW to both others under a new nonce; our own voter
// is asked as they are.
void bstar_begin_round(struct bstar_core *self, enum bstar_command command);

// bstar_close_rounds: no reply to what was sent counts any more.
void bstar_close_rounds(struct bstar_core *self);

// bstar_asks_itself: did our own voter say yes in the newest round?
bool bstar_asks_itself(const struct bstar_core *self);

// bstar_extend_lease counts the lease from when the judged round was sent; false: it is over
// already.
bool bstar_extend_lease(struct bstar_core *self);

// bstar_release gives our epoch back at all voters.
void bstar_release(struct bstar_core *self);
// bstar_send_release leaves our own voter out, which is mute.
void bstar_send_release(struct bstar_core *self);

// bstar_draw_back_off is how long to wait after the newest round.
uint64_t bstar_draw_back_off(struct bstar_core *self);

// bstar_on_reply takes a GRANT or a DENY.
void bstar_on_reply(struct bstar_core *self, const struct bstar_message *message, uint8_t voter);

#endif
