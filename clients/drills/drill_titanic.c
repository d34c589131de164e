// drill_titanic.c - the drills of durable requests.
//
// One client submits, each request under a key, and repeats whatever is not acknowledged. In
// the middle something is harmed. In the end the answer to every request that was acknowledged
// is asked for, and compared. The client is this thread: the harm comes between two of its
// acknowledgements.

#include "drill.h"

#include "bytes.h"
#include "prng.h"

#include <galleon/titanic_client.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    REQUESTS = 1000,
    WINDOW = 32,
    HARM_AT = 400, // acknowledgements
    ANSWER_MS = 30000,
    REFUSALS = 20,
    BALLAST_BYTES = 256 << 20, // below what is left free at least
    CUT_EVERY = 100,           // acknowledgements, where the power has not gone before
    CUT_TIMEOUT_MS = 400,
    LARGE_BYTES = 12000,
    CUT_CLOSED = 5,   // requests, before a cut
    CUT_REPEATED = 3, // requests, behind one
    TAKING_OVER = 16, // changes and syncs of the files until the first commit
    OPENING = 40,     // changes and syncs of the files while titanic starts
    SERVING = 400     // and while it serves so many requests
};

static const uint64_t ns_per_s = 1000000000;

struct submission {
    uint32_t request;
    uint64_t number; // of the client's; 0: none
};

struct durable {
    struct drill_stage *stage;
    struct drill_load *load;
    titanic_client_t *client;
    struct drill_child *titanic;
    titanic_id_t ids[REQUESTS]; // "": not acknowledged
    bool is_closed[REQUESTS];
    struct submission open[WINDOW];
    uint32_t again[REQUESTS + DRILL_CUTS * CUT_REPEATED]; // to be submitted again
    uint32_t again_count;
    uint32_t acknowledged;
    uint32_t tries;        // submits of no load
    bool has_taken_over;   // this titanic, what the one before had not synced
    bool has_large_bodies; // so that the store's log is full soon, and copied to the database
};

static struct durable durable; // a drill at a time

// begin_load starts the broker. What workers do is accounted for as of one load, which has no
// thread.
static bool
begin_load(struct drill_stage *stage)
{
    durable = (struct durable){.stage = stage, .load = &stage->loads[0]};
    stage->load_count = 1;
    *durable.load = (struct drill_load){.number = 1};
    durable.load->requests = calloc(DRILL_REQUESTS_MAX, sizeof *durable.load->requests);
    if (durable.load->requests == NULL)
        return drill_fail(stage, "out of memory");
    return drill_broker(stage, NULL);
}

static bool
hire(struct drill_stage *stage, uint32_t timeout_ms)
{
    for (uint32_t i = 1; i <= WORKERS; i++)
        if (drill_workers(stage, stage->endpoint, "drill", DRILL_HEARTBEAT_MS, i, 1) == NULL)
            return false;
    mdp_client_options_t options = {.timeout_ms = timeout_ms,
                                    .attempts = 1,
                                    .window = WINDOW,
                                    .dialect = stage->settings.dialect};
    durable.client = titanic_client_new(stage->endpoint, &options);
    if (durable.client == NULL)
        return drill_fail(stage, "out of memory");
    return drill_await_workers(stage, "drill", WORKERS, DRILL_START_MS);
}

// begin starts broker, titanic, which is the first of the stage's children, and workers.
static struct durable *
begin(struct drill_stage *stage, const char *free_bytes_min)
{
    if (!begin_load(stage))
        return NULL;
    durable.titanic = drill_titanic(stage, NULL, free_bytes_min);
    return durable.titanic != NULL && hire(stage, 1000) ? &durable : NULL;
}

static void
end(struct drill_stage *stage)
{
    titanic_client_destroy(&durable.client);
    atomic_store(&stage->loads[0].is_over, true);
}

static struct drill_job
job_of(const struct durable *self, uint32_t request, bool may_hold)
{
    struct drill_job job;
    memset(&job, 0, sizeof job);
    job.key = drill_load_key(self->load, request);
    job.work_ms = 1;
    job.may_hold = may_hold;
    drill_job_fill(&job);
    return job;
}

static int
send_one(struct durable *self, struct submission *place, uint32_t request)
{
    char key[32];
    struct drill_job job = job_of(self, request, false);
    static const uint8_t large[LARGE_BYTES]; // which no worker looks at
    zmsg_t *body = zmsg_new();
    snprintf(key, sizeof key, "drill-%u", request);
    titanic_submit_options_t options = {.idempotency_key = key};
    if (body == NULL || zmsg_addmem(body, &job, sizeof job) != 0)
        return GALLEON_NO_MEMORY;
    if (self->has_large_bodies && zmsg_addmem(body, large, sizeof large) != 0)
        return GALLEON_NO_MEMORY;
    place->request = request;
    if (request >= self->load->sent)
        self->load->sent = request + 1;
    if (self->ids[request].text[0] == '\0')
        self->load->requests[request].result = GALLEON_TIMED_OUT; // until it is answered
    return titanic_client_send(self->client, "drill", &body, &options, &place->number);
}

// acknowledge: a key that was submitted again has the id that it had.
static bool
acknowledge(struct durable *self, uint32_t request, const titanic_id_t *id)
{
    if (self->ids[request].text[0] == '\0')
        self->acknowledged++;
    else if (strcmp(self->ids[request].text, id->text) != 0)
        return drill_fail(self->stage, "one key has two ids: an acknowledged request was lost");
    self->ids[request] = *id;
    return true;
}

// take_one waits for an outcome; what was not acknowledged is to be sent again.
static bool
take_one(struct durable *self)
{
    uint64_t number;
    titanic_id_t id;
    int result = titanic_client_recv(self->client, &number, &id);
    if (result == GALLEON_INTERRUPTED)
        return drill_fail(self->stage, "interrupted");
    for (size_t i = 0; i < WINDOW; i++) {
        if (self->open[i].number != number || number == 0)
            continue;
        self->open[i].number = 0;
        if (result == GALLEON_REFUSED)
            return drill_fail(self->stage, "a submit was refused: %d %s",
                              titanic_client_status(self->client),
                              titanic_client_status_text(self->client));
        if (result != GALLEON_OK) {
            self->again[self->again_count++] = self->open[i].request;
            return true;
        }
        return acknowledge(self, self->open[i].request, &id);
    }
    return true;
}

// fill_window sends what is to be sent again, and then new ones up to `to`.
static uint32_t
fill_window(struct durable *self, uint32_t to)
{
    uint32_t open = 0;
    for (size_t i = 0; i < WINDOW; i++) {
        bool is_free = self->open[i].number == 0;
        if (!is_free || (self->again_count == 0 && self->load->sent >= to)) {
            open += !is_free;
            continue;
        }
        bool is_again = self->again_count > 0;
        uint32_t request = is_again ? self->again[--self->again_count] : self->load->sent;
        if (send_one(self, &self->open[i], request) != GALLEON_OK) {
            self->open[i].number = 0;
            self->again[self->again_count++] = request;
            break;
        }
        open++;
    }
    return open;
}

// submit goes on until so many are acknowledged, of at most `to` that are sent.
static bool
submit(struct durable *self, uint32_t acknowledged, uint32_t to)
{
    uint64_t end_ns = galleon_now_ns() + 60 * ns_per_s;
    while (self->acknowledged < acknowledged) {
        if (fill_window(self, to) > 0 && !take_one(self))
            return false;
        if (galleon_now_ns() > end_ns)
            return drill_fail(self->stage, "%u of %u submits were acknowledged in a minute",
                              self->acknowledged, acknowledged);
    }
    return true;
}

// submit_anew goes on until one is acknowledged that was sent after the harm: more than were open.
static bool
submit_anew(struct durable *self)
{
    return submit(self, self->acknowledged + WINDOW + 1, REQUESTS);
}

// fetch asks for the answer of one request, and compares it.
static bool
fetch(struct durable *self, uint32_t number)
{
    struct drill_request *request = &self->load->requests[number];
    zmsg_t *reply = NULL;
    int result = titanic_client_wait(self->client, &self->ids[number], ANSWER_MS, &reply);
    request->result = result;
    request->ended_ns = galleon_now_ns();
    if (result == GALLEON_UNKNOWN_ID)
        return drill_fail(self->stage, "an acknowledged request is unknown");
    if (result != GALLEON_OK)
        return drill_fail(self->stage, "an acknowledged request is not answered: %s, %s",
                          galleon_strerror(result), titanic_client_status_text(self->client));
    struct drill_job job = job_of(self, number, false);
    struct drill_answer answer;
    zframe_t *frame = zmsg_first(reply);
    request->is_wrong = zmsg_size(reply) != 1 || zframe_size(frame) != sizeof answer;
    if (!request->is_wrong) {
        memcpy(&answer, zframe_data(frame), sizeof answer);
        job.may_hold = request->worker; // see drill_titanic_worker_killed
        request->is_wrong = !drill_job_is_answered_by(&job, &answer);
    }
    zmsg_destroy(&reply);
    return true;
}

static bool
fetch_all(struct durable *self)
{
    for (uint32_t i = 0; i < self->load->sent; i++)
        if (!fetch(self, i))
            return false;
    return true;
}

// see_through has all that is left of the load done and checked.
static bool
see_through(struct durable *self)
{
    return submit(self, REQUESTS, REQUESTS) && fetch_all(self);
}

// ---- the drills ---------------------------------------------------------------------------

void
drill_titanic_killed(struct drill_stage *stage)
{
    struct durable *self = begin(stage, "1");
    if (self != NULL && submit(self, HARM_AT, REQUESTS)) {
        drill_harm(stage);
        if (drill_kill(stage, self->titanic) && drill_titanic(stage, self->titanic, "1") != NULL &&
            submit_anew(self)) {
            drill_recover(stage, galleon_now_ns());
            (void)see_through(self);
        }
    }
    end(stage);
}

void
drill_titanic_broker_restarted(struct drill_stage *stage)
{
    struct durable *self = begin(stage, "1");
    if (self != NULL && submit(self, HARM_AT, REQUESTS)) {
        drill_harm(stage);
        if (drill_kill(stage, &stage->broker) && drill_broker(stage, NULL) && submit_anew(self)) {
            drill_recover(stage, galleon_now_ns());
            (void)see_through(self);
        }
    }
    end(stage);
}

static bool
is_held(struct drill_stage *stage, void *context)
{
    (void)context;
    return atomic_load(&stage->journal->holder) != 0;
}

// hold submits a request whose first worker keeps it; the number of that worker, 0: it is over.
static uint32_t
hold(struct durable *self)
{
    uint32_t number = self->load->sent++;
    struct drill_job job = job_of(self, number, true);
    zmsg_t *body = zmsg_new();
    self->load->requests[number].result = GALLEON_TIMED_OUT;
    self->load->requests[number].worker = 1; // it may be held: the answer says so
    if (body == NULL || zmsg_addmem(body, &job, sizeof job) != 0)
        return 0;
    int result = titanic_client_submit(self->client, "drill", &body, NULL, &self->ids[number]);
    if (result != GALLEON_OK)
        drill_fail(self->stage, "the request to be held: %s", galleon_strerror(result));
    if (result != GALLEON_OK ||
        !drill_until(self->stage, is_held, NULL, DRILL_START_MS, "a worker is busy"))
        return 0;
    self->acknowledged++;
    uint32_t run = atomic_load(&self->stage->journal->holder);
    return self->stage->journal->runs[run - 1].worker;
}

void
drill_titanic_worker_killed(struct drill_stage *stage)
{
    struct durable *self = begin(stage, "1");
    uint32_t held = 0, victim = 0;
    if (self != NULL && submit(self, HARM_AT, HARM_AT)) {
        held = self->load->sent;
        victim = hold(self);
    }
    if (victim > 0) {
        drill_harm(stage);
        // Behind titanic, which is the first.
        if (drill_kill(stage, &stage->children[victim]) && fetch(self, held)) {
            drill_recover(stage, self->load->requests[held].ended_ns);
            (void)see_through(self);
        }
    }
    end(stage);
}

// ---- a full disk ----------------------------------------------------------------------------

static uint64_t
free_bytes(const struct drill_stage *stage)
{
    struct statvfs disk;
    return statvfs(stage->folder, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
}

// fill makes a file that takes the room which titanic is told to leave.
static bool
fill(struct drill_stage *stage, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : posix_fallocate(fd, 0, 2 * (off_t)BALLAST_BYTES);
    if (fd >= 0)
        close(fd);
    return error == 0 || drill_fail(stage, "cannot fill the disk: %s", strerror(error));
}

// until_refused submits new ones until some in a row are refused: they are no load of ours.
static bool
until_refused(struct durable *self, bool is_refused)
{
    uint64_t end_ns = galleon_now_ns() + 15 * ns_per_s;
    for (uint32_t found = 0; found < (is_refused ? REFUSALS : 1);) {
        zmsg_t *body = zmsg_new();
        titanic_id_t id;
        struct drill_job job = job_of(self, DRILL_REQUESTS_MAX + self->tries++, false);
        if (body == NULL || zmsg_addmem(body, &job, sizeof job) != 0)
            return false;
        int result = titanic_client_submit(self->client, "drill", &body, NULL, &id);
        if (result == GALLEON_OK)
            (void)titanic_client_close(self->client, &id);
        found = (result == GALLEON_STORE) == is_refused ? found + 1 : 0;
        if (galleon_now_ns() > end_ns)
            return drill_fail(self->stage, "titanic %s with a disk that is %s",
                              is_refused ? "accepts" : "refuses", is_refused ? "full" : "free");
    }
    return true;
}

// close_some: a close makes room, so it has to work.
static bool
close_some(struct durable *self)
{
    zmsg_t *reply = NULL;
    for (uint32_t i = 0; i < REFUSALS; i++) {
        if (!fetch(self, i))
            return false;
        int result = titanic_client_close(self->client, &self->ids[i]);
        if (result != GALLEON_OK)
            return drill_fail(self->stage, "a close with a full disk: %s",
                              galleon_strerror(result));
        result = titanic_client_fetch(self->client, &self->ids[i], &reply);
        zmsg_destroy(&reply);
        if (result != GALLEON_UNKNOWN_ID)
            return drill_fail(self->stage, "a closed request is still there");
    }
    return true;
}

static bool
fetch_rest(struct durable *self)
{
    for (uint32_t i = REFUSALS; i < self->load->sent; i++)
        if (!fetch(self, i))
            return false;
    return true;
}

void
drill_titanic_disk_full(struct drill_stage *stage)
{
    char least[24], ballast[DRILL_PATH_BYTES];
    uint64_t now_free = free_bytes(stage);
    if (now_free < 4 * (uint64_t)BALLAST_BYTES) {
        drill_fail(stage, "skipped: it takes 1 GiB of room in TMPDIR");
        return;
    }
    snprintf(least, sizeof least, "%llu", (unsigned long long)(now_free - BALLAST_BYTES));
    snprintf(ballast, sizeof ballast, "%.480s/ballast", stage->folder);
    struct durable *self = begin(stage, least);
    bool is_well = self != NULL && submit(self, HARM_AT, HARM_AT) && fill(stage, ballast) &&
                   until_refused(self, true) && close_some(self);
    unlink(ballast);
    drill_harm(stage); // what is to be recovered from is over now
    if (is_well && until_refused(self, false)) {
        drill_recover(stage, galleon_now_ns());
        (void)(submit(self, REQUESTS, REQUESTS) && fetch_rest(self));
    }
    end(stage);
}

// ---- power cuts -----------------------------------------------------------------------------

// What the seed says of one life of titanic: it kills itself at a change or a sync of its files,
// or is killed between two acknowledgements (0). Who has taken over what was not synced ends soon.
static uint64_t
draw_end(struct prng *prng, bool has_taken_over)
{
    if (has_taken_over)
        return 1 + prng_below(prng, TAKING_OVER);
    switch (prng_below(prng, 3)) {
    case 0:
        return 1 + prng_below(prng, OPENING);
    case 1:
        return OPENING + prng_below(prng, SERVING);
    default:
        return 0;
    }
}

// close_few closes requests that were answered: they have to be gone for good.
static bool
close_few(struct durable *self, struct prng *prng)
{
    for (uint32_t i = 0; i < CUT_CLOSED; i++) {
        uint32_t number = (uint32_t)prng_below(prng, self->load->sent);
        if (self->ids[number].text[0] == '\0' || self->is_closed[number])
            continue;
        if (!fetch(self, number))
            return false;
        int result = titanic_client_close(self->client, &self->ids[number]);
        if (result != GALLEON_OK)
            return drill_fail(self->stage, "a close: %s", galleon_strerror(result));
        self->is_closed[number] = true;
    }
    return true;
}

// repeat_few has some requests submitted again that were acknowledged before the cut.
static void
repeat_few(struct durable *self, struct prng *prng)
{
    for (uint32_t i = 0; i < CUT_REPEATED && self->load->sent > 0; i++) {
        uint32_t number = (uint32_t)prng_below(prng, self->load->sent);
        if (self->ids[number].text[0] != '\0' && !self->is_closed[number])
            self->again[self->again_count++] = number;
    }
}

// serve goes on until so many are acknowledged, or titanic has ended. The recovery is the first
// acknowledgement of what was sent after the cut.
static bool
serve(struct durable *self, uint32_t acknowledged, bool is_cut)
{
    uint64_t end_ns = galleon_now_ns() + 60 * ns_per_s;
    uint32_t recovered = self->acknowledged + WINDOW + 1;
    while (self->acknowledged < acknowledged && !drill_child_has_ended(self->titanic)) {
        if (fill_window(self, REQUESTS) > 0 && !take_one(self))
            return false;
        if (is_cut && self->acknowledged == recovered)
            drill_recover(self->stage, galleon_now_ns());
        if (galleon_now_ns() > end_ns)
            return drill_fail(self->stage, "%u of %u submits were acknowledged in a minute",
                              self->acknowledged, acknowledged);
    }
    return true;
}

// lose_power ends titanic where it has not ended itself, and then takes what it did not sync. Once
// in a while the power stays: what the next titanic says of that has to survive the cut after it.
static bool
lose_power(struct durable *self, struct prng *prng)
{
    bool is_lost = self->has_taken_over || prng_below(prng, 3) > 0;
    if (!drill_kill(self->stage, self->titanic) ||
        (is_lost && !drill_power_cut(self->stage, prng_next(prng))))
        return false;
    self->has_taken_over = !is_lost;
    drill_harm(self->stage); // what is to be recovered from is over now
    return !is_lost || self->acknowledged == 0 || drill_check_store(self->stage);
}

static bool
live_and_lose_power(struct durable *self, struct prng *prng, uint32_t number)
{
    uint64_t kill_at = draw_end(prng, self->has_taken_over);
    self->titanic = drill_titanic_losing(self->stage, self->titanic, kill_at);
    if (self->titanic == NULL)
        return false;
    repeat_few(self, prng);
    if (!serve(self, (number + 1) * CUT_EVERY, number > 0))
        return false;
    // Who may kill itself before the answer is nobody to ask.
    if (kill_at == 0 && !drill_child_has_ended(self->titanic) && !close_few(self, prng))
        return false;
    return lose_power(self, prng);
}

// fetch_open: what is closed is unknown, all else has its answer.
static bool
fetch_open(struct durable *self)
{
    for (uint32_t i = 0; i < self->load->sent; i++) {
        zmsg_t *reply = NULL;
        if (!self->is_closed[i]) {
            if (!fetch(self, i))
                return false;
            continue;
        }
        int result = titanic_client_fetch(self->client, &self->ids[i], &reply);
        zmsg_destroy(&reply);
        if (result != GALLEON_UNKNOWN_ID)
            return drill_fail(self->stage, "a closed request is there again: %s",
                              galleon_strerror(result));
    }
    return true;
}

static bool
stop_titanic(struct durable *self)
{
    char how[DRILL_ENDING_BYTES];
    if (drill_child_stop(self->titanic, DRILL_START_MS))
        return true;
    drill_child_describe(self->titanic, how);
    return drill_fail(self->stage, "titanic did not end in order, but %s", how);
}

// last_life: what was acknowledged and answered has to survive a cut after an orderly end, too.
static bool
last_life(struct durable *self, struct prng *prng)
{
    struct drill_stage *stage = self->stage;
    self->titanic = drill_titanic_losing(stage, self->titanic, 0);
    return self->titanic != NULL && drill_await_titanic(stage, self->titanic) &&
           serve(self, REQUESTS, true) && fetch_open(self) && stop_titanic(self) &&
           drill_power_cut(stage, prng_next(prng)) && drill_check_store(stage) &&
           drill_titanic(stage, self->titanic, "1") != NULL && fetch_open(self) &&
           stop_titanic(self) && drill_check_store(stage);
}

void
drill_titanic_power_cut(struct drill_stage *stage)
{
    uint8_t key[32] = {0};
    struct prng prng;
    bytes_put64(key, stage->settings.seed);
    prng_init(&prng, key, 0);
    bool is_well = begin_load(stage) && hire(stage, CUT_TIMEOUT_MS);
    durable.has_large_bodies = true;
    for (uint32_t i = 0; is_well && i < DRILL_CUTS; i++)
        is_well = live_and_lose_power(&durable, &prng, i);
    if (is_well && last_life(&durable, &prng) && stage->verdict.gone == 0)
        drill_fail(stage, "nothing was lost in any cut: it shows nothing");
    end(stage);
}
