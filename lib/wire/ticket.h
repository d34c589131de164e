// ticket.h - the name of one attempt of one request.
//
// It is what a worker is given in place of a client's address: 16 bytes in
// MDP/G1, 24 characters of [0-9A-Za-z] in the dialects whose peers may treat an
// address as text. It says nothing to anybody but the broker that drew it.

#ifndef GALLEON_TICKET_H
#define GALLEON_TICKET_H

#include "view.h"

enum { TICKET_BYTES = 16, TICKET_TEXT_BYTES = 24 };

struct ticket {
    uint8_t bytes[TICKET_BYTES];
};

static inline bool
ticket_equals(const struct ticket *a, const struct ticket *b)
{
    return memcmp(a->bytes, b->bytes, TICKET_BYTES) == 0;
}

// ticket_to_text writes the 24 characters, without a NUL.
void ticket_to_text(const struct ticket *self, uint8_t text_out[TICKET_TEXT_BYTES]);

// ticket_from_text is false where the text is no ticket.
bool ticket_from_text(struct view text, struct ticket *ticket_out);

#endif
