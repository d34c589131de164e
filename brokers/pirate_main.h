// pirate_main.h - the main() that ppqueue and spqueue share.

#ifndef GALLEON_PIRATE_MAIN_H
#define GALLEON_PIRATE_MAIN_H

#include "options.h"

#include <galleon/pirate_queue.h>

// The options of a queue, by their places in its table of rules; a program whose table ends
// before the last of them has fewer.
enum pirate_rule {
    PIRATE_RULE_FRONTEND,
    PIRATE_RULE_BACKEND,
    PIRATE_RULE_ATTEMPTS,
    PIRATE_RULE_LIMIT,
    PIRATE_RULE_REQUEST_TTL,
    PIRATE_RULE_QUEUE_LIMIT,
    PIRATE_RULE_CLIENT_LIMIT,
    PIRATE_RULE_QUEUE_BYTES,
    PIRATE_RULE_WORKERS_LIMIT,
    PIRATE_RULE_MAX_MESSAGE,
    PIRATE_RULE_IO_THREADS,
    PIRATE_RULE_INSECURE,
    PIRATE_RULE_HEARTBEAT, // ppqueue only, from here on
    PIRATE_RULE_LIVENESS
};

// What both tables begin with.
#define PIRATE_RULES                                                                               \
    [PIRATE_RULE_FRONTEND] = {"frontend", "EP",                                                    \
                              "serve clients here (tcp://127.0.0.1:5555); may be repeated"},       \
    [PIRATE_RULE_BACKEND] = {"backend", "EP",                                                      \
                             "serve workers here (tcp://127.0.0.1:5556); may be repeated"},        \
    [PIRATE_RULE_ATTEMPTS] = {"attempts", "N",                                                     \
                              "how often a request runs whose worker is lost (3)"},                \
    [PIRATE_RULE_LIMIT] = {"limit", "MS",                                                          \
                           "a worker that takes longer than this is lost (0: off)"},               \
    [PIRATE_RULE_REQUEST_TTL] = {"request-ttl", "MS",                                              \
                                 "how long a request may wait (60000; 0: for ever)"},              \
    [PIRATE_RULE_QUEUE_LIMIT] = {"queue-limit", "N", "requests that may wait (262144)"},           \
    [PIRATE_RULE_CLIENT_LIMIT] = {"client-limit", "N",                                             \
                                  "requests of one client that may wait (1000)"},                  \
    [PIRATE_RULE_QUEUE_BYTES] = {"queue-bytes", "N", "bytes of open requests (1073741824)"},       \
    [PIRATE_RULE_WORKERS_LIMIT] = {"workers-limit", "N", "workers at a time (16384)"},             \
    [PIRATE_RULE_MAX_MESSAGE] = {"max-message", "BYTES", "largest message, all frames (1048576)"}, \
    [PIRATE_RULE_IO_THREADS] = {"io-threads", "N", "I/O threads of libzmq (1)"},                   \
    [PIRATE_RULE_INSECURE] = {"insecure", NULL,                                                    \
                              "serve beyond loopback although nothing is encrypted"}

// pirate_main reads the command line and serves; returns the exit code. `options` has the
// program's name, its words and its table, `queue` what is not up to the command line.
int pirate_main(struct options options, pirate_queue_options_t queue, int argc, char **argv);

#endif
