// bstar_stage.h - two halves in one thread, and a witness in another.

#ifndef GALLEON_BSTAR_STAGE_H
#define GALLEON_BSTAR_STAGE_H

#include "bstar_inside.h"
#include "bstar_witness.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

enum { STAGE_PRIMARY, STAGE_BACKUP, STAGE_HALVES };

struct bstar_stage {
    char folder[64];
    char ends[STAGE_HALVES + 1][96]; // ipc; the witness's is the last
    char files[STAGE_HALVES + 1][96];
    bstar_options_t options;
    bstar_t *halves[STAGE_HALVES];
    bool is_hung[STAGE_HALVES]; // its loop does not turn
    struct bstar_witness *witness;
    pthread_t thread;
};

void bstar_stage_open(struct bstar_stage *self);
void bstar_stage_close(struct bstar_stage *self);

// bstar_stage_start makes a half, as its options say.
void bstar_stage_start(struct bstar_stage *self, int half);
// bstar_stage_start_guarded is the same, with a record, and the witness.
void bstar_stage_start_guarded(struct bstar_stage *self, int half);
void bstar_stage_start_witness(struct bstar_stage *self);
void bstar_stage_stop_witness(struct bstar_stage *self);

// bstar_stage_turn turns each half that does not hang, after waiting a moment for it. It fails
// where two serve, and options are guarded.
void bstar_stage_turn(struct bstar_stage *self);

// bstar_stage_until turns until it is so, or fails after ten seconds.
typedef bool bstar_stage_fact(struct bstar_stage *self, int half);
void bstar_stage_until(struct bstar_stage *self, bstar_stage_fact *is_so, int half);

// What is logged, from begin to end: it is given to the caller, and written nowhere.
struct bstar_stage_log {
    FILE *file;
    int saved; // standard error
};
void bstar_stage_begin_log(struct bstar_stage_log *self);
void bstar_stage_end_log(struct bstar_stage_log *self, char *text, size_t room);

// Facts.
bool bstar_stage_is_active(struct bstar_stage *self, int half);
bool bstar_stage_is_passive(struct bstar_stage *self, int half);
// bstar_stage_leads: it is active, and the other one passive.
bool bstar_stage_leads(struct bstar_stage *self, int half);
// bstar_stage_serves: it is asked to, by a client.
bool bstar_stage_serves(struct bstar_stage *self, int half);

// bstar_stage_row is what stands in a half's table, "" where there is no such row. It is in memory
// that the next call uses.
const char *bstar_stage_row(const struct bstar_stage *self, int half, const char *name);

#endif
