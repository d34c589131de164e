// endpoints.c - cut at the commas, look at what is left.

#include "endpoints.h"

#include <errno.h>
#include <stdlib.h>

// is_port: one to five digits.
static bool
is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 5 && text[digits] == '\0';
}

// looks_right finds the mistakes that libzmq would only tell when it connects; what
// else is wrong shows as a broker that cannot be reached.
static bool
looks_right(const char *text)
{
    const char *colon = strstr(text, "://");
    if (colon == NULL || colon == text || colon[3] == '\0')
        return false;
    if (strncmp(text, "tcp://", 6) != 0)
        return true;
    const char *port = strrchr(text + 6, ':');
    return port != NULL && port > text + 6 && is_port(port + 1);
}

// trim cuts blanks off both ends, in place.
static char *
trim(char *text)
{
    text += strspn(text, " \t");
    size_t size = strlen(text);
    while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    text[size] = '\0';
    return text;
}

bool
endpoints_init(struct endpoints *self, const char *list)
{
    *self = (struct endpoints){0};
    self->memory = strdup(list);
    if (self->memory == NULL)
        return false;
    char *rest = self->memory;
    while (rest != NULL) {
        char *text = trim(strsep(&rest, ","));
        if (self->count == ENDPOINTS_MAX || !looks_right(text)) {
            endpoints_release(self);
            errno = EINVAL;
            return false;
        }
        self->texts[self->count] = text;
        self->names[self->count++] = view_of(text, strlen(text));
    }
    return true;
}

void
endpoints_release(struct endpoints *self)
{
    free(self->memory);
    *self = (struct endpoints){0};
}
