// bstar_inside.h - what our own servers may do with a half of a pair.
//
// An embedded server without hooks has nothing out when it is asked to finish: it answers a
// request before it pumps again. A broker has, and says when it is done.

#ifndef GALLEON_BSTAR_INSIDE_H
#define GALLEON_BSTAR_INSIDE_H

#include "text.h"

#include <galleon/bstar.h>

#include <stddef.h>

// Called from within pump, may_serve and say, as on_change is; bstar_drained answers both, at
// once or later, but not from within them.
struct bstar_hooks {
    void (*drain)(void *ctx); // finish what is out, take nothing new
    void (*drop)(void *ctx);  // drop what is out, send nothing of it
    void *ctx;
};

void bstar_hook(bstar_t *self, const struct bstar_hooks *hooks);
void bstar_drained(bstar_t *self, uint64_t now_ns);

// bstar_is_serving: is it ACTIVE, with a lease that is good at now_ns? Never a vote.
bool bstar_is_serving(const bstar_t *self, uint64_t now_ns);
// bstar_may_finish: may an answer to what is out already be sent? In a soft drain, too.
bool bstar_may_finish(const bstar_t *self, uint64_t now_ns);

// The number that fences late effects; in classic none does.
struct bstar_stamp {
    uint64_t pair;
    uint64_t epoch;
};

// bstar_stamp is false in classic.
bool bstar_stamp(const bstar_t *self, struct bstar_stamp *stamp_out);
// bstar_fenced: a worker or client has refused our epoch.
void bstar_fenced(bstar_t *self, uint64_t now_ns);

// ---- the operator ----------------------------------------------------------------------

enum bstar_word {
    BSTAR_SAY_PROMOTE,
    BSTAR_SAY_PROMOTE_PEER_IS_DEAD,
    BSTAR_SAY_DEMOTE,
    BSTAR_SAY_FREEZE,
    BSTAR_SAY_THAW,
    BSTAR_SAY_CLEAR
};

struct bstar_answer {
    bool is_accepted;
    const char *why;  // not accepted: a literal
    uint64_t wait_ms; // not accepted: try again then; 0: nobody knows
};

struct bstar_answer bstar_say(bstar_t *self, enum bstar_word word, uint64_t now_ns);

// bstar_table writes the rows of `mmi.ha status`: name, tab, value, newline. `text` is large
// enough with BSTAR_TABLE_BYTES.
enum { BSTAR_TABLE_BYTES = 2048 };
void bstar_table(const bstar_t *self, uint64_t now_ns, struct text *text);

// bstar_why is the reason of FAULT, "" elsewhere.
const char *bstar_why(const bstar_t *self);

// ---- leaving ------------------------------------------------------------------------------

// bstar_stop is the stop signal: a serving half hands over first. Over is when it may exit.
void bstar_stop(bstar_t *self, uint64_t now_ns);
bool bstar_is_over(const bstar_t *self);

#endif
