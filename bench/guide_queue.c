// guide_queue.c - a queue that does what the Guide's ppqueue and spqueue do, to compare with.
//
// Written from RFC 6 and docs/protocol/pirates.md, in the manner of the Guide: czmq messages,
// a list of workers that is searched by a text made of each routing id, at most one message of
// workers and one of clients in a turn, and a poll before each. A request is kept by nobody:
// the frontend is read while a worker is ready.
//
// Usage: guide_queue ppp|sp CLIENT-ENDPOINT WORKER-ENDPOINT

#include <czmq.h>

enum { HEARTBEAT_MS = 1000, LIVENESS = 3 };

struct worker {
    zframe_t *id;
    char *id_text; // what it is searched by
    int64_t expiry_ms;
};

struct queue {
    bool is_paranoid;
    zsock_t *front;
    zsock_t *back;
    zlist_t *workers; // ready, the one that waited longest first
    int64_t beat_ms;
};

static void
worker_destroy(struct worker **self_p)
{
    zframe_destroy(&(*self_p)->id);
    free((*self_p)->id_text);
    free(*self_p);
    *self_p = NULL;
}

// find returns the worker of that text, NULL where it is not ready.
static struct worker *
find(const struct queue *self, const char *id_text)
{
    struct worker *worker = zlist_first(self->workers);
    while (worker != NULL && strcmp(worker->id_text, id_text) != 0)
        worker = zlist_next(self->workers);
    return worker;
}

// make_ready puts a worker at the end. To a simple queue it may be there already.
static void
make_ready(struct queue *self, zframe_t **id_p)
{
    struct worker *worker = calloc(1, sizeof *worker);
    assert(worker != NULL);
    worker->id = *id_p;
    *id_p = NULL;
    if (self->is_paranoid) {
        worker->id_text = zframe_strhex(worker->id);
        worker->expiry_ms = zclock_mono() + LIVENESS * HEARTBEAT_MS;
        struct worker *before = find(self, worker->id_text);
        if (before != NULL) {
            zlist_remove(self->workers, before);
            worker_destroy(&before);
        }
    }
    zlist_append(self->workers, worker);
}

static bool
is_control(zmsg_t *message)
{
    zframe_t *frame = zmsg_first(message);
    return frame != NULL && zframe_size(frame) == 1 && zframe_data(frame)[0] <= 2;
}

// on_worker makes it ready whatever it says, and passes an answer on.
static void
on_worker(struct queue *self)
{
    zmsg_t *message = zmsg_recv(self->back);
    if (message == NULL)
        return;
    zframe_t *id = zmsg_pop(message);
    if (!self->is_paranoid) {
        zframe_t *delimiter = zmsg_pop(message);
        zframe_destroy(&delimiter);
    }
    make_ready(self, &id);
    bool is_answer = self->is_paranoid ? zmsg_size(message) > 1 : !is_control(message);
    if (is_answer)
        zmsg_send(&message, self->front);
    zmsg_destroy(&message);
}

// on_client gives a request to the worker that waited longest.
static void
on_client(struct queue *self)
{
    zmsg_t *message = zmsg_recv(self->front);
    if (message == NULL)
        return;
    struct worker *worker = zlist_pop(self->workers);
    if (!self->is_paranoid)
        zmsg_pushmem(message, "", 0);
    zmsg_prepend(message, &worker->id);
    zmsg_send(&message, self->back);
    worker_destroy(&worker);
}

static void
beat(struct queue *self)
{
    for (struct worker *worker = zlist_first(self->workers); worker != NULL;
         worker = zlist_next(self->workers)) {
        zframe_send(&worker->id, self->back, ZFRAME_REUSE + ZFRAME_MORE);
        zframe_t *frame = zframe_new("\002", 1);
        zframe_send(&frame, self->back, 0);
    }
    self->beat_ms = zclock_mono() + HEARTBEAT_MS;
}

// purge stops at the first that is alive: those behind it were heard later.
static void
purge(struct queue *self)
{
    struct worker *worker = zlist_first(self->workers);
    while (worker != NULL && zclock_mono() >= worker->expiry_ms) {
        zlist_remove(self->workers, worker);
        worker_destroy(&worker);
        worker = zlist_first(self->workers);
    }
}

static void
run(struct queue *self)
{
    self->beat_ms = zclock_mono() + HEARTBEAT_MS;
    while (!zsys_interrupted) {
        zmq_pollitem_t items[2] = {{.socket = zsock_resolve(self->back), .events = ZMQ_POLLIN},
                                   {.socket = zsock_resolve(self->front), .events = ZMQ_POLLIN}};
        if (zmq_poll(items, zlist_size(self->workers) > 0 ? 2 : 1, HEARTBEAT_MS) < 0)
            break;
        if (items[0].revents & ZMQ_POLLIN)
            on_worker(self);
        if (items[1].revents & ZMQ_POLLIN && zlist_size(self->workers) > 0)
            on_client(self);
        if (!self->is_paranoid)
            continue;
        if (zclock_mono() >= self->beat_ms)
            beat(self);
        purge(self);
    }
}

// bind_socket makes a ROUTER. Without a high-water mark nothing is dropped unseen.
static zsock_t *
bind_socket(const char *endpoint)
{
    zsock_t *socket = zsock_new(ZMQ_ROUTER);
    zsock_set_sndhwm(socket, 0);
    zsock_set_rcvhwm(socket, 0);
    if (zsock_bind(socket, "%s", endpoint) < 0) {
        fprintf(stderr, "guide_queue: %s: %s\n", endpoint, strerror(errno));
        exit(EXIT_FAILURE);
    }
    return socket;
}

int
main(int argc, char **argv)
{
    if (argc != 4 || (strcmp(argv[1], "ppp") != 0 && strcmp(argv[1], "sp") != 0)) {
        fprintf(stderr, "usage: guide_queue ppp|sp CLIENT-ENDPOINT WORKER-ENDPOINT\n");
        return 2;
    }
    struct queue queue = {.is_paranoid = strcmp(argv[1], "ppp") == 0,
                          .front = bind_socket(argv[2]),
                          .back = bind_socket(argv[3]),
                          .workers = zlist_new()};
    fprintf(stderr, "guide_queue: ready on %s %s\n", zsock_endpoint(queue.front),
            zsock_endpoint(queue.back));
    run(&queue);
    for (struct worker *worker; (worker = zlist_pop(queue.workers)) != NULL;)
        worker_destroy(&worker);
    zlist_destroy(&queue.workers);
    zsock_destroy(&queue.front);
    zsock_destroy(&queue.back);
    return EXIT_SUCCESS;
}
