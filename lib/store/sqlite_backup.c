// sqlite_backup.c - a copy of the store to another file, a slice at a time, while it serves.
//
// What is written meanwhile goes into the copy too, because it goes through the same
// connection. The copy has another name until it is whole and on the disk. It knows that it is
// a copy: opened as a store it begins another incarnation, as everything that was finished
// after it is in doubt.

#include "sqlite_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { SLICE_PAGES = 256 };

static const char mark[] = "REPLACE INTO meta VALUES ('is_copy', 1)";

void
sqlite_backup_end(struct sqlite_store *self)
{
    bool goes_on = self->copy != NULL || self->copying != NULL;
    sqlite3_backup_finish(self->copying);
    sqlite3_close(self->copy);
    self->copying = NULL;
    self->copy = NULL;
    if (goes_on)
        unlink(self->copy_part);
}

// fail gives the copy up; the store is as well as it was.
static enum store_result
fail(struct sqlite_store *self)
{
    snprintf(self->error, sizeof self->error, "backup: %.200s",
             self->copy != NULL ? sqlite3_errmsg(self->copy) : "cannot open or move the file");
    sqlite_backup_end(self);
    unlink(self->copy_part);
    return STORE_FULL;
}

static bool
begin(struct sqlite_store *self)
{
    // A copy that is not whole is thrown away: a journal on the disk would only be left behind.
    static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY";
    unlink(self->copy_part);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(self->copy_part, &self->copy, flags, self->vfs) != SQLITE_OK ||
        sqlite3_exec(self->copy, settings, NULL, NULL, NULL) != SQLITE_OK)
        return false;
    self->copying = sqlite3_backup_init(self->copy, "main", self->db, "main");
    return self->copying != NULL;
}

static bool
sync_file(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_synced;
}

// finish marks the copy, and gives it its name when it is on the disk.
static bool
finish(struct sqlite_store *self, const char *path)
{
    char folder[STORE_PATH_BYTES_MAX];
    int code = sqlite3_backup_finish(self->copying);
    self->copying = NULL;
    if (code == SQLITE_OK)
        code = sqlite3_exec(self->copy, mark, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return false;
    code = sqlite3_close(self->copy); // which brings its log into the file
    self->copy = NULL;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    snprintf(slash != NULL ? slash + 1 : folder, 2, ".");
    return code == SQLITE_OK && sync_file(self->copy_part, O_RDWR) &&
           rename(self->copy_part, path) == 0 && sync_file(folder, O_RDONLY | O_DIRECTORY);
}

enum store_result
sqlite_backup(struct store *base, const char *path, bool *is_done_out)
{
    struct sqlite_store *self = sqlite_store_of(base);
    *is_done_out = false;
    if (self->wrong != STORE_COMMITTED)
        return self->wrong;
    snprintf(self->copy_part, sizeof self->copy_part, "%.4000s.part", path);
    if (self->copying == NULL && !begin(self))
        return fail(self);
    int code = sqlite3_backup_step(self->copying, SLICE_PAGES);
    if (code == SQLITE_OK)
        return STORE_COMMITTED;
    if (code != SQLITE_DONE || !finish(self, path))
        return fail(self);
    *is_done_out = true;
    return STORE_COMMITTED;
}

// ---- what was cut off ------------------------------------------------------------------

static bool
is_part(const char *name)
{
    static const char end[] = ".db.part";
    size_t size = strlen(name);
    return size >= sizeof end && strcmp(name + size - strlen(end), end) == 0;
}

// is_being_made: whoever makes a copy has SQLite's lock on it.
static bool
is_being_made(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void
store_backup_tidy(const char *folder)
{
    DIR *names = opendir(folder);
    const struct dirent *entry;
    while (names != NULL && (entry = readdir(names)) != NULL) {
        if (!is_part(entry->d_name))
            continue;
        int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        int fd = openat(dirfd(names), entry->d_name, flags);
        if (fd < 0)
            continue;
        if (!is_being_made(fd))
            unlinkat(dirfd(names), entry->d_name, 0);
        close(fd);
    }
    if (names != NULL)
        closedir(names);
}

bool
sqlite_backup_is_copy(sqlite3 *db)
{
    return sqlite_schema_number(db, "SELECT count(*) FROM meta WHERE key = 'is_copy'") == 1;
}

int
sqlite_backup_restored(struct sqlite_store *self)
{
    struct store_anchor anchor;
    unsigned slot;
    if (!sqlite_backup_is_copy(self->db)) {
        int code = sqlite3_extended_errcode(self->db);
        return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
    }
    if (anchor_read(self->anchor_fd, &anchor, &slot) && anchor.incarnation > self->incarnation)
        self->incarnation = anchor.incarnation;
    self->incarnation++;
    char sql[200];
    snprintf(sql, sizeof sql,
             "BEGIN; REPLACE INTO meta VALUES ('incarnation', %llu);"
             "DELETE FROM meta WHERE key = 'is_copy'; COMMIT",
             (unsigned long long)self->incarnation);
    int code = sqlite3_exec(self->db, sql, NULL, NULL, NULL);
    return code;
}
