// body.c - read words and standard input, write lines.

#include "body.h"

#include "printable.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUT_BYTES_FIRST = 128 * 1024 };

// read_input is all that standard input has, on the heap; NULL with errno.
static char *
read_input(size_t *size_out)
{
    char *bytes = NULL;
    size_t size = 0;
    for (size_t room = INPUT_BYTES_FIRST;; room *= 2) {
        char *larger = realloc(bytes, room);
        if (larger == NULL)
            break;
        bytes = larger;
        size += fread(bytes + size, 1, room - size, stdin);
        if (ferror(stdin))
            break;
        *size_out = size;
        if (size < room)
            return bytes;
    }
    int error = errno;
    free(bytes);
    errno = error;
    return NULL;
}

// add_input makes a frame of standard input; false with errno.
static bool
add_input(zmsg_t *body)
{
    size_t size;
    char *bytes = read_input(&size);
    if (bytes == NULL)
        return false;
    zmsg_addmem(body, bytes, size);
    free(bytes);
    return true;
}

zmsg_t *
body_of_words(char **words, size_t count)
{
    zmsg_t *body = zmsg_new();
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], "-") != 0) {
            zmsg_addmem(body, words[i], strlen(words[i]));
        } else if (!add_input(body)) {
            int error = errno;
            zmsg_destroy(&body);
            errno = error;
            return NULL;
        }
    }
    return body;
}

void
body_print(zmsg_t *body)
{
    bool is_seen = isatty(STDOUT_FILENO);
    for (zframe_t *frame = zmsg_first(body); frame != NULL; frame = zmsg_next(body)) {
        if (is_seen)
            printable_write(stdout, view_of(zframe_data(frame), zframe_size(frame)));
        else
            fwrite(zframe_data(frame), 1, zframe_size(frame), stdout);
        putchar('\n');
    }
}
