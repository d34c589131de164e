// crash_memory.c - SQLite's own memory methods, behind a counter.

#include "crash_memory.h"

#include "must.h"

#include <sqlite3.h>
#include <stddef.h>

static sqlite3_mem_methods system_methods;
static struct memory_fault fault;
static uint64_t allocations, faults;

static bool
fails(void)
{
    if (fault.at == 0 || ++allocations < fault.at || (allocations > fault.at && !fault.is_for_ever))
        return false;
    faults++;
    return true;
}

static void *
allocate(int size)
{
    return fails() ? NULL : system_methods.xMalloc(size);
}

static void *
reallocate(void *block, int size)
{
    return fails() ? NULL : system_methods.xRealloc(block, size);
}

void
crash_memory_install(void)
{
    must(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_methods) == SQLITE_OK);
    sqlite3_mem_methods methods = system_methods;
    methods.xMalloc = allocate;
    methods.xRealloc = reallocate;
    must(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}

void
crash_memory_fail(const struct memory_fault *wanted)
{
    fault = wanted != NULL ? *wanted : (struct memory_fault){0};
    allocations = faults = 0;
}

uint64_t
crash_memory_faults(void)
{
    return faults;
}
