// drill_worker.c - any number of workers in one thread, which write down what they run.
//
// A worker is as single-threaded as its application: while that works, or hangs, nothing of the
// library runs. So a drill's worker that holds its request looks to the broker as any
// application that is busy.

#include "drill_worker.h"

#include "drill_job.h"
#include "drill_journal.h"
#include "options.h"
#include "process.h"
#include "text.h"
#include "wait.h"

#include <galleon/mdp_client.h>
#include <galleon/mdp_worker.h>
#include <galleon/pirate_worker.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum { WORKERS_MAX = 1000, REST_MS_MAX = 1000, HOLD_MS_MAX = 120000 };

struct crew {
    struct drill_journal *journal;
    uint32_t first; // number of workers[0]
    uint32_t count;
    mdp_dialect_t dialect;
    int epoll_fd;
    mdp_worker_t *workers[WORKERS_MAX];
};

// epoch_of is the number in the field "epoch", PAIR:NUMBER; 0 where there is none.
static uint64_t
epoch_of(const mdp_request_t *request)
{
    const char *text = mdp_request_field(request, "epoch");
    const char *colon = text == NULL ? NULL : strchr(text, ':');
    return colon == NULL ? 0 : strtoull(colon + 1, NULL, 10);
}

static uint64_t
number_of(const char *text)
{
    uint64_t number = 0;
    (void)text_parse_number(view_of(text, strlen(text)), &number);
    return number;
}

static void
interrupt(void)
{
    __atomic_store_n(&zsys_interrupted, 1, __ATOMIC_RELAXED);
}

// ---- work ---------------------------------------------------------------------------------

// hold keeps the request until the drill says so, as an application that hangs.
static void
hold(struct drill_journal *journal, uint32_t run)
{
    uint32_t nobody = 0;
    uint64_t end_ns = galleon_now_ns() + HOLD_MS_MAX * 1000000ull;
    if (!atomic_compare_exchange_strong(&journal->holder, &nobody, run + 1))
        return;
    while (!atomic_load(&journal->is_released) && galleon_now_ns() < end_ns)
        poll(NULL, 0, 1);
}

// do_job does what a request asks for, and takes its body; NULL where it is no job of a drill.
static zmsg_t *
do_job(struct drill_journal *journal, uint32_t worker, uint32_t attempt, uint64_t epoch,
       zmsg_t *body)
{
    zframe_t *frame = body == NULL ? NULL : zmsg_first(body);
    struct drill_job job;
    bool is_job = frame != NULL && zframe_size(frame) == sizeof job;
    if (is_job)
        memcpy(&job, zframe_data(frame), sizeof job);
    zmsg_destroy(&body);
    if (!is_job)
        return NULL;
    struct drill_answer answer = {.worker = worker, .attempt = attempt, .epoch = epoch};
    uint32_t run = drill_journal_begin(journal, job.key, worker, attempt, epoch);
    if (job.may_hold)
        hold(journal, run);
    if (job.work_ms > 0)
        poll(NULL, 0, (int)job.work_ms);
    drill_job_answer(&job, &answer);
    drill_journal_end(journal, run);
    zmsg_t *reply = zmsg_new();
    zmsg_addmem(reply, &answer, sizeof answer);
    return reply;
}

static void
work(struct crew *self, uint32_t worker, mdp_request_t *request)
{
    zmsg_t *reply = do_job(self->journal, worker, mdp_request_attempt(request), epoch_of(request),
                           mdp_request_body(request));
    if (reply != NULL)
        mdp_request_reply(&request, &reply);
    else
        mdp_request_fail(&request, MDP_MALFORMED, "no job of a drill");
}

static void
count_lost(void *context, uint32_t answers)
{
    struct crew *self = context;
    atomic_fetch_add(&self->journal->answers_lost, answers);
}

// ---- the loop -------------------------------------------------------------------------------

static bool
hire(struct crew *self, const char *endpoint, const char *service, uint32_t heartbeat_ms)
{
    mdp_worker_options_t options = {
        .heartbeat_ms = heartbeat_ms, .dialect = self->dialect, .on_lost = count_lost, .ctx = self};
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < self->count; i++) {
        self->workers[i] = mdp_worker_new(endpoint, service, &options);
        if (self->workers[i] == NULL)
            return false;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, mdp_worker_fd(self->workers[i]), &event) != 0)
            return false;
    }
    return self->epoll_fd >= 0;
}

// pump serves one worker until it has nothing more.
static void
pump(struct crew *self, uint32_t at)
{
    for (;;) {
        mdp_request_t *request;
        mdp_worker_pump_take(self->workers[at], galleon_now_ns(), &request);
        if (request == NULL)
            return;
        work(self, self->first + at, request);
    }
}

// pump_due serves those whose time has come, and returns how long to wait for the next.
static int
pump_due(struct crew *self)
{
    uint64_t now_ns = galleon_now_ns();
    uint64_t next_ns = now_ns + REST_MS_MAX * 1000000ull;
    for (uint32_t i = 0; i < self->count; i++) {
        if (mdp_worker_deadline(self->workers[i]) <= now_ns)
            pump(self, i);
        uint64_t deadline_ns = mdp_worker_deadline(self->workers[i]);
        next_ns = deadline_ns < next_ns ? deadline_ns : next_ns;
    }
    now_ns = galleon_now_ns();
    return next_ns <= now_ns ? 0 : (int)((next_ns - now_ns) / 1000000 + 1);
}

static void
serve(struct crew *self)
{
    struct epoll_event events[64];
    while (!wait_is_interrupted()) {
        int count = epoll_wait(self->epoll_fd, events, 64, pump_due(self));
        for (int i = 0; i < count; i++)
            pump(self, events[i].data.u32);
    }
}

int
drill_worker_main(int argc, char **argv)
{
    static struct crew crew;
    process_init("galleon");
    if (argc != 7 || (crew.count = (uint32_t)number_of(argv[5])) > WORKERS_MAX)
        return EXIT_USAGE;
    crew.first = (uint32_t)number_of(argv[4]);
    crew.dialect = (mdp_dialect_t)number_of(argv[6]);
    if (crew.dialect == MDP_AUTO)
        crew.dialect = MDP_G1;
    crew.journal = drill_journal_open(argv[0]);
    zsys_handler_set(NULL);
    zsys_init();
    zsys_set_max_sockets(0); // as many as the system has
    process_drain_on_signals(interrupt);
    bool is_hired =
        crew.journal != NULL && hire(&crew, argv[1], argv[2], (uint32_t)number_of(argv[3]));
    if (is_hired)
        serve(&crew);
    else
        fprintf(stderr, "galleon: cannot work: %s\n", strerror(errno));
    for (uint32_t i = 0; i < crew.count; i++)
        mdp_worker_destroy(&crew.workers[i]);
    if (crew.epoll_fd >= 0)
        close(crew.epoll_fd);
    drill_journal_close(&crew.journal);
    return is_hired ? EXIT_DONE : EXIT_FAILED;
}

// ---- a worker of a pirate queue --------------------------------------------------------------

static void
count_lost_by_pirate(void *context, uint32_t answers)
{
    struct drill_journal *journal = context;
    atomic_fetch_add(&journal->answers_lost, answers);
}

int
drill_pirate_main(int argc, char **argv)
{
    process_init("galleon");
    if (argc != 4)
        return EXIT_USAGE;
    struct drill_journal *journal = drill_journal_open(argv[0]);
    zsys_handler_set(NULL);
    process_drain_on_signals(interrupt);
    pirate_worker_options_t options = {.heartbeat_ms = (uint32_t)number_of(argv[2]),
                                       .on_lost = count_lost_by_pirate,
                                       .ctx = journal};
    pirate_worker_t *worker = journal == NULL ? NULL : pirate_worker_new(argv[1], &options);
    if (worker == NULL) {
        fprintf(stderr, "galleon: cannot work: %s\n", strerror(errno));
        drill_journal_close(&journal);
        return EXIT_FAILED;
    }
    for (zmsg_t *request; (request = pirate_worker_recv(worker)) != NULL;) {
        zmsg_t *reply = do_job(journal, (uint32_t)number_of(argv[3]), 0, 0, request);
        if (reply != NULL)
            pirate_worker_reply(worker, &reply);
        else
            pirate_worker_fail(worker, "no job of a drill");
    }
    pirate_worker_destroy(&worker);
    drill_journal_close(&journal);
    return EXIT_DONE;
}

// ---- a client that will be killed -------------------------------------------------------------

int
drill_client_main(int argc, char **argv)
{
    process_init("galleon");
    if (argc != 4)
        return EXIT_USAGE;
    zsys_handler_set(NULL);
    process_drain_on_signals(interrupt);
    // Long enough that only the broker's own notice can end what it asked for.
    mdp_client_options_t options = {.timeout_ms = 600000, .attempts = 1, .dialect = MDP_G1};
    mdp_client_t *client = mdp_client_new(argv[0], &options);
    uint64_t open = client == NULL ? 0 : number_of(argv[2]);
    for (uint64_t i = 0; i < open; i++) {
        struct drill_job job = {.key = UINT64_MAX - i, .work_ms = (uint32_t)number_of(argv[3])};
        uint64_t id;
        drill_job_fill(&job);
        zmsg_t *request = zmsg_new();
        zmsg_addmem(request, &job, sizeof job);
        if (mdp_client_send(client, argv[1], &request, NULL, &id) != GALLEON_OK)
            break;
    }
    for (; open > 0 && !wait_is_interrupted(); open--) {
        uint64_t id;
        zmsg_t *reply;
        (void)mdp_client_recv(client, &id, &reply);
        zmsg_destroy(&reply);
    }
    mdp_client_destroy(&client);
    return EXIT_DONE;
}
