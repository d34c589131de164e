// packer.h - the G1 message being written for one peer.
//
// Records gather in one frame; a LOOSE record ends it, and so does the next one
// that would take it past 64 KiB. Who packs sends when it has nothing else at
// hand: nobody ever waits for a pack to fill.
//
// Beside the bytes the packer keeps one entry for each record, because a socket
// that refuses a pack refuses every record in it, and its owner has to be told.

#ifndef GALLEON_PACKER_H
#define GALLEON_PACKER_H

#include "cargo.h"
#include "mdp_wire.h"

struct packer_entry {
    enum mdp_side side;
    enum mdp_command command;
    uint64_t token;      // the core's name for it
    struct cargo *cargo; // to be let go when sent; NULL: nothing is
};

struct packer {
    uint8_t *bytes; // frame 0
    size_t used;    // 0: nothing is packed
    size_t capacity;
    struct packer_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    zmq_msg_t *loose; // the frames that follow frame 0; the pack is closed
    size_t loose_count;
    size_t loose_capacity;
    uint32_t small_packs; // in a row that needed little of the memory
    size_t bytes_max;     // of a message with more than one record
};

// packer_init: message_bytes_max is what the peer takes in one message. Only a record
// that is larger by itself goes beyond it.
void packer_init(struct packer *self, size_t message_bytes_max);
void packer_release(struct packer *self);

// packer_fits: may the record go into this pack? If not, send it first. Any
// record fits into an empty one. record->body has to be what it will carry.
//
// Besides size: the magic gives one side to all records of a pack, nothing follows
// a LOOSE record, and nothing is packed after DISCONNECT.
bool packer_fits(const struct packer *self, const struct mdp_record *record);

// packer_add writes a record. What it carries is record->body; `body` is where that
// came from, NULL where it is nowhere else. Where record->body is empty it is
// `body`, and where it is other frames they stand in front of those of `body`. It is
// LOOSE where `body` is large; the packer then shares its frames, so `body` need not
// live longer than this call. False when out of memory: nothing was added.
bool packer_add(struct packer *self, struct mdp_record *record, const struct cargo *body,
                const struct packer_entry *entry);

// packer_send sends what is packed as one message without waiting, behind the
// frames of `envelope` (NULL at a DEALER). Returns 0, or the errno of the refused
// first frame; in either case entries stay until packer_clear, and a refused pack
// may be sent again.
int packer_send(struct packer *self, void *socket, const struct mdp_envelope *envelope);
void packer_clear(struct packer *self);

#endif
