// load_g1.h - single records of MDP/G1, for all peers that speak it.

#ifndef GALLEON_LOAD_G1_H
#define GALLEON_LOAD_G1_H

#include "load_socket.h"
#include "mdp_wire.h"

// load_g1_send_record sends one record alone, with its body in it.
void load_g1_send_record(void *socket, const struct mdp_record *record);
void load_g1_send_ready(void *socket, const char *service, uint32_t credit, uint32_t interval_ms);

// What a broker sends is sound, or the process ends with a sentence.
void load_g1_begin(struct mdp_reader *reader, const struct load_message *message);
bool load_g1_next(struct mdp_reader *reader, struct mdp_record *record_out);

#endif
