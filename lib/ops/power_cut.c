// power_cut.c - all that is pending is undone, last first, and then some of it is done again.
//
// What was written is nowhere but in the files. So to undo a write is to exchange it for what
// the log has: when those after it have been undone, the file has what this one wrote.

#include "power_cut.h"

#include "bytes.h"
#include "prng.h"
#include "undo_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR_BYTES = 512, FILES_MAX = 64, NAMES_MAX = 64 };

struct change {
    struct undo_entry entry;
    const uint8_t *old; // in the log
    uint8_t *new;       // of a write, once it was undone; `entry.size` bytes
    bool is_pending;
};

struct file {
    uint64_t number; // inode
    int fd;
    int folder_fd; // where it has this name
    char name[UNDO_NAME_BYTES];
};

// A name as the process saw it, and as the disk has it; 0: no file.
struct name {
    char text[UNDO_NAME_BYTES];
    uint64_t seen, kept;
};

struct cut {
    int folder_fd, kept_fd;
    uint8_t *log;
    struct change *changes;
    size_t change_count;
    struct file files[FILES_MAX];
    size_t file_count;
    struct name names[NAMES_MAX];
    size_t name_count;
    struct prng prng;
    struct power_cut *result;
};

// ---- reading -----------------------------------------------------------------------------

static int
read_log(struct cut *self, size_t *size_out)
{
    struct stat log;
    int fd = openat(self->kept_fd, "log", O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fstat(fd, &log) != 0 ? errno : 0;
    *size_out = error == 0 ? (size_t)log.st_size : 0;
    self->log = error == 0 ? malloc(*size_out + 1) : NULL;
    if (error == 0 && self->log == NULL)
        error = ENOMEM;
    for (size_t at = 0; error == 0 && at < *size_out;) {
        ssize_t got = pread(fd, self->log + at, *size_out - at, (off_t)at);
        error = got > 0 ? 0 : got == 0 ? EIO : errno;
        at += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static bool
is_of_names(const struct change *change)
{
    return change->entry.kind == UNDO_CREATE || change->entry.kind == UNDO_REMOVE ||
           change->entry.kind == UNDO_RENAME;
}

// cover takes what a sync covers from what is pending.
static void
cover(struct cut *self, const struct undo_entry *sync)
{
    for (size_t i = 0; i < self->change_count; i++) {
        struct change *change = &self->changes[i];
        bool is_reached = (size_t)(change->old - self->log) <= sync->at;
        bool is_of_it = is_of_names(change)
                            ? sync->kind == UNDO_SYNC_NAMES
                            : sync->kind == UNDO_SYNC && change->entry.file == sync->file;
        if (is_reached && is_of_it)
            change->is_pending = false;
    }
}

static int
add_change(struct cut *self, const struct undo_entry *entry, const uint8_t *old)
{
    if (self->change_count % 1024 == 0) {
        size_t room = (self->change_count + 1024) * sizeof *self->changes;
        struct change *grown = realloc(self->changes, room);
        if (grown == NULL)
            return ENOMEM;
        self->changes = grown;
    }
    self->changes[self->change_count++] =
        (struct change){.entry = *entry, .old = old, .is_pending = true};
    return 0;
}

// read_changes: the last entry, where it is not whole, says nothing.
static int
read_changes(struct cut *self)
{
    size_t size, at = 0;
    struct undo_entry entry;
    int error = read_log(self, &size);
    while (error == 0 && size - at >= sizeof entry) {
        memcpy(&entry, self->log + at, sizeof entry);
        at += sizeof entry;
        if (entry.magic != UNDO_MAGIC)
            return EBADMSG;
        if (entry.bytes > size - at)
            break;
        if (entry.kind == UNDO_SYNC || entry.kind == UNDO_SYNC_NAMES)
            cover(self, &entry);
        else
            error = add_change(self, &entry, self->log + at);
        at += entry.bytes;
    }
    return error;
}

// find_files opens what is in a folder, by inode; `is_seen`: under names that the process saw.
static int
find_files(struct cut *self, int folder_fd, bool is_seen)
{
    int fd = dup(folder_fd);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    int error = folder == NULL ? errno : 0;
    while (error == 0 && (entry = readdir(folder)) != NULL) {
        struct stat is;
        if (fstatat(folder_fd, entry->d_name, &is, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(is.st_mode))
            continue;
        if (self->file_count == FILES_MAX || self->name_count == NAMES_MAX) {
            error = EMFILE;
            break;
        }
        struct file *file = &self->files[self->file_count++];
        *file = (struct file){.number = is.st_ino, .folder_fd = folder_fd};
        snprintf(file->name, sizeof file->name, "%s", entry->d_name);
        file->fd = openat(folder_fd, entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        error = file->fd < 0 ? errno : 0;
        if (is_seen) {
            struct name *name = &self->names[self->name_count++];
            *name = (struct name){.seen = is.st_ino, .kept = is.st_ino};
            memcpy(name->text, file->name, sizeof name->text);
        }
    }
    if (folder != NULL)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
    return error;
}

static const struct file *
find(const struct cut *self, uint64_t number)
{
    for (size_t i = 0; i < self->file_count; i++)
        if (self->files[i].number == number)
            return &self->files[i];
    return NULL;
}

// ---- bytes -------------------------------------------------------------------------------

static int
put(int fd, const uint8_t *bytes, size_t size, uint64_t at)
{
    while (size > 0) {
        ssize_t done = pwrite(fd, bytes, size, (off_t)at);
        if (done <= 0)
            return done == 0 ? ENOSPC : errno;
        bytes += done;
        size -= (size_t)done;
        at += (uint64_t)done;
    }
    return 0;
}

// take_new reads what was written, which may be less than it was to be: its process was killed.
static int
take_new(struct change *change, int fd)
{
    size_t size = (size_t)change->entry.size, done = 0;
    change->new = malloc(size + 1);
    while (change->new != NULL && done < size) {
        ssize_t got = pread(fd, change->new + done, size - done, (off_t)(change->entry.at + done));
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    change->entry.size = done;
    return change->new == NULL ? ENOMEM : 0;
}

static int
undo_bytes(const struct cut *self, struct change *change)
{
    const struct undo_entry *entry = &change->entry;
    const struct file *file = find(self, entry->file);
    if (file == NULL)
        return ENOENT;
    int error = entry->kind == UNDO_WRITE ? take_new(change, file->fd) : 0;
    if (error == 0 && ftruncate(file->fd, (off_t)entry->old_size) != 0)
        error = errno;
    return error != 0 ? error : put(file->fd, change->old, (size_t)entry->bytes, entry->at);
}

// ---- names -------------------------------------------------------------------------------

static struct name *
name_of(struct cut *self, const char *text)
{
    for (size_t i = 0; i < self->name_count; i++)
        if (strcmp(self->names[i].text, text) == 0)
            return &self->names[i];
    if (self->name_count == NAMES_MAX)
        return NULL;
    struct name *name = &self->names[self->name_count++];
    *name = (struct name){0};
    snprintf(name->text, sizeof name->text, "%s", text);
    return name;
}

static int
undo_name(struct cut *self, const struct change *change)
{
    const char *text = (const char *)change->old;
    struct name *name = name_of(self, text), *to = name;
    if (change->entry.kind == UNDO_RENAME)
        to = name_of(self, text + strlen(text) + 1);
    if (name == NULL || to == NULL)
        return EMFILE;
    to->kept = change->entry.old_file;
    if (change->entry.kind != UNDO_CREATE)
        name->kept = change->entry.file;
    return 0;
}

// redo_name: what it was about may be another file now, and then there is nothing to be done.
static void
redo_name(struct cut *self, const struct change *change)
{
    const char *text = (const char *)change->old;
    struct name *name = name_of(self, text);
    uint64_t file = change->entry.file;
    if (change->entry.kind == UNDO_CREATE) {
        name->kept = file;
        return;
    }
    if (name->kept == file)
        name->kept = 0;
    if (change->entry.kind == UNDO_RENAME)
        name_of(self, text + strlen(text) + 1)->kept = file;
}

// settle_names makes the folder's names those that the disk has. Links come first: a file that
// loses its last name is gone.
static int
settle_names(struct cut *self)
{
    char link[32];
    for (size_t i = 0; i < self->name_count; i++) {
        const struct name *name = &self->names[i];
        const struct file *file = find(self, name->kept);
        if (name->kept == name->seen || name->kept == 0)
            continue;
        snprintf(link, sizeof link, "link-%zu", i);
        if (file == NULL)
            return ENOENT;
        if (linkat(file->folder_fd, file->name, self->kept_fd, link, 0) != 0)
            return errno;
    }
    for (size_t i = 0; i < self->name_count; i++) {
        const struct name *name = &self->names[i];
        if (name->kept == name->seen)
            continue;
        snprintf(link, sizeof link, "link-%zu", i);
        if (name->kept == 0 ? unlinkat(self->folder_fd, name->text, 0) != 0
                            : renameat(self->kept_fd, link, self->folder_fd, name->text) != 0)
            return errno;
    }
    return 0;
}

// ---- what becomes of it ------------------------------------------------------------------

enum fate { FATE_DROPPED, FATE_KEPT, FATE_TORN };

// How the disk treats what was pending: how often each fate, of 100. An orderly one has kept
// what came first, up to some point, and tears what stands there.
struct mood {
    uint32_t dropped, kept;
    bool is_orderly;
};

static const struct mood moods[] = {
    {40, 30, false}, {100, 0, false}, {0, 100, false}, {90, 5, false},
    {5, 90, false},  {0, 0, false},   {0, 100, true},
};

static enum fate
fate_of(struct prng *prng, const struct mood *mood)
{
    uint64_t roll = prng_below(prng, 100);
    if (roll < mood->dropped)
        return FATE_DROPPED;
    return roll < mood->dropped + mood->kept ? FATE_KEPT : FATE_TORN;
}

// put_torn keeps the first sectors, or any.
static int
put_torn(struct cut *self, const struct change *change, int fd)
{
    uint64_t at = change->entry.at, end = at + change->entry.size;
    bool is_prefix = prng_below(&self->prng, 2) == 0;
    uint64_t sectors = (end + SECTOR_BYTES - 1) / SECTOR_BYTES - at / SECTOR_BYTES;
    uint64_t prefix = prng_below(&self->prng, sectors + 1);
    int error = 0;
    for (uint64_t sector = 0; error == 0 && at < end; sector++) {
        uint64_t next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        if (next > end)
            next = end;
        if (is_prefix ? sector < prefix : prng_below(&self->prng, 2) == 0)
            error = put(fd, change->new + (at - change->entry.at), (size_t)(next - at), at);
        at = next;
    }
    return error;
}

static int
redo(struct cut *self, const struct change *change, enum fate fate)
{
    const struct undo_entry *entry = &change->entry;
    self->result->pending++;
    self->result->dropped += fate == FATE_DROPPED;
    if (fate == FATE_DROPPED)
        return 0;
    if (is_of_names(change)) {
        redo_name(self, change);
        return 0;
    }
    int fd = find(self, entry->file)->fd;
    if (entry->kind == UNDO_RESIZE)
        return ftruncate(fd, (off_t)entry->at) != 0 ? errno : 0;
    if (fate == FATE_KEPT)
        return put(fd, change->new, (size_t)entry->size, entry->at);
    self->result->torn++;
    return put_torn(self, change, fd);
}

static int
settle(struct cut *self)
{
    const struct mood *mood = &moods[prng_below(&self->prng, sizeof moods / sizeof *moods)];
    size_t pending = 0, seen = 0;
    int error = 0;
    for (size_t i = self->change_count; error == 0 && i-- > 0;) {
        struct change *change = &self->changes[i];
        if (!change->is_pending)
            continue;
        pending++;
        error = is_of_names(change) ? undo_name(self, change) : undo_bytes(self, change);
    }
    size_t ordered = prng_below(&self->prng, pending + 1);
    for (size_t i = 0; error == 0 && i < self->change_count; i++) {
        if (!self->changes[i].is_pending)
            continue;
        enum fate fate = fate_of(&self->prng, mood);
        if (mood->is_orderly && seen >= ordered)
            fate = seen == ordered ? FATE_TORN : FATE_DROPPED;
        seen++;
        error = redo(self, &self->changes[i], fate);
    }
    return error != 0 ? error : settle_names(self);
}

// ---- all of it ---------------------------------------------------------------------------

static void
release(struct cut *self)
{
    for (size_t i = 0; i < self->file_count; i++)
        if (self->files[i].fd >= 0)
            close(self->files[i].fd);
    for (size_t i = 0; i < self->change_count; i++)
        free(self->changes[i].new);
    free(self->changes);
    free(self->log);
    if (self->folder_fd >= 0)
        close(self->folder_fd);
    if (self->kept_fd >= 0)
        close(self->kept_fd);
    free(self);
}

static int
open_both(struct cut *self, const char *folder)
{
    char kept[UNDO_PATH_BYTES];
    int size = snprintf(kept, sizeof kept, "%s.undo", folder);
    if (size <= 0 || size >= UNDO_PATH_BYTES)
        return ENAMETOOLONG;
    self->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    self->kept_fd = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return self->folder_fd < 0 || self->kept_fd < 0 ? errno : 0;
}

int
power_cut(const char *folder, uint64_t seed, struct power_cut *result_out)
{
    uint8_t key[32] = {0};
    struct cut *self = calloc(1, sizeof *self);
    *result_out = (struct power_cut){0};
    if (self == NULL)
        return ENOMEM;
    self->folder_fd = self->kept_fd = -1;
    self->result = result_out;
    bytes_put64(key, seed);
    prng_init(&self->prng, key, 0);
    int error = open_both(self, folder);
    if (error == 0)
        error = read_changes(self);
    if (error == 0)
        error = find_files(self, self->folder_fd, true);
    if (error == 0)
        error = find_files(self, self->kept_fd, false);
    if (error == 0)
        error = settle(self);
    release(self);
    if (error == 0)
        undo_log_remove(folder);
    return error;
}
