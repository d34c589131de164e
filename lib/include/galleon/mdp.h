// galleon/mdp.h - what Majordomo clients and workers share.
//
// Wherever `brokers` is asked for, it is one endpoint or several, separated by
// commas: a pair is "tcp://a:5555,tcp://b:5555". A worker holds a session with
// each of them at once. A client uses one. Its open requests go to the next at
// once when the connection is cut or cannot be made, after timeout_ms when the
// broker is frozen, and 10 to 50 ms after a 503 (to the endpoint that it names, if
// that is in the list and has not just failed). Only a timeout is an attempt. A
// repeat keeps its request id. Both refuse what a half of a pair says under an
// epoch that is over (docs/protocol/mdp-g1.md, Epochs).
// Spec: rfc.zeromq.org/spec/7, rfc.zeromq.org/spec/18, docs/protocol/mdp-g1.md

#ifndef GALLEON_MDP_H
#define GALLEON_MDP_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    MDP_AUTO, // the default: G1 to a Galleon broker, 0.1 to any other
    MDP_G1,   // our own: credit, request ids, status, many requests in a message
    MDP_02,   // 18/MDP; never chosen by MDP_AUTO
    MDP_01    // 7/MDP
} mdp_dialect_t;

#define MDP_STATUS_MAP(X)                                                                          \
    X(MDP_DONE, 200, "ok")                                                                         \
    X(MDP_MALFORMED, 400, "malformed")                                                             \
    X(MDP_FORBIDDEN, 403, "not allowed")                                                           \
    X(MDP_NO_WORKER, 404, "no worker for the service within its time")                             \
    X(MDP_EXPIRED, 408, "expired")                                                                 \
    X(MDP_CONFLICT, 409, "key in use for another body")                                            \
    X(MDP_TOO_LARGE, 413, "too large")                                                             \
    X(MDP_QUEUE_FULL, 429, "queue full")                                                           \
    X(MDP_CANCELLED, 499, "cancelled")                                                             \
    X(MDP_FAILED, 500, "the worker failed")                                                        \
    X(MDP_WORKER_LOST, 502, "the worker was lost")                                                 \
    X(MDP_PASSIVE, 503, "this broker does not serve")

enum mdp_status {
#define X(name, value, text) name = value,
    MDP_STATUS_MAP(X)
#undef X
};

#ifdef __cplusplus
}
#endif

#endif
