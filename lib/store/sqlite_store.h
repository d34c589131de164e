// sqlite_store.h - what the files of the SQLite store share.
//
// sqlite.c         a batch as one transaction, and what became of it
// sqlite_open.c    the open sequence, and the close
// sqlite_schema.c  the tables, the settings, and older schemas
// sqlite_change.c  operations on one request
// sqlite_group.c   many submits at once
// sqlite_query.c   operations on many
// sqlite_idle.c    what can wait
// sqlite_backup.c  a copy while it serves
// sqlite_audit.c   the chain of records, and the anchor
// sqlite_counts.c  services by number, and how many requests each has in which state
// store_check.c    a look at a store that no process has
// store_chain.c    its chain of records, from the first to the last
// store_contents.c its pages, bodies, answers and counts
//
// Functions that return int return SQLite's result code; anything but SQLITE_OK ends the batch.

#ifndef GALLEON_STORE_SQLITE_STORE_H
#define GALLEON_STORE_SQLITE_STORE_H

#include "audit_chain.h"
#include "list.h"
#include "map.h"
#include "rows.h"
#include "siphash.h"
#include "store.h"
#include "store_files.h"

#include <sqlite3.h>

enum {
    SERVICES_MAX = 65536,
    SERVICE_NAME_BYTES_MAX = 255,
    // A body up to this size stands in its request's row, a larger one in chunks of this size.
    CHUNK_BYTES = 64 * 1024,
    CHUNK_BITS = 16 // of a chunk's number: the part; above them stands the request's seq
};

// The columns of a request but its body, in the order that read_row relies on.
#define ROW_COLUMNS                                                                                \
    "seq, state, service, rid, owner, ikey, attempts, attempts_max, accepted_ms, due_ms, "         \
    "deadline_ms, frames, bytes, reply_frames, reply_bytes, reason, fields_bytes, life"
enum { ROW_COLUMN_COUNT = 18 };

// Every statement, prepared once.
#define STATEMENT_MAP(X)                                                                           \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(BEGIN_READING, "BEGIN")                                                                      \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(SET_TALLY, "REPLACE INTO tally (id, a, b, c, d, e, head) VALUES (?1, ?2, ?3, ?4, ?5, "       \
                 "?6, ?7)")                                                                        \
    X(NAME_SERVICE, "REPLACE INTO service (id, name) VALUES (?1, ?2)")                             \
    X(INSERT, "INSERT OR IGNORE INTO request (seq, state, service, rid, owner, ikey, attempts, "   \
              "attempts_max, accepted_ms, due_ms, deadline_ms, frames, bytes, reply_frames, "      \
              "reply_bytes, fields_bytes, parts, over_ms, digest, reply_digest, reason, body) "    \
              "SELECT seq, 0, service, rid, owner, ikey, 0, attempts_max, accepted_ms, due_ms, "   \
              "deadline_ms, frames, bytes, 0, 0, fields_bytes, parts, 0, digest, NULL, NULL, "     \
              "body FROM submits")                                                                 \
    X(INSERT_AUDIT, "INSERT INTO audit (upto, first, records, head, signature) "                   \
                    "VALUES (?1, ?2, ?3, ?4, ?5)")                                                 \
    X(INSERT_CHUNK, "INSERT INTO chunk (id, data) VALUES (?1, ?2)")                                \
    X(DELETE_CHUNKS, "DELETE FROM chunk WHERE id >= ?1 AND id < ?2")                               \
    X(READ_CHUNKS, "SELECT id, data FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id")            \
    X(FIND_KEY, "SELECT seq, state, rid, digest FROM request "                                     \
                "WHERE owner = ?1 AND ikey = ?2 AND ikey IS NOT NULL")                             \
    X(FIND_SEQ, "SELECT seq, state, service, rid, owner, ikey IS NOT NULL, attempts, parts, life " \
                "FROM request WHERE seq = ?1")                                                     \
    X(FIND_ID, "SELECT seq, state, service, rid, owner, ikey IS NOT NULL, attempts, parts, life "  \
               "FROM request WHERE rid = ?1")                                                      \
    X(ANSWER, "UPDATE request SET state = 1, attempts = ?2, over_ms = ?3, reply_frames = ?4, "     \
              "bytes = bytes - fields_bytes, fields_bytes = ?5, reply_bytes = ?6, "                \
              "parts = ?7, reply_digest = ?8, body = ?9 "                                          \
              "WHERE seq = ?1")                                                                    \
    X(FAILED, "UPDATE request SET attempts = ?2, due_ms = ?3, reason = ?4 WHERE seq = ?1")         \
    X(END, "UPDATE request SET state = ?2, attempts = ?3, reason = ?4, over_ms = ?5 "              \
           "WHERE seq = ?1")                                                                       \
    X(REVIVE, "UPDATE request SET state = 0, life = life + 1, attempts = 0, due_ms = ?2, "         \
              "deadline_ms = 0, reason = NULL, over_ms = 0 WHERE seq = ?1")                        \
    X(CLOSE, "UPDATE request SET state = 3, over_ms = ?2, parts = 0, body = NULL, "                \
             "bytes = bytes - (state <> 1) * fields_bytes, "                                       \
             "reply_bytes = reply_bytes - (state = 1) * fields_bytes, fields_bytes = 0 "           \
             "WHERE seq = ?1")                                                                     \
    X(DELETE, "DELETE FROM request WHERE seq = ?1")                                                \
    X(READ_ROW, "SELECT " ROW_COLUMNS " FROM request WHERE seq = ?1")                              \
    X(READ_REPLY, "SELECT reply_frames, fields_bytes, reply_bytes, parts, reply_digest, body "     \
                  "FROM request WHERE seq = ?1")                                                   \
    X(LOAD, "SELECT " ROW_COLUMNS ", parts, digest, body "                                         \
            "FROM request INDEXED BY queue WHERE state = 0 AND service = ?1 AND "                  \
            "(due_ms, seq) > (?2, ?3) AND due_ms <= ?4 ORDER BY due_ms, seq LIMIT ?5")             \
    X(NEXT_DUE, "SELECT due_ms FROM request INDEXED BY queue WHERE state = 0 AND service = ?1 "    \
                "AND due_ms > ?2 ORDER BY due_ms LIMIT 1")                                         \
    X(FIRST_DUE, "SELECT accepted_ms FROM request INDEXED BY queue WHERE state = 0 AND "           \
                 "service = ?1 ORDER BY due_ms, seq LIMIT 1")                                      \
    X(OVERDUE, "SELECT " ROW_COLUMNS " FROM request INDEXED BY deadline WHERE state = 0 AND "      \
               "deadline_ms > 0 AND (deadline_ms, seq) > (?1, ?2) AND deadline_ms < ?3 "           \
               "ORDER BY deadline_ms, seq LIMIT ?4")                                               \
    X(NEXT_DEADLINE, "SELECT deadline_ms FROM request INDEXED BY deadline WHERE state = 0 AND "    \
                     "deadline_ms > 0 AND deadline_ms >= ?1 ORDER BY deadline_ms LIMIT 1")         \
    X(SCAN, "SELECT " ROW_COLUMNS " FROM request WHERE seq > ?1 AND state >= ?2 AND state <= ?3 "  \
            "AND service >= ?4 AND service <= ?5 ORDER BY seq")                                    \
    X(SCAN_ENDED, "SELECT " ROW_COLUMNS " FROM request INDEXED BY ended WHERE state IN (2, 4) "    \
                  "AND seq > ?1 AND state >= ?2 AND state <= ?3 AND service >= ?4 AND "            \
                  "service <= ?5 ORDER BY seq")                                                    \
    X(FREE_PAGES, "PRAGMA freelist_count")                                                         \
    X(VACUUM, "PRAGMA incremental_vacuum(256)")                                                    \
    X(OLD,                                                                                         \
      "SELECT seq, state, accepted_ms, over_ms FROM request WHERE seq > ?1 ORDER BY seq LIMIT ?2")

enum statement {
#define X(name, text) STATEMENT_##name,
    STATEMENT_MAP(X)
#undef X
        STATEMENTS
};

// What moves with every commit: row 0 of the tallies.
struct progress {
    uint64_t next_seq;
    uint64_t clock_ms;
    uint64_t changes; // of state, ever
    uint64_t commits;
    uint64_t leaves;        // of the audit chain
    uint64_t leaves_signed; // not stored
    struct audit_head head;
};

struct service {
    struct map_node by_name;
    struct service *next_changed;
    uint32_t id;
    bool is_changed;
    bool is_named; // in the table
    uint64_t counts[DURABLE_STATES];
    uint64_t committed[DURABLE_STATES];
    size_t name_bytes;
    uint8_t name[];
};

struct group { // submits that are inserted together
    size_t count;
    struct durable_op *ops[STORE_BATCH_OPS_MAX];
    struct service *services[STORE_BATCH_OPS_MAX];
};

struct sqlite_store {
    struct store base;
    sqlite3 *db;
    const char *vfs; // ours, over the one that was asked for
    sqlite3_stmt *statements[STATEMENTS];
    char path[STORE_PATH_BYTES_MAX];
    int lock_fd;
    bool is_open, is_relaxed, has_audit, anchors_every_commit;
    uint64_t retain_ms;
    uint64_t free_bytes_min;

    // Not STORE_COMMITTED: what is wrong, for good.
    enum store_result wrong;
    char error[STORE_ERROR_BYTES];
    char store_id[33];
    uint64_t incarnation;

    struct progress progress, committed;

    // The records of this batch, and from which leaf on.
    uint8_t *records;
    size_t records_bytes, records_max;
    uint64_t records_first;
    bool has_audit_key;
    uint8_t audit_key[STORE_KEY_BYTES];

    int anchor_fd;
    unsigned anchor_slot;
    uint64_t anchored; // changes, by the anchor

    sqlite3 *copy; // of a backup that goes on, or NULL
    sqlite3_backup *copying;
    char copy_part[STORE_PATH_BYTES_MAX + 8]; // its file

    bool is_short; // of room: what is new is refused

    struct map services_by_name;
    void *services_memory;
    struct siphash_key services_key;
    struct service **services; // by id; some may be NULL
    uint32_t services_end;     // above the highest id
    struct service *changed;   // since the last commit
    uint64_t totals[DURABLE_STATES];

    struct group group;

    int log_pages; // in the WAL
    uint64_t checkpoints;
    uint64_t commits_before; // at the last idle slice
    uint64_t sweep_seq;      // where the search for what is past its time goes on
    uint64_t sweep_next_ms;  // when the next one begins
    uint64_t swept_ms;       // what was over before this may be gone
};

static inline struct sqlite_store *
sqlite_store_of(struct store *base)
{
    return list_object(base, struct sqlite_store, base);
}

// ---- sqlite.c ----------------------------------------------------------------------

extern const struct store_class sqlite_store_class;

// sqlite_store_run steps a statement that gives no rows, and makes it ready for the next time.
int sqlite_store_run(struct sqlite_store *self, enum statement which);

// sqlite_store_blame keeps what SQLite says of the last error, after `what`.
void sqlite_store_blame(struct sqlite_store *self, const char *what);

// sqlite_store_result_of says what a failure of SQLite means for a batch; sqlite_store_judge
// what it means for an open.
enum store_result sqlite_store_result_of(int code);
void sqlite_store_judge(int code, struct store_error *error_out);

// sqlite_store_prepare makes all statements, and reads what stands in progress.
int sqlite_store_prepare(struct sqlite_store *self);

static inline sqlite3_stmt *
statement_of(struct sqlite_store *self, enum statement which)
{
    return self->statements[which];
}

// bind_number: SQLite's integers have a sign, and a time that far away is as good as never.
static inline void
bind_number(sqlite3_stmt *statement, int at, uint64_t value)
{
    sqlite3_bind_int64(statement, at, value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value);
}

// sqlite_store_commit ends the transaction, with all that moves with it.
int sqlite_store_commit(struct sqlite_store *self);

// sqlite_store_undo rolls back what failed, and says what that means. From then on the store
// may do no more.
enum store_result sqlite_store_undo(struct sqlite_store *self, int code);

// sqlite_store_doubt ends the store where something beside SQLite failed.
enum store_result sqlite_store_doubt(struct sqlite_store *self, const char *what);

// ---- sqlite_open.c -----------------------------------------------------------------

void sqlite_open_close(struct store *base);
// sqlite_open_to_look opens a store that is there, of this schema, and writes nothing to it.
struct sqlite_store *sqlite_open_to_look(const char *path, struct store_error *error_out);

// ---- sqlite_idle.c -----------------------------------------------------------------

enum store_result sqlite_idle(struct store *base, uint64_t now_ms, bool *has_more_out);

// ---- sqlite_backup.c ---------------------------------------------------------------

enum store_result sqlite_backup(struct store *base, const char *path, bool *is_done_out);
// sqlite_backup_end gives up a copy that is not whole, and leaves nothing of it.
void sqlite_backup_end(struct sqlite_store *self);
// sqlite_backup_is_copy: it was copied from another, and no process has opened it as its own.
bool sqlite_backup_is_copy(sqlite3 *db);
// sqlite_backup_restored begins another incarnation where the store was copied from another.
int sqlite_backup_restored(struct sqlite_store *self);

// ---- sqlite_schema.c ----------------------------------------------------------------

enum { SCHEMA_VERSION = 2 };

struct migration {
    int from;        // to the next
    const char *sql; // statements
};

// sqlite_schema_set makes the settings that belong to the connection, and reads them back.
bool sqlite_schema_set(sqlite3 *db, const struct store_options *options,
                       struct store_error *error_out);

// sqlite_schema_bring makes the tables of a new database, or changes those of an older one,
// in one transaction.
bool sqlite_schema_bring(sqlite3 *db, struct store_error *error_out);

// sqlite_schema_is_known: it is a store of ours, of this schema. It writes nothing.
bool sqlite_schema_is_known(sqlite3 *db, struct store_error *error_out);

// sqlite_schema_migrate goes from one version to another by the steps, in one transaction.
int sqlite_schema_migrate(sqlite3 *db, const struct migration *steps, size_t count, int to);

// sqlite_store_tally writes a row of the tallies.
int sqlite_store_tally(struct sqlite_store *self, uint32_t id, const uint64_t numbers[5],
                       const uint8_t head[32]);

// sqlite_schema_number is the integer that a query gives, -1 where there is none.
int64_t sqlite_schema_number(sqlite3 *db, const char *sql);

// ---- sqlite_audit.c -----------------------------------------------------------------

bool sqlite_audit_init(struct sqlite_store *self, const struct store_options *options);
// sqlite_audit_check compares the chain's end with the store, and the anchor with both.
bool sqlite_audit_check(struct sqlite_store *self, struct store_error *error_out);

// sqlite_audit_note counts a change, and adds its record to the chain. It fills in n and epoch.
int sqlite_audit_note(struct sqlite_store *self, struct audit_record *record);
int sqlite_audit_write(struct sqlite_store *self); // within the transaction
void sqlite_audit_rollback(struct sqlite_store *self);

// sqlite_audit_anchor notes what is committed, where it is not yet noted.
bool sqlite_audit_anchor(struct sqlite_store *self);

// ---- sqlite_counts.c ----------------------------------------------------------------

int sqlite_counts_init(struct sqlite_store *self); // reads the services
void sqlite_counts_release(struct sqlite_store *self);

// sqlite_counts_service finds a service, or makes it; NULL: no memory, or too many.
struct service *sqlite_counts_service(struct sqlite_store *self, struct view name);
// sqlite_counts_find finds it only.
struct service *sqlite_counts_find(const struct sqlite_store *self, struct view name);
struct service *sqlite_counts_at(const struct sqlite_store *self, sqlite3_int64 id);

void sqlite_counts_add(struct sqlite_store *self, struct service *service,
                       enum durable_state state);
void sqlite_counts_subtract(struct sqlite_store *self, struct service *service,
                            enum durable_state state);

int sqlite_counts_write(struct sqlite_store *self); // within the transaction
void sqlite_counts_commit(struct sqlite_store *self);
void sqlite_counts_rollback(struct sqlite_store *self);

// ---- sqlite_change.c ----------------------------------------------------------------

int sqlite_change_answer(struct sqlite_store *self, struct durable_op *op);
int sqlite_change_failed(struct sqlite_store *self, struct durable_op *op);
int sqlite_change_kill(struct sqlite_store *self, struct durable_op *op);
int sqlite_change_close(struct sqlite_store *self, struct durable_op *op);
int sqlite_change_fetch(struct sqlite_store *self, struct durable_op *op);

// What one operation has to know of a request.
struct request {
    uint64_t seq;
    enum durable_state state;
    struct service *service;
    struct request_id id;
    struct durable_owner owner;
    bool has_key;
    uint32_t life;
    uint32_t attempts;
    uint32_t parts;
};

// sqlite_change_find reads it by its number; *is_found_out: there is one.
int sqlite_change_find(struct sqlite_store *self, uint64_t seq, struct request *request_out,
                       bool *is_found_out);

int sqlite_change_end(struct sqlite_store *self, const struct request *request,
                      enum durable_state state, uint32_t attempts, struct view reason,
                      uint64_t now_ms);
int sqlite_change_revive(struct sqlite_store *self, const struct request *request, uint64_t now_ms);
// sqlite_change_note records what happened to a request.
int sqlite_change_note(struct sqlite_store *self, const struct request *request,
                       enum audit_kind kind, enum durable_state state, uint32_t attempts,
                       struct view text, uint64_t now_ms);
// sqlite_change_forget closes it: its row goes, or stays without a body where it has a key.
int sqlite_change_forget(struct sqlite_store *self, const struct request *request, uint64_t now_ms);
// sqlite_change_drop leaves nothing of it.
int sqlite_change_drop(struct sqlite_store *self, const struct request *request,
                       enum audit_kind kind, uint64_t now_ms);

// sqlite_change_parts is how many chunks a body takes: 0 where it stands in its row.
uint32_t sqlite_change_parts(const struct durable_body *body);
int sqlite_change_chunks(struct sqlite_store *self, uint64_t seq, const struct durable_body *body);

// sqlite_change_find_key looks for the request that the key of a submit was used for, and sets
// the outcome where there is one.
int sqlite_change_find_key(struct sqlite_store *self, struct durable_op *op);

// sqlite_change_body reads a body out of a row: from `column` of the statement, or from the
// chunks. *body_out is NULL where it is not what its row says.
int sqlite_change_body(struct sqlite_store *self, sqlite3_stmt *from, int column, uint64_t seq,
                       uint32_t parts, uint32_t frames, uint64_t fields_bytes, uint64_t bytes,
                       struct durable_body **body_out);

// ---- sqlite_group.c -----------------------------------------------------------------

int sqlite_group_init(struct sqlite_store *self);
// sqlite_group_submit does a run of submits.
int sqlite_group_submit(struct sqlite_store *self, struct durable_op *const *ops, size_t count);

// ---- sqlite_query.c -----------------------------------------------------------------

int sqlite_query_load(struct sqlite_store *self, struct durable_op *op);
int sqlite_query_overdue(struct sqlite_store *self, struct durable_op *op);
int sqlite_query_filter(struct sqlite_store *self, struct durable_op *op);
int sqlite_query_stats(struct sqlite_store *self, struct durable_op *op);

// sqlite_query_row reads ROW_COLUMNS; its texts are good until the next step.
void sqlite_query_row(struct sqlite_store *self, sqlite3_stmt *from, struct durable_row *row_out);

#endif
