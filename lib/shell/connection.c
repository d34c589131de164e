// connection.c - TCP_INFO, FIONREAD, SO_COOKIE.

#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct broker_connection
connection_of(int fd)
{
    // The system gives a cookie to one socket only, and never again.
    struct broker_connection self = {.number = fd};
    socklen_t size = sizeof self.serial;
    bool is_socket = fd > 0 && getsockopt(fd, SOL_SOCKET, SO_COOKIE, &self.serial, &size) == 0;
    return is_socket ? self : (struct broker_connection){0};
}

bool
connection_is_silent(struct broker_connection self, uint32_t ms)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int unread = 0; // by us: then it is not the peer who is silent
    bool is_silent = getsockopt(self.number, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                     info.tcpi_last_data_recv > ms && ioctl(self.number, FIONREAD, &unread) == 0 &&
                     unread == 0;
    // Asked last: what was learnt is about this socket, whenever it may have been closed.
    return is_silent && connection_of(self.number).serial == self.serial;
}

bool
connection_has_ended(struct broker_connection self)
{
    return self.number != 0 && connection_of(self.number).serial != self.serial;
}
