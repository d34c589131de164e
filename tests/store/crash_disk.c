// crash_disk.c - files in memory, what is pending of them, and what a loss of power leaves.

#include "crash_disk.h"

#include "bytes.h"
#include "must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAMES_MAX = 64, SECTOR_BYTES = 512, NAME_BYTES = 64 };

// A block that grows, zeros where nothing was written.
struct content {
    uint8_t *data;
    size_t size, room;
};

struct pending {
    bool is_truncation;
    uint64_t at; // of a write; the size after a truncation
    size_t size;
    uint8_t *data;
};

struct disk_file {
    struct crash_disk *disk;
    uint32_t references; // names, and whoever has it open
    char name[NAME_BYTES];
    struct content seen, kept;
    struct pending *pending;
    size_t pending_count, pending_room;
};

// A name as it is seen, and as it is on the disk: each may be of no file, or of another.
struct name {
    char text[NAME_BYTES];
    struct disk_file *seen, *kept;
};

struct crash_disk {
    struct prng prng;
    struct name names[NAMES_MAX];
    size_t name_count;
    uint64_t operations, crash_at;
    bool is_dead;
    struct disk_fault fault;
    uint64_t fault_seen, faults;
    char lies[NAME_BYTES];
};

void
crash_prng_init(struct prng *prng, uint64_t seed, uint64_t purpose)
{
    uint8_t key[32] = {0};
    bytes_put64(key, seed);
    prng_init(prng, key, purpose);
}

// ---- contents ----------------------------------------------------------------------

static void
set_size(struct content *self, size_t size)
{
    if (size > self->room) {
        self->room = size < 4096 ? 8192 : size * 2;
        self->data = realloc(self->data, self->room);
        must(self->data != NULL);
    }
    if (size > self->size)
        memset(self->data + self->size, 0, size - self->size);
    self->size = size;
}

static void
put(struct content *self, const void *data, size_t size, uint64_t at)
{
    if (size == 0)
        return;
    if (at + size > self->size)
        set_size(self, at + size);
    memcpy(self->data + at, data, size);
}

static void
copy_content(struct content *to, const struct content *from)
{
    to->size = 0;
    set_size(to, from->size);
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
}

// ---- counting, and what goes wrong -----------------------------------------------------

// begin counts an operation and says what becomes of it.
static int
begin(struct crash_disk *self, enum disk_kind kind)
{
    if (self->is_dead)
        return EIO;
    if ((kind & DISK_COUNTED) != 0 && ++self->operations == self->crash_at) {
        self->is_dead = true;
        return EIO;
    }
    if ((self->fault.kinds & kind) == 0)
        return 0;
    uint64_t number = ++self->fault_seen;
    if (number < self->fault.at || (number > self->fault.at && !self->fault.is_for_ever))
        return 0;
    self->faults++;
    return self->fault.error;
}

void
crash_disk_crash_at(struct crash_disk *self, uint64_t operation)
{
    self->crash_at = operation;
}

void
crash_disk_fail(struct crash_disk *self, const struct disk_fault *fault)
{
    self->fault = fault != NULL ? *fault : (struct disk_fault){0};
    self->fault_seen = self->faults = 0;
}

void
crash_disk_lie(struct crash_disk *self, const char *ending)
{
    snprintf(self->lies, sizeof self->lies, "%s", ending != NULL ? ending : "");
}

uint64_t
crash_disk_operations(const struct crash_disk *self)
{
    return self->operations;
}

bool
crash_disk_is_dead(const struct crash_disk *self)
{
    return self->is_dead;
}

uint64_t
crash_disk_faults(const struct crash_disk *self)
{
    return self->faults;
}

// ---- files -------------------------------------------------------------------------

static void
forget_pending(struct disk_file *file)
{
    for (size_t at = 0; at < file->pending_count; at++)
        free(file->pending[at].data);
    file->pending_count = 0;
}

static void
drop(struct disk_file *file)
{
    if (file == NULL || --file->references > 0)
        return;
    forget_pending(file);
    free(file->pending);
    free(file->seen.data);
    free(file->kept.data);
    free(file);
}

static struct disk_file *
hold(struct disk_file *file)
{
    if (file != NULL)
        file->references++;
    return file;
}

static void
add_pending(struct disk_file *file, bool is_truncation, const void *data, size_t size, uint64_t at)
{
    if (file->pending_count == file->pending_room) {
        file->pending_room = file->pending_room == 0 ? 64 : file->pending_room * 2;
        file->pending = realloc(file->pending, file->pending_room * sizeof *file->pending);
        must(file->pending != NULL);
    }
    struct pending *one = &file->pending[file->pending_count++];
    *one = (struct pending){.is_truncation = is_truncation, .at = at, .size = size};
    if (size > 0) {
        one->data = malloc(size);
        must(one->data != NULL);
        memcpy(one->data, data, size);
    }
}

int
disk_file_read(struct disk_file *file, void *data, size_t size, uint64_t at, size_t *got_out)
{
    *got_out = 0;
    int error = begin(file->disk, DISK_READ);
    if (error != 0)
        return error;
    if (at < file->seen.size) {
        size_t left = file->seen.size - at;
        *got_out = size < left ? size : left;
        memcpy(data, file->seen.data + at, *got_out);
    }
    return 0;
}

// Power may go in the middle of a write: it is pending, and whoever wrote does not know.
int
disk_file_write(struct disk_file *file, const void *data, size_t size, uint64_t at)
{
    bool was_dead = file->disk->is_dead;
    int error = begin(file->disk, DISK_WRITE);
    if (was_dead || (error != 0 && !file->disk->is_dead))
        return error;
    add_pending(file, false, data, size, at);
    put(&file->seen, data, size, at);
    return error;
}

int
disk_file_truncate(struct disk_file *file, uint64_t size)
{
    bool was_dead = file->disk->is_dead;
    int error = begin(file->disk, DISK_TRUNCATE);
    if (was_dead || (error != 0 && !file->disk->is_dead))
        return error;
    add_pending(file, true, NULL, 0, size);
    set_size(&file->seen, size);
    return error;
}

static bool
is_lied_about(const struct crash_disk *self, const char *name)
{
    size_t size = strlen(name), ending = strlen(self->lies);
    return ending > 0 && ending <= size && strcmp(name + size - ending, self->lies) == 0;
}

int
disk_file_sync(struct disk_file *file)
{
    int error = begin(file->disk, DISK_SYNC);
    if (file->disk->is_dead || (error == 0 && is_lied_about(file->disk, file->name)))
        return error;
    for (size_t at = 0; error == 0 && at < file->pending_count; at++) {
        const struct pending *one = &file->pending[at];
        if (one->is_truncation)
            set_size(&file->kept, one->at);
        else
            put(&file->kept, one->data, one->size, one->at);
    }
    forget_pending(file);
    return error;
}

// What is pending is still there; what a failed sync forgot is not.
void
disk_file_drop_cache(struct disk_file *file)
{
    copy_content(&file->seen, &file->kept);
    for (size_t at = 0; at < file->pending_count; at++) {
        const struct pending *one = &file->pending[at];
        if (one->is_truncation)
            set_size(&file->seen, one->at);
        else
            put(&file->seen, one->data, one->size, one->at);
    }
}

uint64_t
disk_file_size(const struct disk_file *file)
{
    return file->seen.size;
}

// ---- names -------------------------------------------------------------------------

static const char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static struct name *
name_of(struct crash_disk *self, const char *path)
{
    const char *text = last_part(path);
    for (size_t at = 0; at < self->name_count; at++)
        if (strcmp(self->names[at].text, text) == 0)
            return &self->names[at];
    must(self->name_count < NAMES_MAX && strlen(text) < NAME_BYTES);
    struct name *name = &self->names[self->name_count++];
    memcpy(name->text, text, strlen(text) + 1);
    return name;
}

static void
set_name(struct disk_file **name, struct disk_file *file)
{
    struct disk_file *old = *name;
    *name = hold(file);
    drop(old);
}

bool
crash_disk_exists(const struct crash_disk *self, const char *path)
{
    for (size_t at = 0; at < self->name_count; at++)
        if (strcmp(self->names[at].text, last_part(path)) == 0)
            return self->names[at].seen != NULL;
    return false;
}

int
crash_disk_open(struct crash_disk *self, const char *path, bool may_create,
                struct disk_file **file_out, bool *is_new_out)
{
    *file_out = NULL;
    *is_new_out = false;
    int error = begin(self, DISK_OPEN);
    if (error != 0)
        return error;
    struct name *name = name_of(self, path);
    if (name->seen == NULL) {
        if (!may_create)
            return ENOENT;
        error = begin(self, DISK_CREATE);
        if (error != 0 && !self->is_dead)
            return error;
        struct disk_file *file = calloc(1, sizeof *file);
        must(file != NULL);
        file->disk = self;
        memcpy(file->name, name->text, sizeof file->name);
        set_name(&name->seen, file);
        if (error != 0)
            return error;
        *is_new_out = true;
    }
    *file_out = hold(name->seen);
    return 0;
}

void
crash_disk_close(struct disk_file *file)
{
    drop(file);
}

int
crash_disk_delete(struct crash_disk *self, const char *path)
{
    if (!crash_disk_exists(self, path))
        return self->is_dead ? EIO : ENOENT;
    bool was_dead = self->is_dead;
    int error = begin(self, DISK_DELETE);
    if (was_dead || (error != 0 && !self->is_dead))
        return error;
    set_name(&name_of(self, path)->seen, NULL);
    return error;
}

int
crash_disk_sync_names(struct crash_disk *self)
{
    int error = begin(self, DISK_SYNC);
    for (size_t at = 0; error == 0 && at < self->name_count; at++)
        set_name(&self->names[at].kept, self->names[at].seen);
    return error;
}

// ---- the loss of power -----------------------------------------------------------------

// What became of one write.
enum fate { FATE_DROPPED, FATE_WHOLE, FATE_PREFIX, FATE_GARBAGE };

// How a crash treats what was pending: how often each fate, of 100. In an orderly one what came
// first is whole, up to some point.
struct mood {
    uint32_t dropped, whole, prefix;
    bool is_orderly;
};

static const struct mood moods[] = {
    {25, 25, 25, false}, {100, 0, 0, false}, {0, 100, 0, false}, {90, 4, 3, false},
    {3, 94, 2, false},   {0, 0, 100, false}, {0, 100, 0, true},
};

static enum fate
fate_of(struct prng *prng, const struct mood *mood)
{
    uint64_t roll = prng_below(prng, 100);
    if (roll < mood->dropped)
        return FATE_DROPPED;
    if (roll < mood->dropped + mood->whole)
        return FATE_WHOLE;
    return roll < mood->dropped + mood->whole + mood->prefix ? FATE_PREFIX : FATE_GARBAGE;
}

// put_prefix keeps the first sectors: it ends where one of the file's sectors ends.
static void
put_prefix(struct disk_file *file, struct prng *prng, const struct pending *one)
{
    uint64_t first = one->at / SECTOR_BYTES, last = (one->at + one->size) / SECTOR_BYTES;
    uint64_t end = (first + prng_below(prng, last - first + 1)) * SECTOR_BYTES;
    if (end > one->at)
        put(&file->kept, one->data, end - one->at, one->at);
}

static void
put_garbage(struct disk_file *file, struct prng *prng, const struct pending *one)
{
    uint8_t *garbage = malloc(one->size + 8);
    must(garbage != NULL);
    for (size_t at = 0; at < one->size; at += 8)
        bytes_put64(garbage + at, prng_next(prng));
    put(&file->kept, garbage, one->size, one->at);
    free(garbage);
}

static void
settle_file(struct disk_file *file, struct prng *prng, const struct mood *mood)
{
    size_t ordered = mood->is_orderly ? prng_below(prng, file->pending_count + 1) : SIZE_MAX;
    for (size_t at = 0; at < file->pending_count; at++) {
        const struct pending *one = &file->pending[at];
        enum fate fate = at < ordered ? fate_of(prng, mood) : FATE_DROPPED;
        if (fate == FATE_DROPPED)
            continue;
        if (one->is_truncation)
            set_size(&file->kept, one->at);
        else if (fate == FATE_WHOLE || one->size == 0)
            put(&file->kept, one->data, one->size, one->at);
        else if (fate == FATE_PREFIX)
            put_prefix(file, prng, one);
        else
            put_garbage(file, prng, one);
    }
    forget_pending(file);
    copy_content(&file->seen, &file->kept);
}

void
crash_disk_restart(struct crash_disk *self)
{
    self->is_dead = false;
    self->crash_at = 0;
}

void
crash_disk_settle(struct crash_disk *self)
{
    struct prng *prng = &self->prng;
    const struct mood *mood = &moods[prng_below(prng, sizeof moods / sizeof *moods)];
    for (size_t at = 0; at < self->name_count; at++) {
        struct name *name = &self->names[at];
        if (name->seen != name->kept && fate_of(prng, mood) != FATE_DROPPED)
            set_name(&name->kept, name->seen);
        set_name(&name->seen, name->kept);
    }
    for (size_t at = 0; at < self->name_count; at++)
        if (self->names[at].kept != NULL)
            settle_file(self->names[at].kept, prng, mood);
    crash_disk_restart(self);
}

// ---- real files ----------------------------------------------------------------------

static bool
export_file(int folder, const char *name, const struct content *content)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t done = 0;
    while (fd >= 0 && done < content->size) {
        ssize_t size = write(fd, content->data + done, content->size - done);
        if (size <= 0)
            break;
        done += (size_t)size;
    }
    return fd >= 0 && close(fd) == 0 && done == content->size;
}

bool
crash_disk_export(const struct crash_disk *self, const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        unlinkat(dirfd(folder), entry->d_name, 0);
    bool is_done = true;
    for (size_t at = 0; at < self->name_count; at++) {
        const struct name *name = &self->names[at];
        if (name->seen != NULL)
            is_done = export_file(dirfd(folder), name->text, &name->seen->seen) && is_done;
    }
    closedir(folder);
    return is_done;
}

// ---- making one ------------------------------------------------------------------------

struct crash_disk *
crash_disk_new(uint64_t seed)
{
    struct crash_disk *self = calloc(1, sizeof *self);
    must(self != NULL);
    crash_prng_init(&self->prng, seed, 1);
    return self;
}

void
crash_disk_free(struct crash_disk *self)
{
    for (size_t at = 0; at < self->name_count; at++) {
        set_name(&self->names[at].seen, NULL);
        set_name(&self->names[at].kept, NULL);
    }
    free(self);
}
