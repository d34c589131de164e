// page_vfs.h - what stands between SQLite and its file layer: page checksums, fewer writes.

#ifndef GALLEON_STORE_PAGE_VFS_H
#define GALLEON_STORE_PAGE_VFS_H

#include <stdbool.h>

enum { PAGE_CHECKSUM_BYTES = 8 }; // at the end of each page; SQLite leaves them alone

// page_vfs is the name to open a database by, over the file layer of the name given, NULL being
// the system's. Writes to the log are gathered only if every commit is synced. NULL: there is
// no such layer, or no room for one more.
const char *page_vfs(const char *base, bool gathers);

#endif
