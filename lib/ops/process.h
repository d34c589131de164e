// process.h - what every daemon does about itself before anything else.

#ifndef GALLEON_PROCESS_H
#define GALLEON_PROCESS_H

// process_allow_many takes as many descriptors as the system allows, and as many sockets as
// libzmq does. To be called before the first socket.
void process_allow_many(void);

// process_init ignores SIGPIPE and SIGXFSZ, allows many descriptors and sockets, keeps some of the
// memory that it has freed, and makes a broken invariant of ours (must.h) say where it broke, with
// a trace, before it ends the process. czmq catches no signals afterwards. To be called before the
// first socket.
void process_init(const char *program);

// process_drain_on_signals calls `drain` on the first SIGTERM, SIGINT or SIGHUP,
// which is left alone where it is ignored (nohup); a second one that is no SIGHUP ends the
// process at once with exit code 1. `drain` must be safe in a handler.
void process_drain_on_signals(void (*drain)(void));

#endif
