// serving.c - endpoints to bind, and sentences about those that cannot be.

#include "serving.h"

#include "endpoints.h"

#include <czmq.h>
#include <errno.h>

void
serving_add(const struct options *options, struct serving_endpoints *self, const char *endpoint)
{
    char **list = realloc(self->list, (self->count + 1) * sizeof *list);
    if (list == NULL || (list[self->count] = strdup(endpoint)) == NULL) {
        fprintf(stderr, "%s: out of memory\n", options->program);
        exit(EXIT_FAILED);
    }
    self->list = list;
    self->count++;
}

void
serving_release(struct serving_endpoints *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->list[i]);
    free(self->list);
    *self = (struct serving_endpoints){0};
}

static void
check(const struct options *options, const char *endpoint, const char *option, bool is_insecure)
{
    static const char localhost[] = "tcp://localhost:";
    if (!endpoints_is_bindable(endpoint))
        options_fail(options, "--%s: '%s' is no endpoint; one looks like tcp://127.0.0.1:5555",
                     option, endpoint);
    if (strncmp(endpoint, "inproc://", 9) == 0)
        options_fail(options,
                     "--%s: no other process can connect to '%s'; bind to tcp:// or ipc://", option,
                     endpoint);
    if (strncmp(endpoint, localhost, strlen(localhost)) == 0)
        options_fail(options,
                     "--%s: '%s' has a name where an address is wanted; write tcp://127.0.0.1:%s "
                     "or tcp://[::1]:%s",
                     option, endpoint, endpoint + strlen(localhost), endpoint + strlen(localhost));
    if (!is_insecure && !endpoints_is_local(endpoint))
        options_fail(options,
                     "'%s' can be reached from other machines and nothing is encrypted; "
                     "bind to 127.0.0.1 or [::1], or say --insecure if you mean it",
                     endpoint);
}

void
serving_check(const struct options *options, const struct serving_endpoints *self,
              const char *option, bool is_insecure)
{
    for (size_t i = 0; i < self->count; i++)
        check(options, self->list[i], option, is_insecure);
}

void
serving_say_cannot_bind(const char *program, const char *endpoint, int error)
{
    fprintf(stderr, "%s: cannot bind %s: %s\n", program, endpoint, zmq_strerror(error));
    if (error == ENODEV)
        fprintf(stderr, "Write an address of this machine, or the name of a network interface.\n");
}
