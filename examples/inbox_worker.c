// inbox_worker.c - a worker whose effect happens once, however often it is given a request.
//
//     inbox_worker BROKER SERVICE DATABASE
//
// Titanic gives a request to a worker again when it did not hear the answer, or lost it in a
// crash before it was stored. So the worker keeps an inbox: the id of each request, and what was
// answered. The effect and its row in the inbox are committed in one transaction of one database,
// and a request that is in the inbox gets the answer that stands there.
//
// The effect here is a count for each idempotency key: 1, if all is well.
//
// An inbox may forget what is older than titanic's --retain and the longest time that a request
// is tried again. This one forgets nothing.

#include <galleon/mdp_worker.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

static const char tables[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY, answer TEXT NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS effect (key TEXT PRIMARY KEY, times INTEGER NOT NULL) STRICT;";

enum { FIND, APPLY, KEEP, STATEMENTS };
static const char *const texts[STATEMENTS] = {
    [FIND] = "SELECT answer FROM inbox WHERE id = ?1",
    [APPLY] = "INSERT INTO effect VALUES (?1, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1",
    [KEEP] = "INSERT INTO inbox VALUES (?1, ?2)"};

static sqlite3 *db;
static sqlite3_stmt *statements[STATEMENTS];

// What the disk refuses is nothing that a worker can answer: its process ends, and titanic
// gives the request to another one.
static void
expect(int code, int wanted)
{
    if (code == wanted)
        return;
    fprintf(stderr, "inbox_worker: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void
run(int which, const char *first, const char *second)
{
    sqlite3_bind_text(statements[which], 1, first, -1, SQLITE_TRANSIENT);
    if (second != NULL)
        sqlite3_bind_text(statements[which], 2, second, -1, SQLITE_TRANSIENT);
    expect(sqlite3_step(statements[which]), SQLITE_DONE);
    sqlite3_reset(statements[which]);
}

// was_answered copies the answer that the inbox has.
static bool
was_answered(const char *id, char *answer, size_t size)
{
    sqlite3_bind_text(statements[FIND], 1, id, -1, SQLITE_TRANSIENT);
    int code = sqlite3_step(statements[FIND]);
    if (code == SQLITE_ROW)
        snprintf(answer, size, "%s", (const char *)sqlite3_column_text(statements[FIND], 0));
    else
        expect(code, SQLITE_DONE);
    sqlite3_reset(statements[FIND]);
    return code == SQLITE_ROW;
}

static void
work(const char *id, const char *key, const char *text, char *answer, size_t size)
{
    expect(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    if (!was_answered(id, answer, size)) {
        run(APPLY, key, NULL);
        snprintf(answer, size, "done: %s", text);
        run(KEEP, id, answer);
    }
    expect(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

static void
serve(mdp_request_t *request)
{
    char answer[1024];
    const char *id = mdp_request_field(request, "titanic-id");
    const char *key = mdp_request_field(request, "idempotency-key");
    zmsg_t *body = mdp_request_body(request);
    char *text = zmsg_popstr(body);
    if (id == NULL || text == NULL) {
        mdp_request_fail(&request, 400, "not from titanic");
    } else {
        work(id, key != NULL ? key : id, text, answer, sizeof answer);
        zmsg_t *reply = zmsg_new();
        zmsg_addstr(reply, answer);
        mdp_request_reply(&request, &reply);
    }
    zstr_free(&text);
    zmsg_destroy(&body);
}

int
main(int count, char **words)
{
    if (count != 4) {
        fprintf(stderr, "usage: inbox_worker BROKER SERVICE DATABASE\n");
        return 2;
    }
    expect(sqlite3_open(words[3], &db), SQLITE_OK);
    expect(sqlite3_exec(db, tables, NULL, NULL, NULL), SQLITE_OK);
    for (int which = 0; which < STATEMENTS; which++)
        expect(sqlite3_prepare_v2(db, texts[which], -1, &statements[which], NULL), SQLITE_OK);
    const mdp_worker_options_t options = {.credit = 16, .heartbeat_ms = 500};
    mdp_worker_t *worker = mdp_worker_new(words[1], words[2], &options);
    if (worker == NULL)
        return 1;
    mdp_request_t *request;
    while (mdp_worker_take(worker, &request) == GALLEON_OK)
        serve(request);
    mdp_worker_destroy(&worker);
    for (int which = 0; which < STATEMENTS; which++)
        sqlite3_finalize(statements[which]);
    sqlite3_close(db);
    return 0;
}
