// fault_proxy.c - one thread, one poll, and for each direction a queue of what was read and when.
//
// What is not wanted now is not polled for: a stalled direction is left in the kernel's buffers,
// as on a link that is down, and goes on where it stopped.

#include "fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <galleon/status.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    CHUNKS = 32, // of one direction, read and not written yet
    CHUNK_BYTES = 4096,
    REST_MS = 1000
};

struct chunk {
    uint64_t due_ns;
    size_t size;
    size_t written;
    uint8_t bytes[CHUNK_BYTES];
};

// One direction of a connection.
struct flow {
    struct chunk chunks[CHUNKS];
    size_t first;
    size_t count;
    bool has_ended; // its reader has seen the end
    bool is_shut;   // and its writer has passed it on
};

enum { FORWARD, BACK, WAYS };

// fds[FORWARD] is the client's end, which flow FORWARD is read from.
struct connection {
    int fds[WAYS];
    struct flow flows[WAYS];
};

struct fault_proxy {
    struct sockaddr_in server;
    char endpoint[64];
    int listen_fd;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t mutex; // over all below
    bool is_over;
    uint64_t changes; // from outside
    struct fault_proxy_faults faults;
    struct connection *connections[CONNECTIONS_MAX];
    size_t connection_count;
};

// ---- connections ----------------------------------------------------------------------------

// reset closes so that the other end sees an error, not an end: what is in the kernel's buffers
// goes too.
static void
reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

// drop closes both ends, in order where both have said all they had to say.
static void
drop(struct fault_proxy *self, size_t at)
{
    struct connection *connection = self->connections[at];
    bool is_at_its_end = connection->flows[FORWARD].is_shut && connection->flows[BACK].is_shut;
    for (int way = 0; way < WAYS; way++) {
        if (is_at_its_end)
            close(connection->fds[way]);
        else
            reset(connection->fds[way]);
    }
    free(connection);
    self->connections[at] = self->connections[--self->connection_count];
}

static int
connect_server(const struct fault_proxy *self)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *address = (const struct sockaddr *)&self->server;
    if (fd < 0 || connect(fd, address, sizeof self->server) == 0)
        return fd; // on loopback it is there at once, or refused
    close(fd);
    return -1;
}

static void
add(struct fault_proxy *self, int client_fd)
{
    const int on = 1;
    bool is_taken = !self->faults.refuses && self->connection_count < CONNECTIONS_MAX;
    int server_fd = is_taken ? connect_server(self) : -1;
    struct connection *connection = server_fd < 0 ? NULL : calloc(1, sizeof *connection);
    if (connection == NULL) {
        reset(client_fd);
        if (server_fd >= 0)
            reset(server_fd);
        return;
    }
    connection->fds[FORWARD] = client_fd;
    connection->fds[BACK] = server_fd;
    setsockopt(client_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    self->connections[self->connection_count++] = connection;
}

// ---- bytes ------------------------------------------------------------------------------------

static bool
is_stalled(const struct fault_proxy *self, int way)
{
    return way == FORWARD ? self->faults.stalls_forward : self->faults.stalls_back;
}

static bool
wants_to_read(const struct fault_proxy *self, const struct flow *flow, int way)
{
    return !is_stalled(self, way) && !flow->has_ended && flow->count < CHUNKS;
}

// due_ns is when the flow has something to write, UINT64_MAX where it has not.
static uint64_t
due_ns(const struct fault_proxy *self, const struct flow *flow, int way)
{
    if (is_stalled(self, way))
        return UINT64_MAX;
    if (flow->count > 0)
        return flow->chunks[flow->first].due_ns;
    return flow->has_ended && !flow->is_shut ? 0 : UINT64_MAX;
}

// take reads a chunk; false: the connection is broken.
static bool
take(const struct fault_proxy *self, struct flow *flow, int fd)
{
    struct chunk *chunk = &flow->chunks[(flow->first + flow->count) % CHUNKS];
    ssize_t size = recv(fd, chunk->bytes, CHUNK_BYTES, MSG_DONTWAIT);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    if (size == 0) {
        flow->has_ended = true;
        return true;
    }
    chunk->size = (size_t)size;
    chunk->written = 0;
    chunk->due_ns = galleon_now_ns() + self->faults.delay_ms * 1000000ull;
    flow->count++;
    return true;
}

// give writes what the socket takes of the first chunk, or passes on the end; false: the
// connection is broken.
static bool
give(struct flow *flow, int fd)
{
    if (flow->count == 0) {
        flow->is_shut = true;
        return shutdown(fd, SHUT_WR) == 0;
    }
    struct chunk *chunk = &flow->chunks[flow->first];
    size_t left = chunk->size - chunk->written;
    ssize_t size = send(fd, chunk->bytes + chunk->written, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    chunk->written += (size_t)size;
    if (chunk->written == chunk->size) {
        flow->first = (flow->first + 1) % CHUNKS;
        flow->count--;
    }
    return true;
}

// ---- the loop ---------------------------------------------------------------------------------

// ask fills in what to wait for at both ends of a connection, and lowers *next_ns_p to when it
// has something late to write.
static void
ask(const struct fault_proxy *self, const struct connection *connection, struct pollfd items[WAYS],
    uint64_t now_ns, uint64_t *next_ns_p)
{
    for (int way = 0; way < WAYS; way++) {
        uint64_t other_due_ns = due_ns(self, &connection->flows[!way], !way);
        short events = 0;
        if (wants_to_read(self, &connection->flows[way], way))
            events |= POLLIN;
        if (other_due_ns <= now_ns)
            events |= POLLOUT;
        else if (other_due_ns < *next_ns_p)
            *next_ns_p = other_due_ns;
        // Without an event poll would still tell of an error, again and again.
        items[way] =
            (struct pollfd){.fd = events == 0 ? -1 : connection->fds[way], .events = events};
    }
}

// serve does what can be done at once; false: the connection is over.
static bool
serve(const struct fault_proxy *self, struct connection *connection,
      const struct pollfd items[WAYS], uint64_t now_ns)
{
    for (int way = 0; way < WAYS; way++) {
        struct flow *flow = &connection->flows[way];
        struct flow *other = &connection->flows[!way];
        bool has_input = items[way].revents & (POLLIN | POLLHUP | POLLERR);
        if (has_input && wants_to_read(self, flow, way) && !take(self, flow, connection->fds[way]))
            return false;
        bool has_room = items[way].revents & (POLLOUT | POLLHUP | POLLERR);
        if (has_room && due_ns(self, other, !way) <= now_ns && !give(other, connection->fds[way]))
            return false;
    }
    return !connection->flows[FORWARD].is_shut || !connection->flows[BACK].is_shut;
}

static void
serve_all(struct fault_proxy *self, const struct pollfd *items)
{
    uint64_t now_ns = galleon_now_ns();
    for (size_t i = self->connection_count; i-- > 0;)
        if (!serve(self, self->connections[i], &items[WAYS * i], now_ns))
            drop(self, i);
}

// accept_one takes a connection, where one waits.
static void
accept_one(struct fault_proxy *self)
{
    int fd = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        add(self, fd);
}

static void *
run(void *argument)
{
    struct fault_proxy *self = argument;
    enum { LISTEN, WAKE, FIRST };
    struct pollfd items[FIRST + WAYS * CONNECTIONS_MAX];
    pthread_mutex_lock(&self->mutex);
    while (!self->is_over) {
        uint64_t now_ns = galleon_now_ns();
        uint64_t next_ns = now_ns + REST_MS * 1000000ull;
        size_t count = self->connection_count;
        uint64_t changes = self->changes;
        items[LISTEN] = (struct pollfd){.fd = self->listen_fd, .events = POLLIN};
        items[WAKE] = (struct pollfd){.fd = self->wake_fd, .events = POLLIN};
        for (size_t i = 0; i < count; i++)
            ask(self, self->connections[i], &items[FIRST + WAYS * i], now_ns, &next_ns);
        int wait_ms = (int)((next_ns - now_ns + 999999) / 1000000);
        pthread_mutex_unlock(&self->mutex);
        poll(items, FIRST + WAYS * count, wait_ms);
        pthread_mutex_lock(&self->mutex);
        uint64_t times;
        (void)!read(self->wake_fd, &times, sizeof times);
        if (self->changes != changes)
            continue; // what was waited for may hold no more
        serve_all(self, &items[FIRST]);
        if (items[LISTEN].revents != 0)
            accept_one(self);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

// ---- from outside -------------------------------------------------------------------------------

static bool
read_server(struct fault_proxy *self, const char *server)
{
    unsigned port;
    char address[64];
    self->server.sin_family = AF_INET;
    if (sscanf(server, "tcp://%63[0-9.]:%5u", address, &port) != 2 || port == 0 || port > 65535 ||
        inet_pton(AF_INET, address, &self->server.sin_addr) != 1) {
        errno = EINVAL;
        return false;
    }
    self->server.sin_port = htons((uint16_t)port);
    return true;
}

static bool
listen_on_loopback(struct fault_proxy *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    self->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->listen_fd < 0 ||
        bind(self->listen_fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(self->listen_fd, CONNECTIONS_MAX) != 0 ||
        getsockname(self->listen_fd, (struct sockaddr *)&address, &size) != 0)
        return false;
    snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%u",
             (unsigned)ntohs(address.sin_port));
    return true;
}

static void
release(struct fault_proxy *self)
{
    int error = errno;
    if (self->listen_fd >= 0)
        close(self->listen_fd);
    if (self->wake_fd >= 0)
        close(self->wake_fd);
    pthread_mutex_destroy(&self->mutex);
    free(self);
    errno = error;
}

struct fault_proxy *
fault_proxy_new(const char *server)
{
    struct fault_proxy *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->listen_fd = -1;
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&self->mutex, NULL);
    bool is_well = self->wake_fd >= 0 && read_server(self, server) && listen_on_loopback(self);
    if (is_well) {
        errno = pthread_create(&self->thread, NULL, run, self);
        is_well = errno == 0;
    }
    if (is_well)
        return self;
    release(self);
    return NULL;
}

// unlock also wakes the thread, which has to look at everything again.
static void
unlock(struct fault_proxy *self)
{
    const uint64_t one = 1;
    self->changes++;
    (void)!write(self->wake_fd, &one, sizeof one);
    pthread_mutex_unlock(&self->mutex);
}

void
fault_proxy_destroy(struct fault_proxy **self_p)
{
    struct fault_proxy *self = *self_p;
    if (self == NULL)
        return;
    *self_p = NULL;
    pthread_mutex_lock(&self->mutex);
    self->is_over = true;
    unlock(self);
    pthread_join(self->thread, NULL);
    while (self->connection_count > 0)
        drop(self, self->connection_count - 1);
    release(self);
}

const char *
fault_proxy_endpoint(const struct fault_proxy *self)
{
    return self->endpoint;
}

void
fault_proxy_set(struct fault_proxy *self, const struct fault_proxy_faults *faults)
{
    pthread_mutex_lock(&self->mutex);
    self->faults = *faults;
    unlock(self);
}

void
fault_proxy_cut(struct fault_proxy *self)
{
    pthread_mutex_lock(&self->mutex);
    while (self->connection_count > 0)
        drop(self, self->connection_count - 1);
    unlock(self);
}

size_t
fault_proxy_connections(struct fault_proxy *self)
{
    pthread_mutex_lock(&self->mutex);
    size_t count = self->connection_count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}
