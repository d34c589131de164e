// durable_load.c - submits with keys until its input ends, and then wants every answer.
//
//     durable_load BROKER SERVICE
//
// What was not acknowledged is submitted again under its key, until it is. Each key has to get
// one id. At the end every id that was acknowledged has to have the answer to its request. The
// last line says how many there were; the exit code is 1 where something was lost or wrong.

#include <galleon/titanic_client.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS_MAX = 1000000, OPEN_MAX = 64, ANSWER_MS = 60000, PAUSE_MS = 5, PACE_MS = 1 };

struct request {
    bool is_acknowledged;
    titanic_id_t id;
};

static struct request requests[REQUESTS_MAX];
static uint32_t count;               // numbers in use
static uint32_t again[OPEN_MAX * 4]; // numbers to be submitted again
static size_t again_count;
static uint64_t open_numbers[OPEN_MAX]; // the client's, of what is out
static uint32_t open_requests[OPEN_MAX];
static size_t open_count;
static uint64_t resubmitted, wrong;

static bool
has_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

static bool
submit(titanic_client_t *client, const char *service, uint32_t number)
{
    char key[32];
    snprintf(key, sizeof key, "key-%u", number);
    const titanic_submit_options_t options = {.idempotency_key = key, .attempts = 1000};
    zmsg_t *body = zmsg_new();
    zmsg_addstrf(body, "request %u", number);
    uint64_t name;
    if (titanic_client_send(client, service, &body, &options, &name) != GALLEON_OK)
        return false;
    open_numbers[open_count] = name;
    open_requests[open_count++] = number;
    return true;
}

static void
acknowledge(uint32_t number, const titanic_id_t *id)
{
    struct request *request = &requests[number];
    if (request->is_acknowledged && strcmp(request->id.text, id->text) != 0) {
        fprintf(stderr, "request %u has two ids\n", number);
        wrong++;
    }
    // Now and then as if the acknowledgement had been lost.
    if (!request->is_acknowledged && number % 37 == 0) {
        again[again_count++] = number;
        resubmitted++;
    }
    request->is_acknowledged = true;
    request->id = *id;
}

static void
receive(titanic_client_t *client)
{
    uint64_t name;
    titanic_id_t id;
    int result = titanic_client_recv(client, &name, &id);
    for (size_t at = 0; at < open_count; at++) {
        if (open_numbers[at] != name)
            continue;
        uint32_t number = open_requests[at];
        open_count--;
        open_numbers[at] = open_numbers[open_count];
        open_requests[at] = open_requests[open_count];
        if (result == GALLEON_OK) {
            acknowledge(number, &id);
        } else if (result == GALLEON_REFUSED) {
            fprintf(stderr, "request %u: %s\n", number, titanic_client_status_text(client));
            wrong++;
        } else {
            again[again_count++] = number;
            resubmitted++;
            zclock_sleep(PAUSE_MS);
        }
        return;
    }
}

static void
load(titanic_client_t *client, const char *service)
{
    bool is_ending = false;
    while (!is_ending || again_count > 0 || open_count > 0) {
        is_ending = is_ending || has_ended() || count == REQUESTS_MAX;
        while (open_count < OPEN_MAX && again_count > 0) {
            if (!submit(client, service, again[again_count - 1]))
                break;
            again_count--;
        }
        while (!is_ending && open_count < OPEN_MAX && count < REQUESTS_MAX) {
            if (!submit(client, service, count))
                break;
            count++;
            zclock_sleep(PACE_MS); // the worker syncs each of them
        }
        if (open_count > 0)
            receive(client);
    }
}

static void
check(titanic_client_t *client, uint32_t number)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "done: request %u", number);
    zmsg_t *reply = NULL;
    int result = titanic_client_wait(client, &requests[number].id, ANSWER_MS, &reply);
    char *text = reply != NULL ? zmsg_popstr(reply) : NULL;
    if (result != GALLEON_OK || text == NULL || strcmp(text, wanted) != 0) {
        fprintf(stderr, "request %u (%s): result %d, \"%s\"\n", number, requests[number].id.text,
                result, text != NULL ? text : "");
        wrong++;
    }
    zstr_free(&text);
    zmsg_destroy(&reply);
}

int
main(int words, char **word)
{
    if (words != 3)
        return 2;
    const mdp_client_options_t options = {.timeout_ms = 1000, .attempts = 1, .window = OPEN_MAX};
    titanic_client_t *client = titanic_client_new(word[1], &options);
    if (client == NULL)
        return 2;
    load(client, word[2]);
    for (uint32_t number = 0; number < count; number++)
        check(client, number);
    titanic_client_destroy(&client);
    printf("%u acknowledged, %llu submitted again, %llu wrong\n", count,
           (unsigned long long)resubmitted, (unsigned long long)wrong);
    return wrong == 0 ? 0 : 1;
}
