// spqueue.c - the Simple Pirate queue as a daemon.

#include "pirate_main.h"

static const struct options_rule rules[] = {PIRATE_RULES, {0}};

int
main(int argc, char **argv)
{
    struct options options = {
        .program = "spqueue",
        .synopsis = "[OPTION]...",
        .about =
            "Shares the requests of clients among Simple Pirate workers, which are REQ\n"
            "sockets: least recently used first, no heartbeats. The request of a worker whose\n"
            "connection ends is given to another. SIGTERM, SIGINT and SIGHUP drain: what is\n"
            "out is finished.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    return pirate_main(options, (pirate_queue_options_t){.simple = true}, argc, argv);
}
