// consumer.c - a program of somebody else, built against an installed Galleon.
//
// It links something of each kind: a text, the clock, a plain value and an
// object with a socket.

#include <galleon.h>

#include <stdio.h>
#include <string.h>

int
main(void)
{
    heartbeat_t heartbeat;
    heartbeat_init(&heartbeat, 1000, 3, galleon_now_ns());
    if (heartbeat_deadline(&heartbeat) == 0 || strlen(galleon_strerror(GALLEON_TIMED_OUT)) == 0)
        return 1;
    mdp_client_t *client = mdp_client_new("inproc://nobody", NULL);
    if (client == NULL)
        return 1;
    mdp_client_destroy(&client);
    puts("consumer: galleon works");
    return client == NULL ? 0 : 1;
}
