// serving.h - the endpoints that a daemon serves on: what it may be told, and why it cannot.

#ifndef GALLEON_SERVING_H
#define GALLEON_SERVING_H

#include "options.h"

#include <stdbool.h>

// A list of endpoints to bind, from an option that may be repeated.
struct serving_endpoints {
    char **list;
    size_t count;
};

// serving_add copies an endpoint to the end of the list. Without memory it ends the program.
void serving_add(const struct options *options, struct serving_endpoints *self,
                 const char *endpoint);
void serving_release(struct serving_endpoints *self);

// serving_check ends the program where an endpoint, given by --`option`, cannot be bound, or can
// be reached from other machines and is_insecure does not say that this is meant.
void serving_check(const struct options *options, const struct serving_endpoints *self,
                   const char *option, bool is_insecure);

// serving_say_cannot_bind says why the errno of a bind was what it was.
void serving_say_cannot_bind(const char *program, const char *endpoint, int error);

#endif
