// fault_vfs.c - SQLite's file layer, failing on request.

#include "fault_vfs.h"

#include <sqlite3.h>
#include <string.h>

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; // behind this struct
};

struct fault_plan fault_plan;

static sqlite3_vfs vfs;
static sqlite3_vfs *real;
static uint64_t counts[FAULT_CALLS];

void
fault_vfs_start(void)
{
    memset(&fault_plan, 0, sizeof fault_plan);
    memset(counts, 0, sizeof counts);
}

uint64_t
fault_vfs_count(enum fault_call call)
{
    return counts[call];
}

static int
count_call(enum fault_call call)
{
    uint64_t at = fault_plan.fail_at[call];
    counts[call]++;
    if (at == 0 || counts[call] < at || (counts[call] > at && !fault_plan.for_ever))
        return SQLITE_OK;
    return fault_plan.code[call];
}

static sqlite3_file *
real_of(sqlite3_file *file)
{
    return ((struct fault_file *)file)->real;
}

static int
on_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int
on_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
    int code = count_call(FAULT_READ);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xRead(real_of(file), to, size, at);
}

static int
on_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
    int code = count_call(FAULT_WRITE);
    if (code == SQLITE_OK && fault_plan.is_read_only)
        code = SQLITE_READONLY;
    if (code == SQLITE_OK && fault_plan.bytes_max > 0 &&
        (uint64_t)(at + size) > fault_plan.bytes_max)
        code = SQLITE_FULL;
    return code != SQLITE_OK ? code
                             : real_of(file)->pMethods->xWrite(real_of(file), from, size, at);
}

static int
on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int
on_sync(sqlite3_file *file, int flags)
{
    int code = count_call(FAULT_SYNC);
    return code != SQLITE_OK ? code : real_of(file)->pMethods->xSync(real_of(file), flags);
}

static int
on_size(sqlite3_file *file, sqlite3_int64 *size_out)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size_out);
}

static int
on_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int
on_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int
on_check(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int
on_control(sqlite3_file *file, int what, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), what, argument);
}

static int
on_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int
on_device(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int
on_open(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *flags_out)
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
    struct fault_file *fault = (struct fault_file *)file;
    (void)self;
    fault->real = (sqlite3_file *)(fault + 1);
    int code = real->xOpen(real, name, fault->real, flags, flags_out);
    fault->base.pMethods = fault->real->pMethods != NULL ? &methods : NULL;
    return code;
}

__attribute__((constructor)) static void
add_vfs(void)
{
    real = sqlite3_vfs_find(NULL);
    vfs = *real;
    vfs.pNext = NULL;
    vfs.zName = FAULT_VFS_NAME;
    vfs.szOsFile = (int)sizeof(struct fault_file) + real->szOsFile;
    vfs.xOpen = on_open;
    sqlite3_vfs_register(&vfs, 0);
}
