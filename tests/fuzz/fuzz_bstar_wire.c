// fuzz_bstar_wire.c - any message of a pair is read within its bounds, and what was read is
// written as the same thing again.
//
// The input is a byte that chooses the format, and the frame. Format 3 is a voter's file.

#include "bstar_wire.h"
#include "must.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_beat(struct view frame, bool is_bare)
{
    struct bstar_beat beat, again;
    uint8_t bytes[BSTAR_BEAT_BYTES_MAX];
    if (bstar_beat_decode(&frame, 1, is_bare, &beat) != BSTAR_SOUND)
        return;
    must(beat.digit >= BSTAR_SAYS_PRIMARY && beat.digit <= BSTAR_SAYS_PASSIVE);
    must(is_bare || beat.node != 0);
    must(beat.epoch <= BSTAR_EPOCH_MAX);
    struct view written = view_of(bytes, bstar_beat_encode(&beat, is_bare, bytes));
    must(bstar_beat_decode(&written, 1, is_bare, &again) == BSTAR_SOUND);
    must(again.digit == beat.digit && again.is_primary == beat.is_primary);
    must(again.epoch == beat.epoch && again.node == beat.node);
    must(again.sequence == beat.sequence && again.progress == beat.progress);
}

static void
check_message(struct view frame)
{
    struct bstar_message message;
    uint8_t bytes[BSTAR_MESSAGE_BYTES_MAX];
    if (bstar_message_decode(&frame, 1, &message) != BSTAR_SOUND)
        return;
    must(message.node != 0 && message.state <= BSTAR_STATES_MAX);
    must(message.epoch <= BSTAR_EPOCH_MAX);
    size_t size = bstar_message_encode(&message, bytes);
    // What may be longer than its command needs is cut to it.
    must(size <= frame.size && memcmp(bytes, frame.data, size) == 0);
}

static void
check_file(struct view file)
{
    struct bstar_record record;
    uint8_t slot[BSTAR_SLOT_BYTES];
    if (!bstar_record_decode(file, 7, &record))
        return;
    bstar_record_encode(&record, slot);
    // Bytes that mean nothing are 0 in a slot of ours, and the sum is over them.
    must(memcmp(slot, file.data + bstar_record_offset(&record), 40) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *block = malloc(size); // of its own, so that a read past it is seen
    must(block != NULL);
    memcpy(block, data, size);
    struct view frame = view_of(block + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        check_beat(frame, true);
        break;
    case 1:
        check_beat(frame, false);
        break;
    case 2:
        check_message(frame);
        break;
    default:
        check_file(frame);
    }
    free(block);
    return 0;
}
