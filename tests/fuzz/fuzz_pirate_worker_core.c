// fuzz_pirate_worker_core.c - whatever a queue, the socket and the clock do, the worker keeps
// its word.
//
// The input is a row of actions: the queue sends raw frames, the connection comes and goes, time
// passes, the application takes and answers, the socket refuses. After each step the core is
// audited, and what came out is judged: all cargo is somewhere, READY (or an answer that waited,
// to a simple queue) is the first thing said over a connection and READY is said once, nobody
// beats who works, and each answer is sent once or told of as lost.

#include "must.h"
#include "pirate_worker_core.h"

#include <stdlib.h>

enum { ACTIONS_MAX = 600, FRAMES_MAX = 20, TICKS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct run {
    struct view input;
    struct pirate_worker_config config;
    struct pirate_worker_core *core;
    uint64_t now_ns;
    uint64_t live; // cargo
    bool is_open, is_up, is_refusing, was_held;
    bool has_said; // anything over this connection
    bool is_unsent;
    enum pirate_kind unsent;
    void *unsent_cargo;
    bool is_sent;
    uint64_t taken, answered, replied, lost;
} run;

static uint8_t
next_byte(void)
{
    if (run.input.size == 0)
        return 0;
    uint8_t byte = run.input.data[0];
    run.input = view_skip(run.input, 1);
    return byte;
}

// ---- what comes out ---------------------------------------------------------------------------

static void
unload(void *cargo)
{
    must(cargo == NULL || run.live > 0);
    run.live -= cargo != NULL ? 1 : 0;
    free(cargo);
}

static void
on_send(const struct pirate_worker_effect *effect)
{
    bool is_paranoid = run.config.dialect == PIRATE_PARANOID;
    struct pirate_head head;
    must(run.is_open && run.is_up);
    must(effect->says != PIRATE_HEARTBEAT || (is_paranoid && !run.was_held));
    must(effect->envelope.has_delimiter == !is_paranoid);
    pirate_wire_head_to_queue(&head, run.config.dialect, effect->says, &effect->envelope);
    if (run.is_refusing || run.is_unsent) {
        // At most READY and one answer behind it: the answer comes back first.
        if (!run.is_unsent || effect->says == PIRATE_REPLY) {
            must(run.unsent_cargo == NULL);
            run.unsent_cargo = effect->cargo;
        }
        run.unsent = run.is_unsent ? run.unsent : effect->says;
        run.is_sent = run.is_sent || effect->says == PIRATE_REPLY;
        run.is_unsent = true;
        return;
    }
    // What is refused behind a refused READY was never said.
    must(run.has_said
             ? effect->says != PIRATE_READY
             : effect->says == PIRATE_READY || (!is_paranoid && effect->says == PIRATE_REPLY));
    run.has_said = true;
    run.is_sent = run.is_sent || effect->says == PIRATE_REPLY;
    run.replied += effect->says == PIRATE_REPLY ? 1 : 0;
    unload(effect->cargo);
}

static void
carry_out(const struct pirate_worker_effect *effect)
{
    switch (effect->kind) {
    case PIRATE_WORKER_OPEN:
        must(!run.is_open);
        run.is_open = true;
        run.is_up = run.has_said = false;
        break;
    case PIRATE_WORKER_CLOSE:
        must(run.is_open);
        run.is_open = run.is_up = false;
        break;
    case PIRATE_WORKER_SEND:
        on_send(effect);
        break;
    case PIRATE_WORKER_DELIVER:
        run.taken++;
        unload(effect->cargo);
        break;
    case PIRATE_WORKER_DUMP:
        unload(effect->cargo);
        break;
    case PIRATE_WORKER_LOST:
        run.lost += effect->count;
        break;
    }
}

static void
step_once(struct pirate_worker_event *event)
{
    static struct pirate_worker_effects effects;
    event->now_ns = run.now_ns;
    run.was_held = pirate_worker_core_is_held(run.core);
    pirate_worker_core_step(run.core, event, &effects);
    for (size_t i = 0; i < effects.count; i++)
        carry_out(&effects.list[i]);
    pirate_worker_core_audit(run.core);
}

// step tells the core also what came of its sends.
static void
step(struct pirate_worker_event *event)
{
    step_once(event);
    bool is_unsent = run.is_unsent, is_reply = run.is_sent;
    enum pirate_kind first = run.unsent;
    void *cargo = run.unsent_cargo;
    run.is_unsent = run.is_sent = false;
    run.unsent_cargo = NULL;
    if (is_reply) {
        struct pirate_worker_event told = {.kind = PIRATE_WORKER_SENT};
        if (is_unsent)
            told = (struct pirate_worker_event){
                .kind = PIRATE_WORKER_UNSENT, .said = PIRATE_REPLY, .cargo = cargo};
        step_once(&told);
    }
    if (is_unsent && first != PIRATE_REPLY) {
        struct pirate_worker_event told = {.kind = PIRATE_WORKER_UNSENT, .said = first};
        step_once(&told);
    }
    must(!run.is_unsent && !run.is_sent);
}

static void
simple_step(enum pirate_worker_event_kind kind)
{
    step(&(struct pirate_worker_event){.kind = kind});
}

static void *
load(void)
{
    void *cargo = malloc(1);
    must(cargo != NULL);
    run.live++;
    return cargo;
}

// ---- what comes in ------------------------------------------------------------------------------

// hear sends frames, short ones mostly, each in a block of its own.
static void
hear(void)
{
    struct view frames[FRAMES_MAX];
    uint8_t *blocks[FRAMES_MAX];
    struct pirate_message message;
    size_t count = next_byte() % FRAMES_MAX;
    for (size_t i = 0; i < count; i++) {
        uint8_t what = next_byte();
        size_t size = what < 128 ? what % 4 : what < 250 ? what % 32 : what * 4u;
        blocks[i] = malloc(size + 1);
        must(blocks[i] != NULL);
        for (size_t k = 0; k < size; k++)
            blocks[i][k] = k < 8 ? next_byte() : 'x';
        frames[i] = view_of(blocks[i], size);
    }
    pirate_wire_read_queue(&message, run.config.dialect, frames, count, NULL);
    struct pirate_worker_event event = {
        .kind = PIRATE_WORKER_MESSAGE, .message = &message, .is_wanted = next_byte() % 2};
    bool is_request = message.fault == PIRATE_SOUND && message.kind == PIRATE_REQUEST;
    if (is_request && next_byte() % 32 != 1)
        event.cargo = load();
    step(&event);
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

static void
wait(void)
{
    static const uint64_t waits_ms[] = {0, 1, 10, 99, 101, 1000, 3001, 70000};
    uint64_t end_ns = run.now_ns + waits_ms[next_byte() % 8] * 1000000;
    int ticks = 0; // at one time
    while (pirate_worker_core_deadline(run.core) <= end_ns) {
        uint64_t deadline_ns = pirate_worker_core_deadline(run.core);
        ticks = deadline_ns > run.now_ns ? 0 : ticks + 1;
        must(ticks < TICKS_MAX);
        run.now_ns = deadline_ns > run.now_ns ? deadline_ns : run.now_ns;
        simple_step(PIRATE_WORKER_TICK);
    }
    run.now_ns = end_ns;
}

static void
connection(void)
{
    if (!run.is_open)
        return;
    if (!run.is_up && next_byte() % 8 == 1) {
        simple_step(PIRATE_WORKER_UNOPENED);
        return;
    }
    run.is_up = !run.is_up;
    simple_step(run.is_up ? PIRATE_WORKER_UP : PIRATE_WORKER_DOWN);
}

static void
answer(void)
{
    if (!pirate_worker_core_is_held(run.core))
        return;
    struct pirate_worker_event event = {.kind = PIRATE_WORKER_ANSWER};
    if (next_byte() % 4 != 1)
        event.cargo = load();
    run.answered++;
    step(&event);
}

static void
act(void)
{
    switch (next_byte() % 8) {
    case 0:
        wait();
        break;
    case 1:
        connection();
        break;
    case 2:
        run.is_refusing = next_byte() % 4 == 1;
        break;
    case 3:
        simple_step(PIRATE_WORKER_TAKE);
        break;
    case 4:
        answer();
        break;
    default:
        if (run.is_up)
            hear();
    }
    must(run.replied + run.lost <= run.answered && run.answered <= run.taken);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run = (struct run){.input = view_of(data, size), .now_ns = 1000000000};
    run.config = (struct pirate_worker_config){
        .dialect = next_byte() % 2 == 0 ? PIRATE_PARANOID : PIRATE_SIMPLE,
        .heartbeat_ms = 1 + next_byte() * 10u,
        .liveness = 1 + next_byte() % 4,
        .reconnect_ms_min = next_byte(),
        .reconnect_ms_max = 1000,
    };
    size_t bytes = (pirate_worker_core_bytes() + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    must(memory != NULL);
    memset(memory, 0, bytes);
    run.core = pirate_worker_core_init(memory, &run.config, run.now_ns);
    for (int i = 0; i < ACTIONS_MAX && run.input.size > 0; i++)
        act();
    run.is_refusing = false;
    simple_step(PIRATE_WORKER_STOP);
    must(run.live == 0 && !run.is_open);
    must(run.replied + run.lost == run.answered || pirate_worker_core_is_held(run.core));
    free(memory);
    return 0;
}
