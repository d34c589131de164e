// body.h - bodies on a command line: words are the frames of a request, and each frame of
// a reply is a line.

#ifndef GALLEON_BODY_H
#define GALLEON_BODY_H

#include <czmq.h>

// body_of_words makes a frame of each word; `-` is all that standard input has. NULL, with
// errno, where that cannot be read or is more than memory holds.
zmsg_t *body_of_words(char **words, size_t count);

// body_print writes each frame to standard output, and a newline behind it: the bytes as
// they are, but on a terminal without those that it could take for a command. What cannot
// be written is seen when standard output is flushed.
void body_print(zmsg_t *body);

#endif
