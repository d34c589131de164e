// page_vfs.c - what stands between SQLite and its file layer: page checksums, fewer writes.
//
// SQLite has checksums in its log and none in the database: a bit that a disk flips there is
// read as if it had been written, and a row or an index entry is gone without a word. So each
// page of the database ends with a checksum of itself and of its place, made when it is
// written and checked when it is read; a wrong one is SQLITE_IOERR_DATA. A page of zeros is
// right: it was never written.
//
// To the log SQLite writes two small pieces for every page. Here they are put together until
// they are synced or read, or until they are many. Only where every commit is synced: else a
// commit would be nowhere but in this process.

#include "page_vfs.h"

#include "view.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_BYTES = 8192, LAYERS_MAX = 8, NAME_BYTES = 64 };

// SQLite's layer for Unix takes less than 128 KiB at once, and calls more a full disk.
enum { GATHER_BYTES = 120 * 1024 };

struct file {
    sqlite3_file base;
    sqlite3_file *real; // behind this struct
    bool is_database;
    bool is_log;
    uint8_t *gathered; // of the log; NULL: nothing is gathered
    size_t gathered_bytes;
    sqlite3_int64 gathered_at;
    uint8_t *page; // of the database: a copy with its checksum
};

struct layer {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    bool gathers;
    char name[NAME_BYTES];
};

static struct layer layers[LAYERS_MAX];
static size_t layer_count;
static pthread_mutex_t layers_lock = PTHREAD_MUTEX_INITIALIZER;

// ---- checksums -----------------------------------------------------------------------

static uint64_t
turn(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

// Four lanes of multiply and turn, so that a page takes a microsecond. It is against flipped
// bits and misdirected writes, not against people: for those there is the audit chain.
static uint64_t
checksum(const uint8_t *page, uint64_t number)
{
    static const uint64_t prime = 0x9e3779b185ebca87u;
    uint64_t lanes[4] = {number + 1, number ^ prime, ~number, prime};
    size_t at = 0;
    for (; at + 32 <= PAGE_BYTES - PAGE_CHECKSUM_BYTES; at += 32) {
        for (int lane = 0; lane < 4; lane++) {
            uint64_t word;
            memcpy(&word, page + at + 8 * (size_t)lane, 8);
            lanes[lane] = turn(lanes[lane] + word * prime, 31) * prime;
        }
    }
    uint64_t sum = turn(lanes[0], 1) + turn(lanes[1], 7) + turn(lanes[2], 12) + turn(lanes[3], 18);
    for (; at + 8 <= PAGE_BYTES - PAGE_CHECKSUM_BYTES; at += 8) {
        uint64_t word;
        memcpy(&word, page + at, 8);
        sum = turn(sum ^ word * prime, 27) * prime;
    }
    sum = (sum ^ sum >> 29) * prime;
    return sum ^ sum >> 32;
}

static bool
is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static bool
is_right(const uint8_t *page, sqlite3_int64 at)
{
    uint64_t is;
    memcpy(&is, page + PAGE_BYTES - PAGE_CHECKSUM_BYTES, sizeof is);
    return is == checksum(page, (uint64_t)at / PAGE_BYTES) || is_zero(page);
}

static bool
is_page(const struct file *file, int size, sqlite3_int64 at)
{
    return file->is_database && size == PAGE_BYTES && at % PAGE_BYTES == 0;
}

// ---- one file ------------------------------------------------------------------------

static sqlite3_file *
real_of(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}

// flush writes what was gathered. What failed is dropped: SQLite undoes the transaction, and
// writes the next one to the same place.
static int
flush(struct file *file)
{
    size_t size = file->gathered_bytes;
    if (size == 0)
        return SQLITE_OK;
    file->gathered_bytes = 0;
    return file->real->pMethods->xWrite(file->real, file->gathered, (int)size, file->gathered_at);
}

static int
on_close(sqlite3_file *base)
{
    struct file *file = (struct file *)base;
    int code = flush(file);
    free(file->gathered);
    free(file->page);
    int close_code = file->real->pMethods->xClose(file->real);
    return code != SQLITE_OK ? code : close_code;
}

static int
on_read(sqlite3_file *base, void *to, int size, sqlite3_int64 at)
{
    struct file *file = (struct file *)base;
    int code = flush(file);
    if (code == SQLITE_OK)
        code = file->real->pMethods->xRead(file->real, to, size, at);
    // Where the file ends within a page the rest of it is zeros, and SQLite would go on with that.
    bool is_read = code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ;
    if (is_read && is_page(file, size, at) && !is_right(to, at))
        code = SQLITE_IOERR_DATA;
    return code;
}

static int
gather(struct file *file, const void *from, size_t size, sqlite3_int64 at)
{
    bool is_next = at == file->gathered_at + (sqlite3_int64)file->gathered_bytes;
    if (file->gathered_bytes > 0 && (!is_next || file->gathered_bytes + size > GATHER_BYTES)) {
        int code = flush(file);
        if (code != SQLITE_OK)
            return code;
    }
    if (size > GATHER_BYTES)
        return file->real->pMethods->xWrite(file->real, from, (int)size, at);
    if (file->gathered_bytes == 0)
        file->gathered_at = at;
    memcpy(file->gathered + file->gathered_bytes, from, size);
    file->gathered_bytes += size;
    return SQLITE_OK;
}

static int
on_write(sqlite3_file *base, const void *from, int size, sqlite3_int64 at)
{
    struct file *file = (struct file *)base;
    if (file->gathered != NULL)
        return gather(file, from, (size_t)size, at);
    if (is_page(file, size, at)) {
        memcpy(file->page, from, PAGE_BYTES);
        uint64_t sum = checksum(file->page, (uint64_t)at / PAGE_BYTES);
        memcpy(file->page + PAGE_BYTES - PAGE_CHECKSUM_BYTES, &sum, sizeof sum);
        from = file->page;
    }
    return file->real->pMethods->xWrite(file->real, from, size, at);
}

static int
on_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int code = flush((struct file *)base);
    return code != SQLITE_OK ? code : real_of(base)->pMethods->xTruncate(real_of(base), size);
}

static int
on_sync(sqlite3_file *base, int flags)
{
    int code = flush((struct file *)base);
    return code != SQLITE_OK ? code : real_of(base)->pMethods->xSync(real_of(base), flags);
}

static int
on_size(sqlite3_file *base, sqlite3_int64 *size_out)
{
    int code = flush((struct file *)base);
    return code != SQLITE_OK ? code : real_of(base)->pMethods->xFileSize(real_of(base), size_out);
}

static int
on_lock(sqlite3_file *base, int level)
{
    return real_of(base)->pMethods->xLock(real_of(base), level);
}

static int
on_unlock(sqlite3_file *base, int level)
{
    return real_of(base)->pMethods->xUnlock(real_of(base), level);
}

static int
on_check(sqlite3_file *base, int *out)
{
    return real_of(base)->pMethods->xCheckReservedLock(real_of(base), out);
}

static int
on_control(sqlite3_file *base, int what, void *argument)
{
    return real_of(base)->pMethods->xFileControl(real_of(base), what, argument);
}

static int
on_sector(sqlite3_file *base)
{
    return real_of(base)->pMethods->xSectorSize(real_of(base));
}

static int
on_device(sqlite3_file *base)
{
    return real_of(base)->pMethods->xDeviceCharacteristics(real_of(base));
}

static int
on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *flags_out)
{
    static const sqlite3_io_methods methods = {.iVersion = 1,
                                               .xClose = on_close,
                                               .xRead = on_read,
                                               .xWrite = on_write,
                                               .xTruncate = on_truncate,
                                               .xSync = on_sync,
                                               .xFileSize = on_size,
                                               .xLock = on_lock,
                                               .xUnlock = on_unlock,
                                               .xCheckReservedLock = on_check,
                                               .xFileControl = on_control,
                                               .xSectorSize = on_sector,
                                               .xDeviceCharacteristics = on_device};
    struct layer *layer = vfs->pAppData;
    struct file *file = (struct file *)base;
    *file = (struct file){.real = (sqlite3_file *)(file + 1)};
    file->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    file->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    if (file->is_database && (file->page = malloc(PAGE_BYTES)) == NULL)
        return SQLITE_NOMEM;
    // Without memory for it the log is written piece by piece.
    if (file->is_log && layer->gathers)
        file->gathered = malloc(GATHER_BYTES);
    int code = layer->real->xOpen(layer->real, name, file->real, flags, flags_out);
    if (file->real->pMethods != NULL) {
        base->pMethods = &methods;
    } else {
        free(file->page);
        free(file->gathered);
    }
    return code;
}

// ---- the layers ----------------------------------------------------------------------

static const char *
add_layer(sqlite3_vfs *real, bool gathers)
{
    if (layer_count == LAYERS_MAX)
        return NULL;
    struct layer *layer = &layers[layer_count++];
    snprintf(layer->name, sizeof layer->name, "galleon-%s-%.40s", gathers ? "gather" : "pages",
             real->zName);
    layer->real = real;
    layer->gathers = gathers;
    layer->vfs = *real;
    layer->vfs.pNext = NULL;
    layer->vfs.zName = layer->name;
    layer->vfs.pAppData = layer;
    layer->vfs.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    layer->vfs.xOpen = on_open;
    return sqlite3_vfs_register(&layer->vfs, 0) == SQLITE_OK ? layer->name : NULL;
}

const char *
page_vfs(const char *base, bool gathers)
{
    sqlite3_vfs *real = sqlite3_vfs_find(base);
    const char *name = NULL;
    if (real == NULL)
        return NULL;
    pthread_mutex_lock(&layers_lock);
    for (size_t at = 0; at < layer_count && name == NULL; at++)
        if (layers[at].real == real && layers[at].gathers == gathers)
            name = layers[at].name;
    if (name == NULL)
        name = add_layer(real, gathers);
    pthread_mutex_unlock(&layers_lock);
    return name;
}
