// monitor.c - a PAIR at a name of its own.

#include "monitor.h"

#include "sockets.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

void *
monitor_open(void *handle, int events)
{
    static atomic_uint number;
    char name[64];
    snprintf(name, sizeof name, "inproc://galleon-monitor-%u", atomic_fetch_add(&number, 1));
    if (zmq_socket_monitor(handle, name, events) != 0)
        return NULL;
    void *monitor = sockets_new(ZMQ_PAIR);
    if (monitor == NULL)
        return NULL;
    // libzmq's I/O thread waits where its events find no room.
    sockets_set(monitor, ZMQ_RCVHWM, 0);
    sockets_set(monitor, ZMQ_LINGER, 0);
    if (zmq_connect(monitor, name) != 0)
        sockets_close(&monitor);
    return monitor;
}

void
monitor_close(void *handle, void **monitor_p)
{
    // First the writer of the events, then their reader: without a reader it would wait.
    zmq_socket_monitor(handle, NULL, 0);
    sockets_close(monitor_p);
}

// An event is a number of 16 bits and its value, and an address in a second frame.
uint16_t
monitor_next(void *monitor)
{
    uint16_t number = 0;
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, monitor, ZMQ_DONTWAIT) >= (int)sizeof number)
        memcpy(&number, zmq_msg_data(&message), sizeof number);
    while (zmq_msg_more(&message) && zmq_msg_recv(&message, monitor, ZMQ_DONTWAIT) >= 0)
        continue;
    zmq_msg_close(&message);
    return number;
}
