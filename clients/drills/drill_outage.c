// drill_outage.c - what clients and workers saw of a pair: gaps, epochs, and what came too late.

#include "drill.h"

enum { EPOCHS_MAX = 64, WORKERS_MAX = 64 };

double
drill_outage_ms(const struct drill_load *load, uint64_t since_ns, bool is_from_then)
{
    uint64_t last_ns = 0;
    uint64_t longest_ns = 0;
    for (uint32_t i = 0; i < load->sent; i++) {
        const struct drill_request *request = &load->requests[i];
        if (request->result != GALLEON_OK)
            continue;
        if (is_from_then && last_ns < since_ns)
            last_ns = since_ns;
        if (request->ended_ns > since_ns && last_ns != 0 &&
            request->ended_ns - last_ns > longest_ns)
            longest_ns = request->ended_ns - last_ns;
        last_ns = request->ended_ns;
    }
    return (double)longest_ns / 1e6;
}

// ---- two at once ------------------------------------------------------------------------------

// count_late_runs: a worker takes its requests one after another, so the journal has its order.
static uint32_t
count_late_runs(const struct drill_journal *journal)
{
    uint64_t highest[WORKERS_MAX] = {0};
    uint32_t late = 0;
    uint32_t count = drill_journal_count(journal);
    for (uint32_t i = 0; i < count; i++) {
        const struct drill_run *run = &journal->runs[i];
        if (run->epoch == 0 || run->worker >= WORKERS_MAX)
            continue;
        late += run->epoch < highest[run->worker] ? 1 : 0;
        if (run->epoch > highest[run->worker])
            highest[run->worker] = run->epoch;
    }
    return late;
}

static bool
has_epoch(const struct drill_request *request)
{
    return request->result == GALLEON_OK && request->epoch != 0;
}

// When an epoch was seen to be there.
struct sighting {
    uint64_t epoch;
    uint64_t first_ns; // of its answers, the first that came
};

static size_t
note_sightings(struct sighting sightings[EPOCHS_MAX], size_t count, const struct drill_load *load)
{
    for (uint32_t i = 0; i < load->sent; i++) {
        const struct drill_request *request = &load->requests[i];
        size_t at = 0;
        if (!has_epoch(request))
            continue;
        while (at < count && sightings[at].epoch != request->epoch)
            at++;
        if (at == count && count < EPOCHS_MAX)
            sightings[count++] = (struct sighting){request->epoch, request->ended_ns};
        if (at < EPOCHS_MAX && request->ended_ns < sightings[at].first_ns)
            sightings[at].first_ns = request->ended_ns;
    }
    return count;
}

// is_overtaken: when it was sent a newer epoch than that of its answer had answered already, or
// this client had heard of one.
static bool
is_overtaken(const struct drill_request *request, const struct sighting *sightings, size_t count,
             uint64_t heard)
{
    for (size_t i = 0; i < count; i++)
        if (sightings[i].epoch > request->epoch && sightings[i].first_ns < request->sent_ns)
            return true;
    return request->epoch < heard;
}

uint32_t
drill_count_dual(const struct drill_journal *journal, const struct drill_load *loads,
                 size_t load_count)
{
    struct sighting sightings[EPOCHS_MAX];
    size_t count = 0;
    uint32_t dual = count_late_runs(journal);
    for (size_t i = 0; i < load_count; i++)
        count = note_sightings(sightings, count, &loads[i]);
    for (size_t i = 0; i < load_count; i++) {
        uint64_t heard = 0;
        for (uint32_t j = 0; j < loads[i].sent; j++) {
            const struct drill_request *request = &loads[i].requests[j];
            if (!has_epoch(request))
                continue;
            dual += is_overtaken(request, sightings, count, heard) ? 1 : 0;
            heard = request->epoch > heard ? request->epoch : heard;
        }
    }
    return dual;
}

uint32_t
drill_count_bare(const struct drill_journal *journal, uint32_t worker_max)
{
    uint32_t bare = 0;
    uint32_t count = drill_journal_count(journal);
    for (uint32_t i = 0; i < count; i++) {
        const struct drill_run *run = &journal->runs[i];
        bare += run->epoch == 0 && run->worker <= worker_max ? 1 : 0;
    }
    return bare;
}

// ---- too late -----------------------------------------------------------------------------------

uint32_t
drill_count_stale(const struct drill_journal *journal, const struct drill_load *loads,
                  size_t load_count, uint64_t since_ns, uint32_t *fenced_out)
{
    uint32_t stale = 0;
    uint32_t runs = drill_journal_count(journal);
    *fenced_out = 0;
    for (uint32_t i = 0; i < runs; i++) {
        const struct drill_run *run = &journal->runs[i];
        uint64_t load = (run->key >> 32) - 1;
        uint32_t number = (uint32_t)run->key;
        if (atomic_load(&run->began_ns) <= since_ns || load >= load_count ||
            number >= loads[load].sent)
            continue;
        const struct drill_request *request = &loads[load].requests[number];
        if (request->ended_ns == 0 || request->ended_ns >= since_ns)
            continue;
        stale++;
        *fenced_out += run->epoch != 0 ? 1 : 0;
    }
    return stale;
}
