// drill_account.c - what clients were told against what workers wrote down.

#include "drill.h"

#include <stdlib.h>

static int
compare_keys(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return *left < *right ? -1 : *left > *right ? 1 : 0;
}

// sorted_keys are those of all runs, on the heap; NULL: out of memory.
static uint64_t *
sorted_keys(const struct drill_journal *journal, size_t *count_out)
{
    size_t count = drill_journal_count(journal);
    uint64_t *keys = malloc((count + 1) * sizeof *keys);
    *count_out = 0;
    for (size_t i = 0; i < count && keys != NULL; i++)
        if (atomic_load(&journal->runs[i].began_ns) != 0)
            keys[(*count_out)++] = journal->runs[i].key;
    if (keys != NULL)
        qsort(keys, *count_out, sizeof *keys, compare_keys);
    return keys;
}

static uint32_t
count_twice(const uint64_t *keys, size_t count)
{
    uint32_t twice = 0;
    for (size_t i = 1; i < count; i++)
        if (keys[i] == keys[i - 1] && (i == 1 || keys[i] != keys[i - 2]))
            twice++;
    return twice;
}

// add_request accounts for one request: it was answered rightly by somebody who ran it, or
// refused where that was to be expected, or it is lost.
static void
add_request(struct drill_verdict *verdict, const struct drill_load *load, uint32_t number,
            bool is_interrupted, const uint64_t *keys, size_t count)
{
    const struct drill_request *request = &load->requests[number];
    if (request->result == GALLEON_INTERRUPTED && is_interrupted)
        return; // nobody waited for it
    uint64_t key = drill_load_key(load, number);
    bool has_run = bsearch(&key, keys, count, sizeof *keys, compare_keys) != NULL;
    verdict->sent++;
    if (request->result == GALLEON_OK && !request->is_wrong && has_run) {
        verdict->answered++;
        return;
    }
    if (request->result == GALLEON_BUSY && load->options.may_be_refused && !has_run) {
        verdict->refused++;
        return;
    }
    verdict->lost++;
    verdict->wrong += request->result == GALLEON_OK ? 1 : 0;
    verdict->timed_out += request->result == GALLEON_TIMED_OUT ? 1 : 0;
}

bool
drill_account(const struct drill_journal *journal, const struct drill_load *loads,
              size_t load_count, bool is_interrupted, struct drill_verdict *verdict)
{
    size_t count;
    uint64_t *keys = sorted_keys(journal, &count);
    if (keys == NULL)
        return false;
    for (size_t i = 0; i < load_count; i++)
        for (uint32_t j = 0; j < loads[i].sent; j++)
            add_request(verdict, &loads[i], j, is_interrupted, keys, count);
    verdict->twice = count_twice(keys, count);
    free(keys);
    return true;
}
