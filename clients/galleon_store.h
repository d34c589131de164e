// galleon_store.h - what the commands on a store at rest share.

#ifndef GALLEON_GALLEON_STORE_H
#define GALLEON_GALLEON_STORE_H

#include "galleon_json.h"
#include "galleon_tool.h"
#include "store_check.h"

// tool_look opens the store that the first word names, PATH or sqlite:PATH; it ends the program
// where that cannot be, and names the process that has it.
struct store_check *tool_look(struct tool *self);

// tool_write_hex writes two digits for each byte, and a NUL.
void tool_write_hex(const uint8_t *bytes, size_t size, char *to);

void tool_json_text(struct json *json, const char *name, const char *text);
void tool_json_number(struct json *json, const char *name, uint64_t number);

#endif
