// place.c - endpoints and folders.

#include "place.h"

#include <galleon/status.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const uint64_t bind_ns_max = 20000000000;

void
place_make(struct place *self, const char *transport)
{
    static int number;
    *self = (struct place){0};
    if (strcmp(transport, "ipc") == 0) {
        snprintf(self->folder, sizeof self->folder, "/tmp/test-place-XXXXXX");
        assert_non_null(mkdtemp(self->folder));
        snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/server", self->folder);
    } else if (strcmp(transport, "inproc") == 0) {
        snprintf(self->endpoint, sizeof self->endpoint, "inproc://test-place-%d", number++);
    } else {
        snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:*");
    }
}

void
place_remove(struct place *self)
{
    if (self->folder[0] == '\0')
        return;
    unlink(self->endpoint + strlen("ipc://"));
    rmdir(self->folder);
}

void
place_bind(struct place *self, zsock_t *server)
{
    // The socket before may still be closing.
    uint64_t until_ns = galleon_now_ns() + bind_ns_max;
    while (zsock_bind(server, "%s", self->endpoint) < 0)
        assert_true(galleon_now_ns() < until_ns);
    snprintf(self->endpoint, sizeof self->endpoint, "%s", zsock_endpoint(server));
}
