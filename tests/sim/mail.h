// mail.h - messages: frames on their way, and how records become frames.
//
// A draft is a message being put together out of bytes that stand elsewhere. A pack is
// the G1 message being written for one peer, with an entry for each record in it. Both do
// what lib/shell does with packer.c and link_send, without a socket.

#ifndef GALLEON_MAIL_H
#define GALLEON_MAIL_H

#include "mdp_wire.h"
#include "parcel.h"

enum { DRAFT_FRAMES_MAX = MDP_PARTS_MAX + 16 };

struct pipe;

struct message {
    struct message *next;
    struct pipe *pipe; // that it came over
    uint64_t serial;   // of it
    uint64_t arrive_ns;
    size_t frame_count;
    struct view frames[]; // the first one is the routing id
};

struct mail {
    struct message *first;
    struct message *last;
    size_t count;
};

struct draft {
    struct mdp_head head;
    size_t frame_count;
    struct view frames[DRAFT_FRAMES_MAX];
};

struct pack_entry {
    enum mdp_side side;
    enum mdp_command command;
    uint64_t token;
    struct parcel *parcel; // to be let go when it is sent
};

struct pack {
    struct world *world;
    uint8_t *bytes;
    size_t used;
    size_t capacity;
    struct pack_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    uint8_t *loose; // the frames behind, packed
    struct mdp_body loose_body;
};

// message_make copies the frames, behind the routing id.
struct message *message_make(struct world *world, struct view routing_id,
                             const struct draft *draft);
void mail_append(struct mail *self, struct message *message);
struct message *mail_take(struct mail *self);
void mail_clear(struct world *world, struct mail *self);

void draft_begin(struct draft *self);
void draft_add(struct draft *self, struct view frame);
// draft_body adds the frames of a body, then the parcel's; one empty one where there are none.
void draft_body(struct draft *self, const struct mdp_body *body, const struct parcel *parcel);
// draft_record adds a record of 0.1 or 0.2: the record's body, then the parcel's.
void draft_record(struct draft *self, const struct mdp_record *record, bool has_delimiter,
                  const struct parcel *parcel);

// pack_fits: else it is to be sent first. record->body is what it will carry.
bool pack_fits(const struct pack *self, const struct mdp_record *record);
void pack_add(struct pack *self, struct mdp_record *record, const struct pack_entry *entry);
void draft_pack(struct draft *self, const struct pack *pack);
void pack_clear(struct pack *self);

#endif
