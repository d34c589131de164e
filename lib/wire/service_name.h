// service_name.h - what may be the name of a service.

#ifndef GALLEON_SERVICE_NAME_H
#define GALLEON_SERVICE_NAME_H

#include "view.h"

enum { SERVICE_NAME_BYTES_MAX = 255 };

// service_name_is_valid: 1 to 255 bytes of UTF-8 without control characters
// (U+0000 to U+001F, U+007F to U+009F).
bool service_name_is_valid(struct view name);

// service_name_is_reserved: 8/MMI: "Any service name starting with the four
// bytes 'mmi.' is reserved".
static inline bool
service_name_is_reserved(struct view name)
{
    return view_starts_with(name, VIEW_LITERAL("mmi."));
}

// service_name_is_for_workers: may somebody's worker serve it? titanic.* belongs to the
// broker that keeps requests on disk.
static inline bool
service_name_is_for_workers(struct view name)
{
    return !service_name_is_reserved(name) && !view_starts_with(name, VIEW_LITERAL("titanic."));
}

#endif
