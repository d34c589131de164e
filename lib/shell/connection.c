// connection.c - TCP_INFO, FIONREAD, SO_COOKIE.

#include "connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
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

static bool
is_loopback_4(struct in_addr address)
{
    return ntohl(address.s_addr) >> 24 == 127;
}

static bool
is_loopback_6(const struct in6_addr *address)
{
    struct in_addr mapped;
    memcpy(&mapped, address->s6_addr + 12, sizeof mapped);
    return IN6_IS_ADDR_LOOPBACK(address) ||
           (IN6_IS_ADDR_V4MAPPED(address) && is_loopback_4(mapped));
}

// is_local_text reads what libzmq writes: an address, or of ipc "localhost", then user, group and
// process behind colons.
static bool
is_local_text(const char *text)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, text, &four) == 1)
        return is_loopback_4(four);
    if (inet_pton(AF_INET6, text, &six) == 1)
        return is_loopback_6(&six);
    return strncmp(text, "localhost:", strlen("localhost:")) == 0;
}

bool
connection_is_local(struct broker_connection self, const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    } peer = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof peer;
    if (self.number == 0 || !is_local_text(address) ||
        getpeername(self.number, &peer.any, &size) != 0)
        return false;
    switch (peer.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return is_loopback_4(peer.four.sin_addr);
    case AF_INET6:
        return is_loopback_6(&peer.six.sin6_addr);
    default:
        return false;
    }
}

bool
connection_has_ended(struct broker_connection self)
{
    return self.number != 0 && connection_of(self.number).serial != self.serial;
}
