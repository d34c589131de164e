// marks.h - the situations that a run has been in.
//
// A simulator that never gets where bugs are finds none. Each mark counts one situation; a
// long run in which one was never reached fails. To add one: a line here, and mark() where
// it happens.

#ifndef GALLEON_MARKS_H
#define GALLEON_MARKS_H

#include <stdint.h>

#define MARK_MAP(X)                                                                                \
    X(MARK_ANSWERED, "call answered")                                                              \
    X(MARK_ANSWERED_IN_PARTS, "call answered in parts")                                            \
    X(MARK_ANSWERED_WITH_ERROR, "call answered with an error of the worker's")                     \
    X(MARK_WORKER_LOST_BUSY, "worker lost while it held a request")                                \
    X(MARK_WORKER_LEFT_BUSY, "worker left with a request")                                         \
    X(MARK_WORKER_SILENT, "idle worker lost by silence")                                           \
    X(MARK_WORKER_UNREACHABLE, "worker lost by EHOSTUNREACH")                                      \
    X(MARK_WORKER_LIMIT, "worker lost by its processing limit")                                    \
    X(MARK_WORKER_REFUSED, "worker refused")                                                       \
    X(MARK_UNSENT_REQUEST_FULL, "UNSENT of a REQUEST, queue full")                                 \
    X(MARK_UNSENT_REQUEST_GONE, "UNSENT of a REQUEST, worker gone")                                \
    X(MARK_UNSENT_FINAL_FULL, "UNSENT of a FINAL to a client, queue full")                         \
    X(MARK_UNSENT_FINAL_GONE, "UNSENT of a FINAL to a client that is gone")                        \
    X(MARK_UNSENT_PARTIAL, "UNSENT of a PARTIAL to a client")                                      \
    X(MARK_UNSENT_HEARTBEAT, "UNSENT of a HEARTBEAT to a worker")                                  \
    X(MARK_UNSENT_PACK, "UNSENT of a pack of more than one record")                                \
    X(MARK_UNSENT_BY_WORKER, "UNSENT of a worker's FINAL")                                         \
    X(MARK_UNSENT_PART_BY_WORKER, "UNSENT of a worker's PARTIAL")                                  \
    X(MARK_UNSENT_BY_CLIENT, "UNSENT of a client's REQUEST")                                       \
    X(MARK_REDELIVERY, "redelivery")                                                               \
    X(MARK_EXPIRED_QUEUED, "request expired in the queue")                                         \
    X(MARK_GIVEN_UP, "attempts spent")                                                             \
    X(MARK_CANCEL_QUEUED, "cancel of a request that waits")                                        \
    X(MARK_CANCEL_OUT, "cancel of a request that is out")                                          \
    X(MARK_CANCEL_UNKNOWN, "cancel of a request that is over")                                     \
    X(MARK_LATE_DROPPED, "late answer dropped")                                                    \
    X(MARK_LATE_TAKEN, "late answer taken")                                                        \
    X(MARK_PARTIAL_THEN_LOST, "worker lost after a PARTIAL")                                       \
    X(MARK_SILENCE, "an error that a 0.1 or 0.2 client does not hear")                             \
    X(MARK_DRAIN_WITH_WORK, "broker drained with requests out")                                    \
    X(MARK_DRAIN_OVER, "broker's drain over")                                                      \
    X(MARK_WORKER_DRAINED, "worker drained")                                                       \
    X(MARK_REFUSED_DRAINING, "request refused by a broker that drains")                            \
    X(MARK_LIMIT_QUEUE, "queue limit reached")                                                     \
    X(MARK_LIMIT_SERVICE, "queue limit of a service reached")                                      \
    X(MARK_LIMIT_CLIENT, "queue limit of a client reached")                                        \
    X(MARK_LIMIT_BYTES, "limit of bytes reached")                                                  \
    X(MARK_NO_QUEUE, "no-queue request refused")                                                   \
    X(MARK_DUPLICATE, "request whose id is open already")                                          \
    X(MARK_PAUSE_EXTENDS, "a broker's pause that was longer than a worker's patience")             \
    X(MARK_OF_GONE, "request dropped because its client is gone")                                  \
    X(MARK_STRANGER_BEATS, "DISCONNECT to a worker that is not registered")                        \
    X(MARK_BROKER_RESTARTED, "broker killed and started again")                                    \
    X(MARK_WORKER_RESTARTED, "worker killed and started again")                                    \
    X(MARK_CLIENT_RESTARTED, "client killed and started again")                                    \
    X(MARK_HALF_OPEN_ENDED, "half-open connection given up by the link's own heartbeats")          \
    X(MARK_BURST, "clogged connection that went on")                                               \
    X(MARK_CUT_IN_FLIGHT, "messages lost in flight")                                               \
    X(MARK_PARKED, "routing id that an old connection still has")                                  \
    X(MARK_NO_MEMORY, "body that found no memory")                                                 \
    X(MARK_LOOSE, "body in frames of its own")                                                     \
    X(MARK_GATHERED, "parts gathered for a client that takes one message")                         \
    X(MARK_ASKED_DIALECT, "dialect asked for")                                                     \
    X(MARK_PASSIVE, "client sent elsewhere by 503")                                                \
    X(MARK_ATTEMPT_TIMED_OUT, "client's attempt timed out")                                        \
    X(MARK_CALL_TIMED_OUT, "client's call given up")                                               \
    X(MARK_WORKER_GAVE_UP_BROKER, "worker gave a broker up for its silence")                       \
    X(MARK_ANSWER_LOST_BY_WORKER, "worker's answer lost with its connection")                      \
    X(MARK_CREDIT, "worker with more than one request out")                                        \
    X(MARK_MIDDLE_OF_CLOCK, "clock that passes the middle of its range")                           \
    X(MARK_CLOCK_AT_ZERO, "clock that begins at 0")                                                \
    X(MARK_SUSPENDED, "machine that slept")                                                        \
    X(MARK_WALL_STEP, "wall clock that was set")                                                   \
    X(MARK_RECEIVE_MARK, "broker that does not read a connection fast enough")                     \
    X(MARK_LIAR_ANSWERED, "call answered wrongly by a worker that lies")                           \
    X(MARK_FALSE_BROKER_SPOKE, "word of a broker that makes everything up")                        \
    X(MARK_RECEIVE_MARK_CUT, "connection given up by a peer because the broker did not read it")   \
    X(MARK_TITANIC_RESTARTED, "titanic killed and started again")                                  \
    X(MARK_ACKED_THEN_CRASH, "durable request acknowledged, then a crash")                         \
    X(MARK_TORN, "record torn by a crash")                                                         \
    X(MARK_DOUBT, "batch of which nobody knows whether it is there")                               \
    X(MARK_DISK_FULL, "disk full")                                                                 \
    X(MARK_SUBMIT_REFUSED_FULL, "submit refused by a full disk")                                   \
    X(MARK_ANSWER_REFUSED_FULL, "answer that a full disk had no room for")                         \
    X(MARK_NOT_ACCEPTING, "titanic accepts nothing new for want of room")                          \
    X(MARK_LIE_NOTICED, "durable request lost by a disk that lied")                                \
    X(MARK_LOADED, "durable request loaded from the store")                                        \
    X(MARK_ANSWER_LOST, "answer to a durable request lost with a crash")                           \
    X(MARK_RETRY_LATER, "durable attempt that failed")                                             \
    X(MARK_RETRY_SENT, "durable request sent again after a failure")                               \
    X(MARK_NOT_TRIED, "durable attempt that no worker was given")                                  \
    X(MARK_LOST_ATTEMPT, "durable attempt of which nobody knows")                                  \
    X(MARK_DEAD_LETTER, "dead letter")                                                             \
    X(MARK_EXPIRED_DURABLE, "durable request expired")                                             \
    X(MARK_ANSWERED_AFTER_END, "durable answer after the request's end")                           \
    X(MARK_CLOSED_OUT, "durable request closed or cancelled while it is out")                      \
    X(MARK_WAIT_WOKEN, "wait that was woken by an answer")                                         \
    X(MARK_WAIT_OVER, "wait that ended without one")                                               \
    X(MARK_KEY_AGAIN, "second submit with a key")                                                  \
    X(MARK_KEY_OF_CLOSED, "submit with the key of a closed request")                               \
    X(MARK_KEY_CONFLICT, "submit with a key of another body")                                      \
    X(MARK_RETRIED, "dead letter that was retried")                                                \
    X(MARK_DURABLE_DONE, "durable request answered")                                               \
    X(MARK_TITANIC_DRAINED, "titanic drained")                                                     \
    X(MARK_CANCELLED_OUT, "durable request cancelled while it is out")                             \
    X(MARK_RETRIED_OUT, "durable request retried while a worker still works on it")                \
    X(MARK_PURGED, "durable request purged")                                                       \
    X(MARK_PURGED_OUT, "durable request purged while a worker still works on it")                  \
    X(MARK_CHANGED_MANY, "change of more than one durable request")                                \
    X(MARK_STRANGER, "question about another owner's durable request")                             \
    X(MARK_IN_INBOX, "durable request that a worker's inbox has already")                          \
    X(MARK_EFFECT_THEN_DEATH, "worker that ends between its effect and its answer")                \
    X(MARK_KEY_EXPIRED, "key of our own form refused for its age")                                 \
    X(MARK_ANCHOR_HOLDS, "start that found its anchor")                                            \
    X(MARK_ANCHOR_AHEAD, "lie of a disk that the anchor noticed")                                  \
    X(MARK_ANCHOR_DOUBT, "anchor of which nobody knows whether it is there")                       \
    X(MARK_KEY_ANEW, "key taken for another request after its horizon")                            \
    X(MARK_DRAIN_AND_RESTART, "titanic drained in the middle of trouble, and started again")       \
    X(MARK_DRAIN_WITH_OUT, "titanic told to drain with durable requests out")                      \
    X(MARK_BATCH_NO_MEMORY, "batch that found no memory")                                          \
    X(MARK_STORE_FAULT, "store that only an operator can mend")                                    \
    X(MARK_READ_AT_FAULT, "read of a store at fault")                                              \
    X(MARK_FAULT_MENDED, "store at fault that an operator mended")                                 \
    X(MARK_ROOM_AGAIN, "disk that was full and has room again")                                    \
    X(MARK_SUBMIT_REFUSED_SHORT, "submit refused before the disk was full")                        \
    X(MARK_DROPPED_ANSWER, "answer that nobody closed dropped after its time")                     \
    X(MARK_DROPPED_KEY, "key of a closed request forgotten after its time")

// Those of a world of pirates, which knows no other.
#define PIRATE_MARK_MAP(X)                                                                         \
    X(MARK_LAZY_ANSWERED, "lazy call answered")                                                    \
    X(MARK_LAZY_FAILED_OVER, "lazy call answered by another than the first of its list")           \
    X(MARK_LAZY_BROKERLESS, "lazy call answered by a plain server")                                \
    X(MARK_LAZY_GIVEN_UP, "lazy call given up")                                                    \
    X(MARK_LAZY_DEADLINE, "lazy call ended by its deadline")                                       \
    X(MARK_LAZY_RETRIED, "lazy call tried again")                                                  \
    X(MARK_LAZY_TIMED_OUT, "lazy attempt timed out")                                               \
    X(MARK_LAZY_CUT, "lazy client's connection cut")                                               \
    X(MARK_LAZY_REFUSED, "lazy client's connection refused")                                       \
    X(MARK_LAZY_UNSENT, "lazy request that has not left")                                          \
    X(MARK_LAZY_UNOPENED, "lazy client's socket not opened")                                       \
    X(MARK_LAZY_STALE, "stale reply dropped by a lazy client")                                     \
    X(MARK_LAZY_CANCELLED, "lazy call interrupted")                                                \
    X(MARK_REPLIED_TWICE, "server that replies twice")                                             \
    X(MARK_PIRATE_UNSENT, "answer of a pirate's worker that no socket took")                       \
    X(MARK_PIRATE_LOST_ANSWER, "answer lost by a pirate's worker")                                 \
    X(MARK_PIRATE_LATE_ANSWER, "answer over another connection than its request's")                \
    X(MARK_PIRATE_SILENCE, "queue given up by a worker for its silence")                           \
    X(MARK_PIRATE_CUT, "queue lost by a worker")                                                   \
    X(MARK_PIRATE_NO_MEMORY, "request that found no memory at a pirate's worker")                  \
    X(MARK_PIRATE_DIED_OF_REQUEST, "process that ends with its request")                           \
    X(MARK_PIRATE_LOOKED_GONE, "simple worker's connection seen to have ended")                    \
    X(MARK_PIRATE_ANEW, "worker that says READY while it holds a request")                         \
    X(MARK_PIRATE_FLOOD, "flood of requests")                                                      \
    X(MARK_PIRATE_LIAR, "request handed to a worker that lies")                                    \
    X(MARK_REQ_LOST, "REQ worker that its keeper starts again")

// Those of a world with a pair.
#define PAIR_MARK_MAP(X)                                                                           \
    X(MARK_REIGN, "reign of a half")                                                               \
    X(MARK_TAKEOVER, "takeover by vote")                                                           \
    X(MARK_LEASE_ENDED, "lease that ran out, or was overtaken")                                    \
    X(MARK_SOFT_DRAIN, "reign that is handed over")                                                \
    X(MARK_DRAIN_DONE, "hand-over whose drain was done")                                           \
    X(MARK_ASKED_PASSIVE, "request to a half that does not serve")                                 \
    X(MARK_WITHHELD, "send withheld because the reign is over")                                    \
    X(MARK_WORKER_FENCED, "request refused by a worker for its epoch")                             \
    X(MARK_CLIENT_FENCED, "answer of an older epoch dropped by a client")                          \
    X(MARK_LETTER_LATE, "late letter between members")                                             \
    X(MARK_WAY_SLOW, "way between members slow")                                                   \
    X(MARK_KILLED_WRITING, "member killed while it writes its record")                             \
    X(MARK_DUEL, "two candidates at once")                                                         \
    X(MARK_FAULT, "half in FAULT")                                                                 \
    X(MARK_FAULT_CLEARED, "FAULT cleared by an operator")                                          \
    X(MARK_HANDED_OVER, "answer that came in a hand-over")                                         \
    X(MARK_MEMBER_KILLED, "member killed")                                                         \
    X(MARK_ALL_MEMBERS_KILLED, "all three members killed at once")                                 \
    X(MARK_MEMBER_PAUSED, "member that stood still")                                               \
    X(MARK_CUT_ONE_WAY, "one way between members cut")                                             \
    X(MARK_CUT_BOTH_WAYS, "both ways between members cut")                                         \
    X(MARK_VOTED, "takeover by silence and a client's vote")                                       \
    X(MARK_FOLLOWED, "takeover because the peer waits, or is passive")                             \
    X(MARK_YIELDED, "half that yields")                                                            \
    X(MARK_YIELDED_BARE, "half that yields to a bare digit")                                       \
    X(MARK_TWO_SERVE, "two that serve, as something keeps them apart")                             \
    X(MARK_SLEPT_ACTIVE, "half that slept while it served, and waits again")                       \
    X(MARK_HALTED, "half that halts, since both have one role")

enum mark {
#define X(name, text) name,
    MARK_MAP(X) PIRATE_MARK_MAP(X) PAIR_MARK_MAP(X)
#undef X
        MARKS,
    PIRATE_MARKS_FROM = MARK_LAZY_ANSWERED,
    PAIR_MARKS_FROM = MARK_REIGN
};

const char *mark_text(enum mark mark);

#endif
