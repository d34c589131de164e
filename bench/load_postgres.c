// load_postgres.c - durable submits to PostgreSQL, a window of them in each transaction.
//
//   load_postgres submit --port N [--window N] [--body BYTES] [--seconds N] [--one]
//
// The window is sent in a row, without waiting (one prepared INSERT for each request, or with
// --one a single statement of as many rows), then Sync, which commits it all. The rows are counted
// at the end: each that was acknowledged is there. The user is postgres, who needs no password.

#include "load_peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENT_BYTES_PER_ROW = 10, STATEMENT_BYTES = 64 };

// ---- the protocol: a letter, a length, the contents -------------------------------------

static void
put_32(struct peer *peer, size_t number)
{
    uint32_t bytes = htonl((uint32_t)number);
    peer_put(peer, &bytes, sizeof bytes);
}

static void
put_16(struct peer *peer, size_t number)
{
    uint16_t bytes = htons((uint16_t)number);
    peer_put(peer, &bytes, sizeof bytes);
}

static void
put_head(struct peer *peer, char type, size_t contents)
{
    peer_put(peer, &type, 1);
    put_32(peer, contents + 4);
}

static void
put_text(struct peer *peer, const char *text)
{
    peer_put(peer, text, strlen(text) + 1);
}

// take_message reads one; an error ends the program.
static char
take_message(struct peer *peer, uint8_t **contents_out, size_t *bytes_out)
{
    uint8_t head[5];
    memcpy(head, peer_take(peer, sizeof head), sizeof head);
    uint32_t length;
    memcpy(&length, head + 1, sizeof length);
    *bytes_out = ntohl(length) - 4;
    *contents_out = peer_take(peer, *bytes_out);
    if (head[0] == 'E') {
        for (size_t i = 0; i + 1 < *bytes_out; i++) // fields, each ended by a NUL
            (*contents_out)[i] = (*contents_out)[i] == '\0' ? ' ' : (*contents_out)[i];
        peer_die("PostgreSQL: %.*s", (int)*bytes_out - 1, (char *)*contents_out);
    }
    return (char)head[0];
}

// wait_until_ready returns how many statements were done before; the first column of the last row
// is a number, if a place for it is given.
static uint64_t
wait_until_ready(struct peer *peer, uint64_t *number_out)
{
    uint8_t *contents;
    size_t bytes;
    uint64_t count = 0;
    for (char type; (type = take_message(peer, &contents, &bytes)) != 'Z';) {
        count += type == 'C';
        if (type != 'D' || number_out == NULL || bytes < 6)
            continue;
        *number_out = 0; // two bytes of how many columns, four of the length
        for (size_t i = 6; i < bytes; i++)
            *number_out = *number_out * 10 + (uint64_t)(contents[i] - '0');
    }
    return count;
}

static uint64_t
ask(struct peer *peer, const char *sql)
{
    uint64_t number = 0;
    put_head(peer, 'Q', strlen(sql) + 1);
    put_text(peer, sql);
    peer_flush(peer);
    wait_until_ready(peer, &number);
    return number;
}

static void
log_in(struct peer *peer)
{
    static const char parameters[] = "user\0postgres\0database\0postgres\0";
    put_32(peer, 8 + sizeof parameters);
    put_32(peer, 3 << 16); // the protocol's version
    peer_put(peer, parameters, sizeof parameters);
    peer_flush(peer);
    wait_until_ready(peer, NULL);
}

// ---- submit -----------------------------------------------------------------------------

static void
prepare(struct peer *peer, uint32_t rows)
{
    size_t limit = STATEMENT_BYTES + (size_t)rows * STATEMENT_BYTES_PER_ROW;
    char *sql = peer_allocate(limit);
    int used = snprintf(sql, limit, "INSERT INTO jobs(body) VALUES($1::bytea)");
    for (uint32_t row = 2; row <= rows; row++)
        used += snprintf(sql + used, limit - (size_t)used, ",($%u)", row);
    put_head(peer, 'P', 2 + (size_t)used + 1 + 2);
    put_text(peer, "i");
    put_text(peer, sql);
    put_16(peer, 0);
    put_head(peer, 'S', 0);
    peer_flush(peer);
    wait_until_ready(peer, NULL);
    free(sql);
}

// put_insert binds so many bodies, all in binary, and executes the statement.
static void
put_insert(struct peer *peer, const uint8_t *body, uint32_t body_bytes, uint32_t rows)
{
    put_head(peer, 'B', 1 + 2 + 4 + 2 + (size_t)rows * (4 + body_bytes) + 2);
    put_text(peer, "");
    put_text(peer, "i");
    put_16(peer, 1);
    put_16(peer, 1);
    put_16(peer, rows);
    for (uint32_t row = 0; row < rows; row++) {
        put_32(peer, body_bytes);
        peer_put(peer, body, body_bytes);
    }
    put_16(peer, 0);
    put_head(peer, 'E', 1 + 4);
    put_text(peer, "");
    put_32(peer, 0);
}

static void
submit(const struct peer_options *options, struct peer *peer, struct peer_result *result)
{
    uint32_t window = options->window;
    uint32_t statements = options->is_one_statement ? 1 : window;
    uint8_t *body = peer_allocate(options->body_bytes);
    memset(body, 'x', options->body_bytes);
    result->began_ns = peer_now_ns();
    result->ended_ns = result->began_ns;
    uint64_t stop_ns = result->began_ns + options->seconds * 1000000000ull;
    while (options->requests > 0 ? result->done < options->requests : result->ended_ns < stop_ns) {
        for (uint32_t i = 0; i < statements; i++)
            put_insert(peer, body, options->body_bytes, window / statements);
        put_head(peer, 'S', 0);
        uint64_t sent_ns = result->ended_ns;
        peer_flush(peer);
        if (wait_until_ready(peer, NULL) != statements)
            peer_die("PostgreSQL answers fewer statements than were sent");
        result->ended_ns = peer_now_ns();
        for (uint32_t i = 0; i < window; i++)
            load_histogram_note(result->latencies, result->ended_ns - sent_ns);
        result->done += window;
    }
    free(body);
}

int
main(int argc, char **argv)
{
    struct peer_options options;
    peer_options_parse(&options, argc, argv);
    if (strcmp(options.work, "submit") != 0)
        peer_die("%s: only submit", options.work);
    struct peer peer;
    peer_connect(&peer, &options);
    log_in(&peer);
    ask(&peer, "SET client_min_messages = error");
    ask(&peer, "SET synchronous_commit = on");
    ask(&peer, "DROP TABLE IF EXISTS jobs");
    ask(&peer, "CREATE TABLE jobs(id bigserial PRIMARY KEY, body bytea)");
    prepare(&peer, options.is_one_statement ? options.window : 1);
    struct peer_result result = {.latencies = peer_allocate(sizeof *result.latencies)};
    submit(&options, &peer, &result);
    uint64_t there = ask(&peer, "SELECT count(*) FROM jobs");
    result.lost = there > result.done ? there - result.done : result.done - there;
    int code = peer_report(&options, &result);
    free(result.latencies);
    peer_close(&peer);
    return code;
}
