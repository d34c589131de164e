// ppqueue.c - the Paranoid Pirate queue as a daemon.

#include "pirate_main.h"

static const struct options_rule rules[] = {
    PIRATE_RULES,
    [PIRATE_RULE_HEARTBEAT] = {"heartbeat", "MS", "beat to workers this often (1000)"},
    [PIRATE_RULE_LIVENESS] = {"liveness", "N",
                              "silent intervals after which an idle worker is lost (3)"},
    {0}};

int
main(int argc, char **argv)
{
    struct options options = {
        .program = "ppqueue",
        .synopsis = "[OPTION]...",
        .about = "Shares the requests of clients among Paranoid Pirate workers (6/PPP): least\n"
                 "recently used first, heartbeats both ways. A lost worker's request is given to\n"
                 "another. SIGTERM, SIGINT and SIGHUP drain: what is out is finished.",
        .rules = rules,
        .log_level = LOG_LEVEL_WARN};
    return pirate_main(options, (pirate_queue_options_t){.simple = false}, argc, argv);
}
