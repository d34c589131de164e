// printable.h - what peers sent, on its way to people.

#ifndef GALLEON_PRINTABLE_H
#define GALLEON_PRINTABLE_H

#include "view.h"

#include <stdio.h>

// printable_write writes text so that no terminal takes it for a command: a control
// character (newline and tab left out) and a byte that is no UTF-8 are each a `?`.
void printable_write(FILE *out, struct view text);

#endif
