// drill_pair.h - two brokers of which one serves, and what is known of their reigns.
//
// The ports are taken before the brokers start, and kept: each has to know those of the others, and
// who comes back has to find its own. Who serves when is read from what the halves write.

#ifndef GALLEON_DRILL_PAIR_H
#define GALLEON_DRILL_PAIR_H

#include "drill_child.h"
#include "drill_load.h"

struct drill_journal;
struct drill_stage;
struct drill_verdict;
struct fault_proxy;

enum {
    DRILL_PRIMARY,
    DRILL_BACKUP,
    DRILL_HALVES,
    DRILL_WITNESS = DRILL_HALVES,
    DRILL_MEMBERS,
    DRILL_PORTS = 2 * DRILL_HALVES + 1,
    DRILL_ENDPOINT_BYTES = 64,
    DRILL_PAIR_BEAT_MS = 1000, // of workers: they stay with a half that is frozen for a while
    DRILL_REIGNS_MAX = 16
};

// One time that a half served.
struct drill_reign {
    uint32_t half;
    uint64_t epoch;
    uint64_t from_ns;
    uint64_t to_ns; // 0: it goes on
};

struct drill_pair {
    int ports[DRILL_PORTS]; // sockets that keep them
    size_t port_count;
    char endpoints[DRILL_HALVES][DRILL_ENDPOINT_BYTES]; // for clients and workers
    char links[DRILL_HALVES][DRILL_ENDPOINT_BYTES];     // where the other half finds it,
    char peers[DRILL_HALVES][DRILL_ENDPOINT_BYTES];     // and where it finds the other
    char witness[DRILL_ENDPOINT_BYTES];
    struct fault_proxy *proxies[DRILL_HALVES]; // on the way of a half to the other; NULL: none
    struct drill_child members[DRILL_MEMBERS];
    long log_read[DRILL_HALVES];
    mdp_client_t *controls[DRILL_HALVES];
    struct drill_reign reigns[DRILL_REIGNS_MAX];
    size_t reign_count;
    uint32_t serving;      // the half that does so at the beginning, mostly the primary
    bool counts_from_harm; // outages do: it came at their end
    bool is_clock_stepped; // wall clocks are, of the members and of the workers
};

// ---- what a drill of a pair is made of --------------------------------------------------------

// drill_pair_begin starts the witness, both halves, workers and clients, and waits until one
// half serves and all are answered. With links that can be harmed the proxies are there.
bool drill_pair_begin(struct drill_stage *stage, bool has_proxies);
// drill_pair_open is the same without the clients; drill_pair_load starts one of each dialect that
// is asked for, which have both halves, or their endpoints.
bool drill_pair_open(struct drill_stage *stage, bool has_proxies);
bool drill_pair_load(struct drill_stage *stage, const char *endpoints);

// drill_pair_start starts a member, again where it has been there, and waits until it listens.
bool drill_pair_start(struct drill_stage *stage, uint32_t member);
bool drill_pair_kill(struct drill_stage *stage, uint32_t member);
// drill_pair_freeze stops a half; what it does from now on it does not do as the one that serves.
void drill_pair_freeze(struct drill_stage *stage, uint32_t half);
void drill_pair_thaw(struct drill_stage *stage, uint32_t half);
// drill_pair_say says a word of the operator's to a half, which has to obey.
bool drill_pair_say(struct drill_stage *stage, uint32_t half, const char *word);

// drill_pair_await_reign waits until a half serves; drill_pair_settle until it does and the other
// is passive; drill_pair_settle_any until one does, whichever, and the other is.
bool drill_pair_await_reign(struct drill_stage *stage, uint32_t half);
bool drill_pair_settle(struct drill_stage *stage, uint32_t half);
bool drill_pair_settle_any(struct drill_stage *stage);
// drill_pair_await_word waits until a row of a half's status says this.
bool drill_pair_await_word(struct drill_stage *stage, uint32_t half, const char *row,
                           const char *word);

// drill_pair_attempt_ms is how long a client waits before it asks again; drill_pair_long_ms is
// longer than any patience of the pair.
uint32_t drill_pair_attempt_ms(const struct drill_stage *stage);
uint32_t drill_pair_long_ms(const struct drill_stage *stage);

// drill_pair_end ends the load, and measures what the clients saw.
void drill_pair_end(struct drill_stage *stage);

// drill_pair_watch reads what the halves have written; drill_pair_close ends what is not a process.
void drill_pair_watch(struct drill_stage *stage);
void drill_pair_close(struct drill_stage *stage);

// ---- what clients and workers saw -------------------------------------------------------------

// drill_outage_ms is the longest time between two answers of a load with a window of 1, of which
// the later came after since_ns; or from then on, where the time before is not to count.
double drill_outage_ms(const struct drill_load *load, uint64_t since_ns, bool is_from_then);

// drill_count_dual counts what two brokers that serve at once would do: a worker begins what an
// older epoch asks for after a newer, a client gets the answer of an older one after that of a
// newer, or a request that was sent when an answer of a newer epoch was there is answered under an
// older. What has no epoch is not looked at.
uint32_t drill_count_dual(const struct drill_journal *journal, const struct drill_load *loads,
                          size_t load_count);

// drill_count_bare counts runs under no epoch of workers up to this one, who all know epochs.
uint32_t drill_count_bare(const struct drill_journal *journal, uint32_t worker_max);

// drill_count_stale counts runs that began after since_ns for requests that were answered before.
// Those of workers that know epochs go to *fenced_out, which has to stay 0.
uint32_t drill_count_stale(const struct drill_journal *journal, const struct drill_load *loads,
                           size_t load_count, uint64_t since_ns, uint32_t *fenced_out);

#endif
