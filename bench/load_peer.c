// load_peer.c - a socket with two buffers, the options, and the line that is printed.

#include "load_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, PRINT_BYTES = 256, BODY_BYTES_MIN = 8, WORKERS_MAX = 64 };

void
peer_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

void *
peer_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL)
        peer_die("out of memory");
    return memory;
}

uint64_t
peer_now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// ---- options ----------------------------------------------------------------------------

static uint32_t
number_of(const char *text, uint32_t min, uint32_t max)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < min || number > max)
        peer_die("%s is no number from %u to %u", text, min, max);
    return (uint32_t)number;
}

void
peer_options_parse(struct peer_options *self, int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, NULL, 'p'},     {"window", 1, NULL, 'w'},
                                            {"body", 1, NULL, 'b'},     {"seconds", 1, NULL, 's'},
                                            {"requests", 1, NULL, 'r'}, {"workers", 1, NULL, 'k'},
                                            {"one", 0, NULL, 'o'},      {NULL, 0, NULL, 0}};
    *self = (struct peer_options){.window = 100, .body_bytes = 100, .seconds = 2, .workers = 4};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            self->port = number_of(optarg, 1, 65535);
        else if (option == 'w')
            self->window = number_of(optarg, 1, PEER_WINDOW_MAX);
        else if (option == 'b')
            self->body_bytes = number_of(optarg, BODY_BYTES_MIN, 1 << 20);
        else if (option == 's')
            self->seconds = number_of(optarg, 1, 3600);
        else if (option == 'r')
            self->requests = number_of(optarg, 1, UINT32_MAX);
        else if (option == 'k')
            self->workers = number_of(optarg, 1, WORKERS_MAX);
        else if (option == 'o')
            self->is_one_statement = true;
        else
            exit(2);
    }
    if (optind + 1 != argc || self->port == 0)
        peer_die("usage: WORK --port N [--window N] [--body BYTES] [--seconds N | --requests N] "
                 "[--workers N] [--one]");
    self->work = argv[optind];
}

// ---- the connection ---------------------------------------------------------------------

void
peer_connect(struct peer *self, const struct peer_options *options)
{
    *self = (struct peer){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (self->fd < 0 || connect(self->fd, (struct sockaddr *)&address, sizeof address) != 0)
        peer_die("port %u: %s", options->port, strerror(errno));
    int yes = 1;
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

void
peer_close(struct peer *self)
{
    close(self->fd);
    free(self->out);
    free(self->in);
}

// room_for makes a buffer of `used` bytes take `count` more.
static void
make_room(uint8_t **buffer, size_t *limit, size_t used, size_t count)
{
    if (used + count <= *limit)
        return;
    *limit = 2 * (used + count);
    *buffer = realloc(*buffer, *limit);
    if (*buffer == NULL)
        peer_die("out of memory");
}

void
peer_put(struct peer *self, const void *bytes, size_t count)
{
    make_room(&self->out, &self->out_limit, self->out_bytes, count);
    memcpy(self->out + self->out_bytes, bytes, count);
    self->out_bytes += count;
}

void
peer_print(struct peer *self, const char *format, ...)
{
    char text[PRINT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= sizeof text)
        peer_die("%s: more than %d bytes", format, PRINT_BYTES);
    peer_put(self, text, (size_t)count);
}

void
peer_flush(struct peer *self)
{
    for (size_t at = 0; at < self->out_bytes;) {
        ssize_t count = write(self->fd, self->out + at, self->out_bytes - at);
        if (count < 0 && errno != EINTR)
            peer_die("write: %s", strerror(errno));
        at += count > 0 ? (size_t)count : 0;
    }
    self->out_bytes = 0;
}

// read_more reads what is there, and waits where nothing is.
static void
read_more(struct peer *self)
{
    if (self->in_from > 0) {
        self->in_bytes -= self->in_from;
        memmove(self->in, self->in + self->in_from, self->in_bytes);
        self->in_from = 0;
    }
    make_room(&self->in, &self->in_limit, self->in_bytes, READ_BYTES);
    ssize_t count = read(self->fd, self->in + self->in_bytes, self->in_limit - self->in_bytes);
    if (count == 0)
        peer_die("the server closed the connection");
    if (count < 0 && errno != EINTR)
        peer_die("read: %s", strerror(errno));
    self->in_bytes += count > 0 ? (size_t)count : 0;
}

bool
peer_has_more(const struct peer *self)
{
    return self->in_from < self->in_bytes;
}

uint8_t *
peer_take(struct peer *self, size_t count)
{
    while (self->in_bytes - self->in_from < count)
        read_more(self);
    self->in_from += count;
    return self->in + self->in_from - count;
}

char *
peer_take_line(struct peer *self)
{
    uint8_t *end;
    size_t seen = 0;
    for (;;) {
        size_t there = self->in_bytes - self->in_from;
        end = there > seen ? memchr(self->in + self->in_from + seen, '\n', there - seen) : NULL;
        if (end != NULL)
            break;
        seen = there;
        read_more(self);
    }
    char *line = (char *)self->in + self->in_from;
    self->in_from = (size_t)(end - self->in) + 1;
    end[end > self->in && end[-1] == '\r' ? -1 : 0] = '\0';
    return line;
}

// ---- the report -------------------------------------------------------------------------

int
peer_report(const struct peer_options *options, const struct peer_result *result)
{
    double seconds = (double)(result->ended_ns - result->began_ns) / 1e9;
    printf("work=%s window=%u body=%u seconds=%.3f requests=%llu rate=%.0f p50_us=%.1f p99_us=%.1f "
           "lost=%llu\n",
           options->work, options->window, options->body_bytes, seconds,
           (unsigned long long)result->done, (double)result->done / seconds,
           (double)load_histogram_at(result->latencies, 0.50) / 1e3,
           (double)load_histogram_at(result->latencies, 0.99) / 1e3,
           (unsigned long long)result->lost);
    return result->lost == 0 && result->done > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
