// marks.c - their names.

#include "marks.h"

const char *
mark_text(enum mark mark)
{
    static const char *const texts[MARKS] = {
#define X(name, text) [name] = text,
        MARK_MAP(X) PIRATE_MARK_MAP(X) PAIR_MARK_MAP(X)
#undef X
    };
    return texts[mark];
}
