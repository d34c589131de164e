// crash_vfs.h - `galleon-crash`: SQLite, and our own files, on a disk that loses power.
//
// SQLite comes through a VFS by that name. The store's own files (lock, anchor, notes) do not:
// the linker gives their system calls to crash_files.c, which takes those of files in the
// mounted folder and leaves the rest to the system.

#ifndef GALLEON_CRASH_VFS_H
#define GALLEON_CRASH_VFS_H

#include "crash_disk.h"

#define CRASH_VFS "galleon-crash"

// crash_vfs_mount makes the disk stand for a folder; NULL: none does, and all calls are the
// system's. One at a time.
void crash_vfs_mount(struct crash_disk *disk, const char *folder);

struct crash_disk *crash_vfs_disk(void); // NULL: none is mounted
// crash_vfs_covers says whether a path is of a file in the mounted folder, or the folder.
bool crash_vfs_covers(const char *path, bool *is_folder_out);

#endif
