// titanic_known.h - which services have workers, as far as a broker has said so of late.
//
// What was heard is believed for a second. There is room for some services: the one that was
// heard of longest ago makes room for another, which costs no more than one more question.

#ifndef GALLEON_TITANIC_KNOWN_H
#define GALLEON_TITANIC_KNOWN_H

#include "view.h"

enum { TITANIC_KNOWN_MAX = 64 };

enum titanic_served { SERVED_NOBODY_KNOWS, SERVED_YES, SERVED_NO };

struct titanic_known {
    struct {
        uint64_t until_ns; // 0: free
        bool has_workers;
        uint8_t name_size;
        uint8_t name[255];
    } of[TITANIC_KNOWN_MAX];
};

void titanic_known_note(struct titanic_known *self, struct view service, bool has_workers,
                        uint64_t now_ns);
enum titanic_served titanic_known_look(const struct titanic_known *self, struct view service,
                                       uint64_t now_ns);

#endif
