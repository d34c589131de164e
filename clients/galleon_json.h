// galleon_json.h - write JSON, item by item.
//
// Text is UTF-8 in and out; bytes that are none become U+FFFD. What may be any bytes is
// written with json_bytes: a string where it is UTF-8, else {"base64": "..."}.

#ifndef GALLEON_GALLEON_JSON_H
#define GALLEON_GALLEON_JSON_H

#include "view.h"

#include <stdio.h>

struct json {
    FILE *out;
    bool needs_comma;
};

// json_begin opens an object or a list, `{` or `[`; json_end closes it.
void json_begin(struct json *self, char bracket);
void json_end(struct json *self, char bracket);
void json_key(struct json *self, struct view name);
void json_text(struct json *self, struct view text);
void json_bytes(struct json *self, struct view bytes);
void json_number(struct json *self, uint64_t number);
// json_real writes it with three decimals.
void json_real(struct json *self, double number);

#endif
