// sockets.c - czmq keeps the books, we look at the result.
//
// czmq waits at the end of the process for the sockets it knows of, and counts them. So
// they are made by its own function below zsock_new, which reports a failure.

#include "sockets.h"

#include "must.h"

#include <czmq.h>

void *
sockets_new(int type)
{
    return zsys_socket(type, __FILE__, __LINE__);
}

void
sockets_close(void **handle_p)
{
    void *handle = *handle_p;
    *handle_p = NULL;
    if (handle != NULL)
        zsys_close(handle, __FILE__, __LINE__);
}

void
sockets_set(void *handle, int option, int value)
{
    int rc = zmq_setsockopt(handle, option, &value, sizeof value);
    must(rc == 0);
}

static int
number_of(void *handle, int option, int otherwise)
{
    int value = otherwise;
    size_t size = sizeof value;
    return zmq_getsockopt(handle, option, &value, &size) == 0 ? value : otherwise;
}

int
sockets_fd(void *handle)
{
    return number_of(handle, ZMQ_FD, -1);
}

int
sockets_events(void *handle)
{
    return number_of(handle, ZMQ_EVENTS, 0);
}
