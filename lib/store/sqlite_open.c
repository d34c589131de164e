// sqlite_open.c - the open sequence, and the close.
//
// The order is that of the operating handbook (docs/operating/titanic.md), and each step that
// fails says why and undoes those before it.

#include "sqlite_store.h"

#include "page_vfs.h"
#include "store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
fail(struct sqlite_store *self, const char *what, int code, struct store_error *error_out)
{
    sqlite_store_judge(code, error_out);
    snprintf(error_out->text, sizeof error_out->text, "%.100s: %s: %.100s", self->path, what,
             self->db != NULL ? sqlite3_errmsg(self->db) : sqlite3_errstr(code));
    return false;
}

// One thread, one connection: SQLite needs no lock of its own. It can be said only before
// SQLite is first used in the process, and is no more than a saving.
static void
configure_sqlite(void)
{
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

static pthread_once_t is_configured = PTHREAD_ONCE_INIT;

static bool
open_database(struct sqlite_store *self, const struct store_options *options,
              struct store_error *error_out)
{
    pthread_once(&is_configured, configure_sqlite);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
    int code = SQLITE_ERROR;
    self->vfs = page_vfs(options->vfs, !options->is_relaxed);
    if (self->vfs != NULL)
        code = sqlite3_open_v2(self->path, &self->db, flags, self->vfs);
    if (code != SQLITE_OK)
        return fail(self, "cannot open it", code, error_out);
    sqlite3_extended_result_codes(self->db, 1);
    if (!sqlite_schema_set(self->db, options, error_out))
        return false;
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    // A row is a body of at most a chunk, or the audit records of a batch.
    sqlite3_limit(self->db, SQLITE_LIMIT_LENGTH, 64 * 1024 * 1024);
    return sqlite_schema_bring(self->db, error_out);
}

// A new file's name has to survive too.
static bool
sync_folder(struct sqlite_store *self, struct store_error *error_out)
{
    char folder[STORE_PATH_BYTES_MAX];
    memcpy(folder, self->path, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        memcpy(folder, ".", 2);
    else
        slash[slash == folder ? 1 : 0] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (!is_synced) {
        error_out->result = STORE_DOUBT;
        error_out->is_storage = fd >= 0;
        snprintf(error_out->text, sizeof error_out->text, "cannot sync the folder of %.200s: %s",
                 self->path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return is_synced;
}

static int
on_log(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct sqlite_store *)context)->log_pages = pages;
    return SQLITE_OK;
}

static int
read_progress(struct sqlite_store *self)
{
    static const char sql[] =
        "SELECT a, b, c, d, e, head, "
        "(SELECT value FROM meta WHERE key = 'store_id'), "
        "(SELECT value FROM meta WHERE key = 'incarnation') FROM tally WHERE id = 0";
    sqlite3_stmt *read = NULL;
    int code = sqlite3_prepare_v2(self->db, sql, -1, &read, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(read);
    if (code == SQLITE_ROW) {
        struct progress *progress = &self->progress;
        progress->next_seq = (uint64_t)sqlite3_column_int64(read, 0);
        progress->clock_ms = (uint64_t)sqlite3_column_int64(read, 1);
        progress->changes = (uint64_t)sqlite3_column_int64(read, 2);
        progress->commits = (uint64_t)sqlite3_column_int64(read, 3);
        progress->leaves = (uint64_t)sqlite3_column_int64(read, 4);
        const void *head = sqlite3_column_blob(read, 5);
        const void *id = sqlite3_column_text(read, 6);
        self->incarnation = (uint64_t)sqlite3_column_int64(read, 7);
        code = SQLITE_CORRUPT;
        if (head != NULL && sqlite3_column_bytes(read, 5) == sizeof progress->head.bytes &&
            id != NULL && sqlite3_column_bytes(read, 6) == sizeof self->store_id - 1) {
            memcpy(progress->head.bytes, head, sizeof progress->head.bytes);
            memcpy(self->store_id, id, sizeof self->store_id);
            code = SQLITE_OK;
            // Nobody has written a head yet where nothing has happened.
            if (progress->leaves == 0)
                audit_head_start(&progress->head, view_of(self->store_id, AUDIT_STORE_ID_BYTES));
        }
        self->committed = *progress;
    }
    sqlite3_finalize(read);
    return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

static bool
read_all(struct sqlite_store *self, const struct store_options *options,
         struct store_error *error_out)
{
    sqlite3_wal_hook(self->db, on_log, self);
    int code = read_progress(self);
    if (code == SQLITE_OK)
        code = sqlite_backup_restored(self);
    if (code == SQLITE_OK)
        code = sqlite_group_init(self);
    if (code == SQLITE_OK)
        code = sqlite_store_prepare(self);
    if (code == SQLITE_OK)
        code = sqlite_counts_init(self);
    if (code != SQLITE_OK)
        return fail(self, "cannot read it", code, error_out);
    if (!sqlite_audit_init(self, options))
        return fail(self, "no signatures", SQLITE_ERROR, error_out);
    if (!sqlite_audit_check(self, error_out))
        return false;
    if (options->wall_ms > self->progress.clock_ms)
        self->progress.clock_ms = options->wall_ms;
    ballast_take(self->path);
    self->is_short = room_is_short(self->path, self->free_bytes_min, false);
    return true;
}

// look_at_faults says what the faults of earlier runs ask for: to read from the disk and check
// it all, or not to start.
static bool
look_at_faults(const struct sqlite_store *self, bool *is_suspect_out, struct store_error *error_out)
{
    enum fault_history history = fault_read(self->path);
    *is_suspect_out = history != FAULT_NONE;
    if (history == FAULT_TWICE) {
        error_out->result = STORE_FAULT;
        snprintf(error_out->text, sizeof error_out->text,
                 "its storage failed twice within ten minutes: mend it, then remove %.150s.fault",
                 self->path);
        return false;
    }
    if (*is_suspect_out)
        fault_forget_cached(self->path);
    return true;
}

static bool
check_all(struct sqlite_store *self, struct store_error *error_out)
{
    sqlite3_stmt *check = NULL;
    bool is_whole = false;
    if (sqlite3_prepare_v2(self->db, "PRAGMA quick_check(1)", -1, &check, NULL) == SQLITE_OK &&
        sqlite3_step(check) == SQLITE_ROW)
        is_whole = strcmp((const char *)sqlite3_column_text(check, 0), "ok") == 0;
    sqlite3_finalize(check);
    if (!is_whole) {
        error_out->result = STORE_FAULT;
        snprintf(error_out->text, sizeof error_out->text,
                 "%.180s: damaged since its storage failed: restore a backup", self->path);
        return false;
    }
    fault_checked(self->path, self->progress.clock_ms);
    return true;
}

static bool
open_all(struct sqlite_store *self, const struct store_options *options,
         struct store_error *error_out)
{
    bool is_suspect;
    self->lock_fd = store_lock(options, error_out);
    if (self->lock_fd < 0 || !look_at_faults(self, &is_suspect, error_out))
        return false;
    if (!log_sync(self->path))
        return fail(self, "cannot sync its log", SQLITE_IOERR_FSYNC, error_out);
    self->anchor_fd = anchor_open(self->path);
    if (self->anchor_fd < 0)
        return fail(self, "cannot open its anchor", SQLITE_CANTOPEN, error_out);
    return open_database(self, options, error_out) && sync_folder(self, error_out) &&
           read_all(self, options, error_out) && (!is_suspect || check_all(self, error_out)) &&
           (sqlite_audit_anchor(self) ||
            fail(self, "cannot write its anchor", SQLITE_IOERR, error_out));
}

// name_for_reading is the database's name as a URI that says that nobody writes to it: then it
// is not written to either. Where there is a log it has to be opened for writing, or SQLite
// would not read the log.
static void
name_for_reading(const char *path, bool has_log, char *to, size_t room)
{
    size_t size = (size_t)snprintf(to, room, "file:");
    for (const char *at = path; *at != '\0' && size + 4 < room; at++) {
        bool is_plain = strchr("%?#", *at) == NULL;
        size += (size_t)snprintf(to + size, room - size, is_plain ? "%c" : "%%%02x", *at);
    }
    snprintf(to + size, room - size, has_log ? "" : "?immutable=1");
}

static bool
has_log(const char *path)
{
    char name[STORE_PATH_BYTES_MAX + 8];
    struct stat log;
    snprintf(name, sizeof name, "%s-wal", path);
    return stat(name, &log) == 0 && log.st_size > 0;
}

static bool
look(struct sqlite_store *self, const struct store_options *options, struct store_error *error_out)
{
    char name[3 * STORE_PATH_BYTES_MAX + 32];
    bool is_logged = has_log(self->path);
    if (!store_lock_to_look(self->path, &self->lock_fd, error_out))
        return false;
    self->anchor_fd = anchor_open_to_read(self->path);
    pthread_once(&is_configured, configure_sqlite);
    name_for_reading(self->path, is_logged, name, sizeof name);
    int flags = (is_logged ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_URI |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
    int code = SQLITE_ERROR;
    // Who may not write may not take SQLite's lock either, without which it reads no log.
    self->vfs = page_vfs(access(self->path, W_OK) == 0 ? options->vfs : "unix-none", false);
    if (self->vfs != NULL)
        code = sqlite3_open_v2(name, &self->db, flags, self->vfs);
    if (code == SQLITE_OK)
        code = sqlite3_exec(self->db,
                            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;"
                            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON",
                            NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return fail(self, "cannot open it", code, error_out);
    if (!sqlite_schema_is_known(self->db, error_out))
        return false;
    code = read_progress(self);
    if (code == SQLITE_OK)
        code = sqlite_group_init(self);
    if (code == SQLITE_OK)
        code = sqlite_store_prepare(self);
    if (code == SQLITE_OK)
        code = sqlite_counts_init(self);
    return code == SQLITE_OK || fail(self, "cannot read it", code, error_out);
}

struct sqlite_store *
sqlite_open_to_look(const char *path, struct store_error *error_out)
{
    const struct store_options options = {.path = path};
    *error_out = (struct store_error){.result = STORE_DOUBT};
    struct sqlite_store *self = calloc(1, sizeof *self);
    if (self == NULL || strlen(path) >= sizeof self->path) {
        snprintf(error_out->text, sizeof error_out->text, "no memory, or too long a path");
        free(self);
        return NULL;
    }
    self->base.class = &sqlite_store_class;
    self->lock_fd = self->anchor_fd = -1;
    memcpy(self->path, path, strlen(path) + 1);
    if (look(self, &options, error_out))
        return self;
    sqlite_open_close(&self->base);
    return NULL;
}

struct store *
store_open_sqlite(const struct store_options *options, struct store_error *error_out)
{
    *error_out = (struct store_error){.result = STORE_DOUBT};
    struct sqlite_store *self = calloc(1, sizeof *self);
    if (self == NULL || strlen(options->path) >= sizeof self->path) {
        snprintf(error_out->text, sizeof error_out->text, "no memory, or too long a path");
        free(self);
        return NULL;
    }
    self->base.class = &sqlite_store_class;
    self->lock_fd = self->anchor_fd = -1;
    memcpy(self->path, options->path, strlen(options->path) + 1);
    self->is_relaxed = options->is_relaxed;
    self->has_audit = options->has_audit;
    self->anchors_every_commit = options->anchors_every_commit;
    self->retain_ms = options->retain_ms;
    self->free_bytes_min = options->free_bytes_min;
    if (!open_all(self, options, error_out)) {
        // The next start reads from the disk, and checks all of it; after two of them none does.
        uint64_t clock_ms = self->progress.clock_ms;
        if (error_out->is_storage)
            fault_note(self->path, clock_ms > options->wall_ms ? clock_ms : options->wall_ms,
                       error_out->text);
        sqlite_open_close(&self->base);
        return NULL;
    }
    self->is_open = true;
    *error_out = (struct store_error){.result = STORE_COMMITTED};
    return &self->base;
}

// After doubt nothing is written any more: what a checkpoint would read may not be what the
// disk has. Nor where the store was refused: the log is evidence.
void
sqlite_open_close(struct store *base)
{
    struct sqlite_store *self = sqlite_store_of(base);
    sqlite_backup_end(self);
    for (int which = 0; which < STATEMENTS; which++)
        sqlite3_finalize(self->statements[which]);
    if (self->db != NULL) {
        bool is_well = self->is_open && self->wrong == STORE_COMMITTED;
        sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_well ? 0 : 1, NULL);
        sqlite3_close(self->db);
    }
    if (self->anchor_fd >= 0) {
        if (self->is_open && self->wrong == STORE_COMMITTED)
            sqlite_audit_anchor(self);
        close(self->anchor_fd);
    }
    free(self->records);
    if (self->services != NULL)
        sqlite_counts_release(self);
    if (self->lock_fd >= 0)
        store_unlock(self->lock_fd);
    free(self);
}
