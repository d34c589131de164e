// bstar_witness.h - the third vote of a guarded pair: a socket, a record, and nothing else.

#ifndef GALLEON_BSTAR_WITNESS_H
#define GALLEON_BSTAR_WITNESS_H

#include "bstar_record.h"

#include <stdbool.h>
#include <stdint.h>

struct bstar_witness;

struct bstar_witness_options {
    const char *bind;
    const char *state_file;
    const char *pair;  // its name
    uint32_t lease_ms; // 0: 1000
    bool init;         // make the record first
};

// bstar_witness_new returns NULL with errno, and then *trouble_out may say what is wrong with the
// record. EINVAL: an endpoint beyond this machine, or a lease that cannot be.
struct bstar_witness *bstar_witness_new(const struct bstar_witness_options *options,
                                        enum bstar_trouble *trouble_out);
void bstar_witness_destroy(struct bstar_witness **self_p);

enum bstar_witness_end {
    BSTAR_WITNESS_STOPPED,
    BSTAR_WITNESS_STUCK, // it can wait no more
    BSTAR_WITNESS_DOUBTS // its record cannot be written: what is on disk is known at the next start
};

// bstar_witness_run votes until bstar_witness_stop, which any thread or signal handler may call, or
// until it cannot.
enum bstar_witness_end bstar_witness_run(struct bstar_witness *self);
void bstar_witness_stop(struct bstar_witness *self);

const char *bstar_witness_endpoint(const struct bstar_witness *self);

#endif
