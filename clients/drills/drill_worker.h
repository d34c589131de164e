// drill_worker.h - the workers and the client of a drill that are processes of their own.

#ifndef GALLEON_DRILL_WORKER_H
#define GALLEON_DRILL_WORKER_H

// drill_worker_main serves until SIGTERM. Arguments: journal, endpoint, service, heartbeat in
// ms, number of the first worker, how many workers, dialect as a number.
int drill_worker_main(int argc, char **argv);

// drill_pirate_main serves a Paranoid Pirate queue until SIGTERM. Arguments: journal, endpoint,
// heartbeat in ms, number of the worker.
int drill_pirate_main(int argc, char **argv);

// drill_client_main sends requests and waits for the answers, for ever. Arguments: endpoint,
// service, how many, milliseconds of work in each.
int drill_client_main(int argc, char **argv);

#endif
