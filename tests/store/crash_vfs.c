// crash_vfs.c - the file layer of SQLite on crash_disk.h.
//
// It does what the ordinary one does: a log or journal that is new has its folder synced with
// its first sync, writes leave the bytes beside them alone, and a sector is 4096 bytes. There are
// no locks and no shared memory, because the store has its connection alone and says so first.

#include "crash_vfs.h"

#include "must.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct vfs_file {
    sqlite3_file base; // the first
    struct disk_file *file;
    bool syncs_folder; // with the next sync
    bool is_deleted_on_close;
    char path[PATH_MAX];
};

static struct crash_disk *mounted;
static char mounted_folder[PATH_MAX];

static struct vfs_file *
of(sqlite3_file *base)
{
    return (struct vfs_file *)(void *)base;
}

static int
code_of(int error, int code)
{
    return error == 0 ? SQLITE_OK : error == ENOSPC ? SQLITE_FULL : code;
}

// ---- one file ----------------------------------------------------------------------

static int
close_file(sqlite3_file *base)
{
    struct vfs_file *self = of(base);
    if (self->is_deleted_on_close && mounted != NULL)
        crash_disk_delete(mounted, self->path);
    crash_disk_close(self->file);
    self->file = NULL;
    return SQLITE_OK;
}

static int
read_file(sqlite3_file *base, void *data, int size, sqlite3_int64 at)
{
    size_t got;
    int error = disk_file_read(of(base)->file, data, (size_t)size, (uint64_t)at, &got);
    if (error != 0)
        return SQLITE_IOERR_READ;
    memset((uint8_t *)data + got, 0, (size_t)size - got);
    return got < (size_t)size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static int
write_file(sqlite3_file *base, const void *data, int size, sqlite3_int64 at)
{
    return code_of(disk_file_write(of(base)->file, data, (size_t)size, (uint64_t)at),
                   SQLITE_IOERR_WRITE);
}

static int
truncate_file(sqlite3_file *base, sqlite3_int64 size)
{
    return code_of(disk_file_truncate(of(base)->file, (uint64_t)size), SQLITE_IOERR_TRUNCATE);
}

static int
sync_file(sqlite3_file *base, int flags)
{
    (void)flags;
    struct vfs_file *self = of(base);
    int error = disk_file_sync(self->file);
    if (error == 0 && self->syncs_folder) {
        self->syncs_folder = false;
        error = crash_disk_sync_names(mounted);
    }
    return error == 0 ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int
size_of_file(sqlite3_file *base, sqlite3_int64 *size_out)
{
    *size_out = (sqlite3_int64)disk_file_size(of(base)->file);
    return SQLITE_OK;
}

static int
lock_file(sqlite3_file *base, int level)
{
    (void)base, (void)level;
    return SQLITE_OK;
}

static int
check_reserved_lock(sqlite3_file *base, int *is_reserved_out)
{
    (void)base;
    *is_reserved_out = 0;
    return SQLITE_OK;
}

static int
control_file(sqlite3_file *base, int what, void *argument)
{
    (void)base, (void)what, (void)argument;
    return SQLITE_NOTFOUND;
}

static int
sector_bytes(sqlite3_file *base)
{
    (void)base;
    return 4096;
}

static int
characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = close_file,
                                           .xRead = read_file,
                                           .xWrite = write_file,
                                           .xTruncate = truncate_file,
                                           .xSync = sync_file,
                                           .xFileSize = size_of_file,
                                           .xLock = lock_file,
                                           .xUnlock = lock_file,
                                           .xCheckReservedLock = check_reserved_lock,
                                           .xFileControl = control_file,
                                           .xSectorSize = sector_bytes,
                                           .xDeviceCharacteristics = characteristics};

// ---- files by name -----------------------------------------------------------------

static int
open_file(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *flags_out)
{
    (void)vfs;
    struct vfs_file *self = of(base);
    *self = (struct vfs_file){0};
    must(mounted != NULL);
    bool is_new = false;
    snprintf(self->path, sizeof self->path, "%s", path != NULL ? path : "temporary");
    int error = crash_disk_open(mounted, self->path, (flags & SQLITE_OPEN_CREATE) != 0, &self->file,
                                &is_new);
    if (error != 0)
        return SQLITE_CANTOPEN;
    int journals = SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
    self->syncs_folder = is_new && (flags & journals) != 0;
    self->is_deleted_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    self->base.pMethods = &methods;
    if (flags_out != NULL)
        *flags_out = flags;
    return SQLITE_OK;
}

static int
delete_file(sqlite3_vfs *vfs, const char *path, int syncs_folder)
{
    (void)vfs;
    int error = crash_disk_delete(mounted, path);
    if (error == ENOENT)
        return SQLITE_IOERR_DELETE_NOENT;
    if (error != 0)
        return SQLITE_IOERR_DELETE;
    return syncs_folder && crash_disk_sync_names(mounted) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

static int
look_for_file(sqlite3_vfs *vfs, const char *path, int flags, int *is_there_out)
{
    (void)vfs, (void)flags;
    *is_there_out = crash_disk_exists(mounted, path);
    return SQLITE_OK;
}

static int
full_path(sqlite3_vfs *vfs, const char *path, int size, char *path_out)
{
    (void)vfs;
    return snprintf(path_out, (size_t)size, "%s", path) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static sqlite3_vfs crash_vfs = {.iVersion = 2,
                                .szOsFile = sizeof(struct vfs_file),
                                .mxPathname = PATH_MAX - 1,
                                .zName = CRASH_VFS,
                                .xOpen = open_file,
                                .xDelete = delete_file,
                                .xAccess = look_for_file,
                                .xFullPathname = full_path};

static void
register_vfs(void)
{
    const sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    must(system != NULL);
    if (crash_vfs.xSleep != NULL)
        return;
    crash_vfs.xDlOpen = system->xDlOpen;
    crash_vfs.xDlError = system->xDlError;
    crash_vfs.xDlSym = system->xDlSym;
    crash_vfs.xDlClose = system->xDlClose;
    crash_vfs.xRandomness = system->xRandomness;
    crash_vfs.xSleep = system->xSleep;
    crash_vfs.xCurrentTime = system->xCurrentTime;
    crash_vfs.xCurrentTimeInt64 = system->xCurrentTimeInt64;
    crash_vfs.xGetLastError = system->xGetLastError;
    must(sqlite3_vfs_register(&crash_vfs, 0) == SQLITE_OK);
}

// ---- the folder --------------------------------------------------------------------

void
crash_vfs_mount(struct crash_disk *disk, const char *folder)
{
    register_vfs();
    mounted = disk;
    snprintf(mounted_folder, sizeof mounted_folder, "%s", disk != NULL ? folder : "");
}

struct crash_disk *
crash_vfs_disk(void)
{
    return mounted;
}

bool
crash_vfs_covers(const char *path, bool *is_folder_out)
{
    size_t size = strlen(mounted_folder);
    *is_folder_out = false;
    if (mounted == NULL || strncmp(path, mounted_folder, size) != 0)
        return false;
    *is_folder_out = path[size] == '\0';
    return path[size] == '\0' || path[size] == '/';
}
