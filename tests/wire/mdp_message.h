// mdp_message.h - records written as a whole message, and compared by what they say.
//
// For tests and fuzz targets: what was read is written again and has to be the same.

#ifndef GALLEON_MDP_MESSAGE_H
#define GALLEON_MDP_MESSAGE_H

#include "mdp_wire.h"

// A message as frames. It may not be moved: some of them lie in `head`.
struct mdp_message {
    struct view *frames;
    size_t count;
    struct mdp_head head; // 0.1 and 0.2
    uint8_t *pack;        // G1, a block of exactly its size
};

// mdp_message_write makes the frames of records, of which 0.1 and 0.2 have one. The
// routing id is left out where the envelope has none.
void mdp_message_write(struct mdp_message *self, const struct mdp_envelope *envelope,
                       const struct mdp_record *records, size_t count);
void mdp_message_release(struct mdp_message *self);

// mdp_records_are_equal: bodies are the same if their frames are, wherever they lie.
bool mdp_records_are_equal(const struct mdp_record *a, const struct mdp_record *b);
bool mdp_bodies_are_equal(const struct mdp_body *a, const struct mdp_body *b);

// mdp_record_touch reads every byte that a record points at, so that a sanitizer
// sees one that is not there; returns their sum.
uint64_t mdp_record_touch(const struct mdp_record *record);

#endif
