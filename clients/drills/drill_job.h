// drill_job.h - what a drill's requests ask for, and what the answer must be.
//
// Both sides are the same program on the same machine, so a body is the struct itself.

#ifndef GALLEON_DRILL_JOB_H
#define GALLEON_DRILL_JOB_H

#include "siphash.h"

enum { DRILL_FILLER_BYTES = 200 };

struct drill_job {
    uint64_t key; // no two requests of a drill have the same
    uint32_t work_ms;
    uint32_t may_hold; // the first worker that gets it keeps it until it is released
    uint8_t filler[DRILL_FILLER_BYTES];
};

struct drill_answer {
    uint64_t key;
    uint64_t digest; // of all the job's bytes
    uint32_t worker;
    uint32_t attempt;
    uint64_t epoch;                     // of the broker that asked, 0: it does not say
    uint8_t filler[DRILL_FILLER_BYTES]; // the job's, each bit turned
};

static inline uint64_t
drill_job_digest(const struct drill_job *job)
{
    static const struct siphash_key key = {{0x67616c6c656f6e21, 0x6472696c6c732121}};
    return siphash(&key, view_of(job, sizeof *job));
}

static inline void
drill_job_fill(struct drill_job *job)
{
    for (size_t i = 0; i < DRILL_FILLER_BYTES; i++)
        job->filler[i] = (uint8_t)(job->key >> i % 8 * 8) ^ (uint8_t)(i * 37);
}

static inline void
drill_job_answer(const struct drill_job *job, struct drill_answer *answer)
{
    answer->key = job->key;
    answer->digest = drill_job_digest(job);
    for (size_t i = 0; i < DRILL_FILLER_BYTES; i++)
        answer->filler[i] = (uint8_t)~job->filler[i];
}

static inline bool
drill_job_is_answered_by(const struct drill_job *job, const struct drill_answer *answer)
{
    struct drill_answer right;
    drill_job_answer(job, &right);
    return answer->key == right.key && answer->digest == right.digest &&
           memcmp(answer->filler, right.filler, sizeof right.filler) == 0;
}

#endif
