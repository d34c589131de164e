// status.c - the texts of the library's status codes.

#include <galleon/status.h>

const char *
galleon_strerror(int status)
{
    switch (status) {
#define X(name, value, text)                                                                       \
    case name:                                                                                     \
        return text;
        GALLEON_STATUS_MAP(X)
#undef X
    default:
        return "no status of this library";
    }
}
