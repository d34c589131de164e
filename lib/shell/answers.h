// answers.h - answers of a client that nobody has asked for yet.
//
// While one call waits, the answers of others come, and are kept for recv: a ring, whose
// room is the client's window and a bounded number of parts.

#ifndef GALLEON_ANSWERS_H
#define GALLEON_ANSWERS_H

#include <czmq.h>

enum { ANSWER_TEXT_BYTES = 256 };

struct answer {
    uint64_t id;
    int result; // enum galleon_status; PENDING for a part
    int status; // 0: there was none
    uint32_t part;
    bool was_sent;                // a socket has taken the request at least once
    bool is_told;                 // its brokers say when no worker took it
    zmsg_t *body;                 // NULL where the result is an error
    char text[ANSWER_TEXT_BYTES]; // for people, and safe to print
};

struct answers {
    struct answer *ring;
    size_t capacity;
    size_t first;
    size_t count;
    size_t parts; // of them
};

// answers_init returns false when out of memory.
bool answers_init(struct answers *self, size_t capacity);
// answers_release lets go of what is still held.
void answers_release(struct answers *self);

// answers_hold keeps one, its body with it; there must be room.
void answers_hold(struct answers *self, const struct answer *answer);
// answers_take takes the oldest; false: there is none.
bool answers_take(struct answers *self, struct answer *answer_out);
// answers_drop forgets what is held of one call; false: nothing was.
bool answers_drop(struct answers *self, uint64_t id);

#endif
