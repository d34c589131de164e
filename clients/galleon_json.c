// galleon_json.c - commas, quotes and escapes.

#include "galleon_json.h"

#include "text.h"

static void
separate(struct json *self)
{
    if (self->needs_comma)
        fputs(", ", self->out);
    self->needs_comma = true;
}

void
json_begin(struct json *self, char bracket)
{
    separate(self);
    fputc(bracket, self->out);
    self->needs_comma = false;
}

void
json_end(struct json *self, char bracket)
{
    fputc(bracket, self->out);
    self->needs_comma = true;
}

// ---- text ---------------------------------------------------------------------------

static void
write_character(FILE *out, struct view character)
{
    uint8_t byte = character.data[0];
    if (byte == '"' || byte == '\\')
        fprintf(out, "\\%c", byte);
    else if (byte == '\n')
        fputs("\\n", out);
    else if (byte == '\t')
        fputs("\\t", out);
    else if (byte < 0x20 || byte == 0x7f)
        fprintf(out, "\\u%04x", byte);
    else if (byte == 0xc2 && character.data[1] < 0xa0) // control characters too
        fprintf(out, "\\u%04x", character.data[1]);
    else
        fwrite(character.data, 1, character.size, out);
}

static void
write_string(FILE *out, struct view text)
{
    fputc('"', out);
    while (text.size > 0) {
        size_t size = text_utf8_bytes(text);
        if (size == 0)
            fputs("\\ufffd", out);
        else
            write_character(out, view_of(text.data, size));
        text = view_skip(text, size == 0 ? 1 : size);
    }
    fputc('"', out);
}

void
json_key(struct json *self, struct view name)
{
    separate(self);
    write_string(self->out, name);
    fputs(": ", self->out);
    self->needs_comma = false;
}

void
json_text(struct json *self, struct view text)
{
    separate(self);
    write_string(self->out, text);
}

static void
write_base64(FILE *out, struct view bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t group = (uint32_t)bytes.data[at] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[at + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[at + 2] : 0;
        fputc(digits[group >> 18], out);
        fputc(digits[group >> 12 & 63], out);
        fputc(left > 1 ? digits[group >> 6 & 63] : '=', out);
        fputc(left > 2 ? digits[group & 63] : '=', out);
    }
}

void
json_bytes(struct json *self, struct view bytes)
{
    if (text_is_utf8(bytes)) {
        json_text(self, bytes);
        return;
    }
    separate(self);
    fputs("{\"base64\": \"", self->out);
    write_base64(self->out, bytes);
    fputs("\"}", self->out);
}

// ---- numbers ------------------------------------------------------------------------

void
json_number(struct json *self, uint64_t number)
{
    separate(self);
    fprintf(self->out, "%llu", (unsigned long long)number);
}

void
json_real(struct json *self, double number)
{
    separate(self);
    fprintf(self->out, "%.3f", number);
}
