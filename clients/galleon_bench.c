// galleon_bench.c - galleon bench: how many calls, submissions or durable requests a second.
//
// Each client is a thread with a connection and a window of its own: it sends until the
// window is full, and then one for each answer; of a plain server, one after the other. Times go
// into buckets of 1/32 of a power of two, so that a percentile is right within 3 %.

#include "galleon_json.h"
#include "galleon_tool.h"

#include <galleon/lazy_pirate.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    FINE = 32, // buckets for a power of two
    BUCKETS = 64 * FINE
};

struct run; // the whole benchmark

// What one of them is: a call; a durable request that is accepted; one that is accepted, done,
// and whose answer is fetched; a call of a server without a broker.
enum bench_of { BENCH_CALL, BENCH_SUBMIT, BENCH_DURABLE, BENCH_PLAIN };

enum { WAIT_MS = 60000 };

// A call that is open. It lies at its id, or behind where that is taken.
struct place {
    uint64_t id; // 0: nobody's
    uint64_t started_ns;
    bool is_accepted; // and waits for its answer
};

struct bench_client {
    struct run *run;
    pthread_t thread;
    mdp_client_t *client; // or
    lazy_pirate_t *plain;
    uint64_t quota;       // requests to send; UINT64_MAX: until the time is over
    struct place *places; // of the calls that are open
    uint64_t place_count; // a power of two
    uint64_t sent;
    uint64_t answered;
    uint64_t lost;
    uint64_t max_ns;
    uint64_t buckets[BUCKETS];
    int result; // of the first call that was lost
    int status;
};

struct run {
    struct tool *tool;
    enum bench_of of;
    const char *service;
    const char *asked; // the service that is sent to: this one, or titanic's
    uint8_t *body;
    pthread_barrier_t start;
    uint64_t start_ns;
    uint64_t stop_ns;
};

// ---- times ------------------------------------------------------------------------------

static size_t
bucket_of(uint64_t ns)
{
    if (ns < FINE)
        return (size_t)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    unsigned shift = power - 5; // FINE is 2 to the power of 5
    return (size_t)(shift + 1) * FINE + (size_t)((ns >> shift) - FINE);
}

static uint64_t
bucket_ns(size_t bucket)
{
    if (bucket < FINE)
        return bucket;
    size_t shift = bucket / FINE - 1;
    return (bucket % FINE + FINE) << shift;
}

static uint64_t
percentile_ns(const struct bench_client *sum, double part)
{
    uint64_t wanted = (uint64_t)((double)sum->answered * part);
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += sum->buckets[i];
        if (seen > wanted)
            return bucket_ns(i);
    }
    return sum->max_ns;
}

// ---- one client -----------------------------------------------------------------------

static zmsg_t *
request_of(const struct run *run)
{
    zmsg_t *request = zmsg_new();
    if (run->of == BENCH_SUBMIT || run->of == BENCH_DURABLE)
        zmsg_addstr(request, run->service);
    zmsg_addmem(request, run->body, run->tool->bytes);
    return request;
}

// place_of finds the call of that id, which is open.
static struct place *
place_of(struct bench_client *self, uint64_t home, uint64_t id)
{
    while (self->places[home % self->place_count].id != id)
        home++;
    return &self->places[home % self->place_count];
}

static bool
send_to(struct bench_client *self, const char *service, zmsg_t **request_p, struct place place)
{
    if (mdp_client_send(self->client, service, request_p, NULL, &place.id) != GALLEON_OK)
        return false;
    // From its home on, the first that is nobody's.
    uint64_t home = place.id;
    while (self->places[home % self->place_count].id != 0)
        home++;
    self->places[home % self->place_count] = place;
    return true;
}

static bool
send_one(struct bench_client *self, uint64_t now_ns)
{
    zmsg_t *request = request_of(self->run);
    bool is_sent = send_to(self, self->run->asked, &request, (struct place){.started_ns = now_ns});
    self->sent += is_sent;
    return is_sent;
}

// wait_for asks for the answer of a request that was accepted: [200][id].
static bool
wait_for(struct bench_client *self, zmsg_t *accepted, uint64_t started_ns)
{
    zframe_t *id = zmsg_last(accepted);
    zmsg_t *request = zmsg_new();
    zmsg_addmem(request, zframe_data(id), zframe_size(id));
    zmsg_addstrf(request, "%d", WAIT_MS);
    return send_to(self, "titanic.wait", &request,
                   (struct place){.started_ns = started_ns, .is_accepted = true});
}

static bool
says_200(zmsg_t *reply)
{
    zframe_t *status = zmsg_first(reply);
    return status != NULL && zframe_size(status) == 3 && memcmp(zframe_data(status), "200", 3) == 0;
}

static void
note_loss(struct bench_client *self, int result, int status)
{
    if (self->lost++ > 0)
        return;
    self->result = result == GALLEON_OK ? GALLEON_REFUSED : result;
    self->status = status;
}

static void
note_answer(struct bench_client *self, uint64_t ns)
{
    self->answered++;
    self->buckets[bucket_of(ns)]++;
    if (ns > self->max_ns)
        self->max_ns = ns;
}

// on_answer returns whether that was the end of it.
static bool
on_answer(struct bench_client *self, uint64_t id, int result, zmsg_t *reply, uint64_t now_ns)
{
    struct place *place = place_of(self, id, id);
    uint64_t started_ns = place->started_ns;
    bool is_accepted = place->is_accepted;
    place->id = 0;
    bool is_good = result == GALLEON_OK && (self->run->of == BENCH_CALL || says_200(reply));
    if (is_good && self->run->of == BENCH_DURABLE && !is_accepted &&
        wait_for(self, reply, started_ns))
        return false;
    if (is_good)
        note_answer(self, now_ns - started_ns);
    else
        note_loss(self, result, mdp_client_status(self->client));
    return true;
}

static void *
run_client(void *argument)
{
    struct bench_client *self = argument;
    struct run *run = self->run;
    pthread_barrier_wait(&run->start);
    uint64_t now_ns = galleon_now_ns();
    uint64_t open = 0;
    for (;;) {
        bool is_over = now_ns >= run->stop_ns || self->sent == self->quota;
        while (!is_over && open < run->tool->window && self->sent < self->quota &&
               send_one(self, now_ns))
            open++;
        if (open == 0)
            break;
        uint64_t id;
        zmsg_t *reply;
        int result = mdp_client_recv(self->client, &id, &reply);
        if (result == GALLEON_INTERRUPTED) {
            self->lost += open;
            break;
        }
        now_ns = galleon_now_ns();
        open -= on_answer(self, id, result, reply, now_ns);
        zmsg_destroy(&reply);
    }
    return NULL;
}

static int
call_plain(struct bench_client *self)
{
    zmsg_t *request = request_of(self->run);
    zmsg_t *reply;
    int result = lazy_pirate_call(self->plain, &request, &reply);
    zmsg_destroy(&reply);
    return result;
}

static void *
run_plain(void *argument)
{
    struct bench_client *self = argument;
    pthread_barrier_wait(&self->run->start);
    uint64_t now_ns = galleon_now_ns();
    int result = GALLEON_OK;
    while (now_ns < self->run->stop_ns && self->sent < self->quota &&
           result != GALLEON_INTERRUPTED) {
        uint64_t started_ns = now_ns;
        self->sent++;
        result = call_plain(self);
        now_ns = galleon_now_ns();
        if (result == GALLEON_OK)
            note_answer(self, now_ns - started_ns);
        else
            note_loss(self, result, 0);
    }
    return NULL;
}

// ---- all of them ----------------------------------------------------------------------

// try_service makes one call, so that the connection is there and the service known.
static int
try_service(struct bench_client *self)
{
    struct tool *tool = self->run->tool;
    self->client = tool_connect(tool, tool->brokers);
    zmsg_t *request = request_of(self->run);
    zmsg_t *reply;
    int result = mdp_client_call(self->client, self->run->asked, &request, &reply);
    zmsg_destroy(&reply);
    return result == GALLEON_OK ? EXIT_DONE
                                : tool_explain(tool, self->client, result, self->run->asked);
}

// try_plain does the same with a server.
static int
try_plain(struct bench_client *self)
{
    const struct tool *tool = self->run->tool;
    lazy_pirate_options_t options = {.timeout_ms = tool->client.timeout_ms,
                                     .attempts = tool->client.attempts};
    self->plain = lazy_pirate_new(&tool->endpoints, 1, &options);
    if (self->plain == NULL)
        options_fail(&tool->options, "--endpoint: '%s' is no list of at most 32 endpoints.",
                     tool->endpoints);
    int result = call_plain(self);
    if (result == GALLEON_OK)
        return EXIT_DONE;
    if (result == GALLEON_TIMED_OUT)
        fprintf(stderr, "galleon: no reply from %s.\nIs a server running there?\n",
                tool->endpoints);
    else
        fprintf(stderr, "galleon: %s.\n", galleon_strerror(result));
    if (tool->is_json)
        tool_print_failure(result, 0, "", tool->endpoints);
    return result == GALLEON_TIMED_OUT ? EXIT_TIMED_OUT : EXIT_FAILED;
}

static void
prepare(struct bench_client *self, struct run *run, uint32_t number)
{
    const struct tool *tool = run->tool;
    *self = (struct bench_client){.run = run, .quota = UINT64_MAX, .place_count = 64};
    while (self->place_count < 4 * (uint64_t)tool->window)
        self->place_count *= 2;
    self->places = tool_grown(NULL, self->place_count * sizeof *self->places);
    memset(self->places, 0, self->place_count * sizeof *self->places);
    if (tool->requests > 0)
        self->quota =
            tool->requests / tool->clients + (number < tool->requests % tool->clients ? 1 : 0);
}

static void
add_up(struct bench_client *sum, const struct bench_client *one)
{
    sum->sent += one->sent;
    sum->answered += one->answered;
    sum->lost += one->lost;
    if (one->max_ns > sum->max_ns)
        sum->max_ns = one->max_ns;
    for (size_t i = 0; i < BUCKETS; i++)
        sum->buckets[i] += one->buckets[i];
    if (sum->result == GALLEON_OK) {
        sum->result = one->result;
        sum->status = one->status;
    }
}

// ---- what came of it --------------------------------------------------------------------

static void
print_people(const struct run *run, const struct bench_client *sum, double seconds)
{
    const struct tool *tool = run->tool;
    printf(run->of == BENCH_PLAIN ? "server    %s\n" : "service   %s\n", run->service);
    printf("load      %u client%s, window %u, %zu bytes\n", tool->clients,
           tool->clients == 1 ? "" : "s", tool->window, tool->bytes);
    printf("answers   %llu in %.2f s\n", (unsigned long long)sum->answered, seconds);
    printf("rate      %.0f /s\n", (double)sum->answered / seconds);
    printf("p50       %.3f ms\n", (double)percentile_ns(sum, 0.50) / 1e6);
    printf("p99       %.3f ms\n", (double)percentile_ns(sum, 0.99) / 1e6);
    printf("max       %.3f ms\n", (double)sum->max_ns / 1e6);
    printf("lost      %llu\n", (unsigned long long)sum->lost);
}

static void
add_number(struct json *json, const char *name, uint64_t number)
{
    json_key(json, view_of(name, strlen(name)));
    json_number(json, number);
}

static void
add_real(struct json *json, const char *name, double number)
{
    json_key(json, view_of(name, strlen(name)));
    json_real(json, number);
}

static void
print_json(const struct run *run, const struct bench_client *sum, double seconds)
{
    struct json json = {.out = stdout};
    json_begin(&json, '{');
    json_key(&json, VIEW_LITERAL("service"));
    json_text(&json, view_of(run->service, strlen(run->service)));
    add_number(&json, "clients", run->tool->clients);
    add_number(&json, "window", run->tool->window);
    add_number(&json, "bytes", run->tool->bytes);
    add_number(&json, "answers", sum->answered);
    add_real(&json, "seconds", seconds);
    add_real(&json, "rate", (double)sum->answered / seconds);
    add_real(&json, "p50_ms", (double)percentile_ns(sum, 0.50) / 1e6);
    add_real(&json, "p99_ms", (double)percentile_ns(sum, 0.99) / 1e6);
    add_real(&json, "max_ms", (double)sum->max_ns / 1e6);
    add_number(&json, "lost", sum->lost);
    json_end(&json, '}');
    putchar('\n');
}

static int
report(const struct run *run, const struct bench_client *sum)
{
    double seconds = (double)(galleon_now_ns() - run->start_ns) / 1e9;
    if (run->tool->is_json)
        print_json(run, sum, seconds);
    else
        print_people(run, sum, seconds);
    if (sum->lost == 0)
        return EXIT_DONE;
    if (sum->result != GALLEON_OK)
        fprintf(stderr, "galleon: %llu calls were lost; the first: %s (status %d).\n",
                (unsigned long long)sum->lost, galleon_strerror(sum->result), sum->status);
    return EXIT_FAILED;
}

static void
run_all(struct run *run, struct bench_client *clients, uint32_t count)
{
    void *(*work)(void *) = run->of == BENCH_PLAIN ? run_plain : run_client;
    // The last at the barrier is this thread: it knows when they start.
    pthread_barrier_init(&run->start, NULL, count + 1);
    for (uint32_t i = 0; i < count; i++)
        if (pthread_create(&clients[i].thread, NULL, work, &clients[i]) != 0)
            tool_fail("cannot start %u threads; try fewer --clients", count);
    run->start_ns = galleon_now_ns();
    if (run->tool->requests == 0)
        run->stop_ns = run->start_ns + run->tool->seconds * 1000000000ull;
    pthread_barrier_wait(&run->start);
    for (uint32_t i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    pthread_barrier_destroy(&run->start);
}

static int
bench(struct tool *self, enum bench_of of)
{
    struct run run = {.tool = self,
                      .of = of,
                      .service = of == BENCH_PLAIN ? self->endpoints : self->words[0],
                      .stop_ns = UINT64_MAX};
    run.asked = of == BENCH_SUBMIT || of == BENCH_DURABLE ? "titanic.request" : run.service;
    run.body = tool_grown(NULL, self->bytes + 1);
    memset(run.body, 'x', self->bytes);
    self->client.window = self->window;

    struct bench_client *clients = tool_grown(NULL, self->clients * sizeof *clients);
    struct bench_client *sum = tool_grown(NULL, sizeof *sum);
    *sum = (struct bench_client){0};
    int code = EXIT_DONE;
    uint32_t count = 0;
    while (count < self->clients && code == EXIT_DONE) {
        prepare(&clients[count], &run, count);
        code = of == BENCH_PLAIN ? try_plain(&clients[count]) : try_service(&clients[count]);
        count++;
    }
    if (code == EXIT_DONE) {
        run_all(&run, clients, count);
        for (uint32_t i = 0; i < count; i++)
            add_up(sum, &clients[i]);
        code = report(&run, sum);
    }
    for (uint32_t i = 0; i < count; i++) {
        mdp_client_destroy(&clients[i].client);
        lazy_pirate_destroy(&clients[i].plain);
        free(clients[i].places);
    }
    free(clients);
    free(sum);
    free(run.body);
    return tool_end(code);
}

int
tool_bench_call(struct tool *self)
{
    if (self->endpoints == NULL)
        return bench(self, BENCH_CALL);
    self->window = 1; // a REQ socket knows no other
    return bench(self, BENCH_PLAIN);
}

int
tool_bench_submit(struct tool *self)
{
    return bench(self, BENCH_SUBMIT);
}

int
tool_bench_durable(struct tool *self)
{
    return bench(self, BENCH_DURABLE);
}
