// endpoints.c - cut at the commas, look at what is left.

#include "endpoints.h"

#include <errno.h>
#include <stdlib.h>

enum { PORT_MAX = 65535 };

// is_port: one to five digits, of a number that a port can be. A server's may be any that
// is free: 0, or *.
static bool
is_port(const char *text, bool may_be_any)
{
    if (may_be_any && strcmp(text, "*") == 0)
        return true;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= PORT_MAX && (port > 0 || may_be_any);
}

// is_host: there is one, and colons stand between brackets only: in tcp://::1:2 nobody
// knows which is the port's.
static bool
is_host(const char *text, size_t size)
{
    if (size == 0)
        return false;
    return text[0] == '[' ? size > 2 && text[size - 1] == ']' : memchr(text, ':', size) == NULL;
}

static bool
is_address(const char *text, bool may_be_any)
{
    const char *port = strrchr(text, ':');
    return port != NULL && is_host(text, (size_t)(port - text)) && is_port(port + 1, may_be_any);
}

// address_of is what follows tcp://; NULL where the endpoint is another transport's.
static const char *
address_of(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", 6) == 0 ? endpoint + 6 : NULL;
}

static bool
has_transport(const char *text)
{
    const char *colon = strstr(text, "://");
    return colon != NULL && colon > text && colon[3] != '\0';
}

// is_connectable finds the mistakes that libzmq would only tell when it connects, or never
// (of a port it takes the last 16 bits); what else is wrong shows as a broker that cannot
// be reached.
static bool
is_connectable(const char *text)
{
    const char *address = address_of(text);
    if (address == NULL)
        return has_transport(text);
    // Our own end of the connection may stand in front.
    const char *own_end = strrchr(address, ';');
    return is_address(own_end == NULL ? address : own_end + 1, false);
}

bool
endpoints_is_bindable(const char *text)
{
    const char *address = address_of(text);
    if (address == NULL)
        return has_transport(text);
    // Where there is a semicolon libzmq binds what stands behind it.
    return strpbrk(address, ";,") == NULL && is_address(address, true);
}

// is_loopback: digits and full stops alone, or it could be a name that begins like a number.
static bool
is_loopback(const char *host, size_t size)
{
    static const char ipv6[] = "[::1]";
    if (size == strlen(ipv6) && memcmp(host, ipv6, size) == 0)
        return true;
    return size > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size;
}

bool
endpoints_is_local(const char *text)
{
    const char *address = address_of(text);
    if (address == NULL)
        return strncmp(text, "ipc://", 6) == 0 && text[6] != '\0';
    const char *port = strrchr(address, ':');
    return port != NULL && is_loopback(address, (size_t)(port - address));
}

bool
endpoints_is_ipv6(const char *text)
{
    const char *address = address_of(text);
    return address != NULL && strchr(address, '[') != NULL;
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
        if (self->count == ENDPOINTS_MAX || !is_connectable(text)) {
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
