// test_bstar_tables.c - the tables of the page are those of the core, and every cell does what
// it says.
//
// What a cell says is read from docs/protocol/bstar.md. What that means, a state to be in and
// the effects in their order, stands here once for each text.

#include "bstar_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE GALLEON_SOURCE_DIR "/docs/protocol/bstar.md"

enum { COLUMNS_MAX = 10, ROWS_MAX = 40, MS = 1000000 };
enum { PAIR = 7, NODE = 20, OTHER = 10, THIRD = 30 };

static const uint64_t NOW = 1000ull * 1000 * MS;

// ---- the page ----------------------------------------------------------------------------------

struct page_table {
    char *cells[ROWS_MAX][COLUMNS_MAX];
    size_t rows;
    size_t columns;
};

static struct page_table tables[3]; // in the order of enum bstar_table

static char *
trim(char *text)
{
    text += strspn(text, " ");
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == ' ')
        text[--size] = '\0';
    return text;
}

static size_t
cut_line(char *line, char *cells[COLUMNS_MAX])
{
    size_t count = 0;
    char *rest = line + 1; // after the first |
    for (char *cell = strsep(&rest, "|"); rest != NULL; cell = strsep(&rest, "|")) {
        assert_in_range(count, 0, COLUMNS_MAX - 1);
        cells[count++] = trim(cell);
    }
    return count;
}

// read_page takes the tables whose first state is one of ours.
static int
read_page(void **state)
{
    (void)state;
    FILE *file = fopen(PAGE, "r");
    if (file == NULL)
        return -1;
    static char lines[400][1200];
    struct page_table *table = NULL;
    for (size_t i = 0; i < 400 && fgets(lines[i], sizeof lines[i], file) != NULL; i++) {
        lines[i][strcspn(lines[i], "\n")] = '\0';
        if (lines[i][0] != '|') {
            table = NULL;
            continue;
        }
        if (strncmp(lines[i], "| ---", 5) == 0)
            continue;
        if (table == NULL && strncmp(lines[i], "| event |", 9) != 0 &&
            strncmp(lines[i], "| request |", 11) != 0)
            continue;
        char *cells[COLUMNS_MAX];
        size_t columns = cut_line(lines[i], cells);
        for (int t = 0; table == NULL && t < 3; t++)
            if (columns > 1 && strcmp(cells[1], bstar_table_state((enum bstar_table)t, 0)) == 0)
                table = &tables[t];
        if (table == NULL || table->rows == ROWS_MAX)
            return -1;
        memcpy(table->cells[table->rows++], cells, sizeof cells);
        table->columns = columns;
    }
    fclose(file);
    return 0;
}

static void
every_cell_of_the_page_is_that_of_the_core(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++) {
        enum bstar_table table = (enum bstar_table)t;
        assert_int_equal(tables[t].rows, bstar_table_rows(table) + 1);
        assert_int_equal(tables[t].columns, bstar_table_states(table) + 1);
        for (size_t s = 0; s < bstar_table_states(table); s++)
            assert_string_equal(tables[t].cells[0][s + 1], bstar_table_state(table, s));
        for (size_t r = 0; r < bstar_table_rows(table); r++) {
            assert_string_equal(tables[t].cells[r + 1][0], bstar_table_row(table, r));
            for (size_t s = 0; s < bstar_table_states(table); s++)
                assert_string_equal(tables[t].cells[r + 1][s + 1], bstar_table_cell(table, r, s));
        }
    }
}

// row_of finds a row by what it says.
static size_t
row_of(enum bstar_table table, const char *text)
{
    for (size_t row = 0; row < bstar_table_rows(table); row++)
        if (strcmp(bstar_table_row(table, row), text) == 0)
            return row;
    fail_msg("no row says %s", text);
    return 0;
}

// ---- what a text means --------------------------------------------------------------

enum { SAME = -1 };

struct meaning {
    const char *text;
    const char *row;     // NULL: any
    int state;           // after it
    const char *effects; // in order
};

static const struct meaning *
meaning_of(const struct meaning *list, const char *text, const char *row)
{
    for (; list->text != NULL; list++)
        if (strcmp(list->text, text) == 0 && (list->row == NULL || strcmp(list->row, row) == 0))
            return list;
    fail_msg("nobody knows what \"%s\" means", text);
    return NULL;
}

static void
write_effects(const struct bstar_effects *effects, char *to, size_t room)
{
    static const char *const names[] = {"publish", "send",   "reply",   "store", "change", "serve",
                                        "refuse",  "accept", "decline", "open",  "close",  "drain",
                                        "drop",    "alarm",  "audit",   "exit"};
    static const char *const commands[] = {"",       ":beat",    ":ask",   ":vote",
                                           ":renew", ":release", ":grant", ":deny"};
    size_t size = 0;
    to[0] = '\0';
    for (size_t i = 0; i < effects->count; i++) {
        const struct bstar_effect *effect = &effects->list[i];
        bool is_message = effect->kind == BSTAR_DO_SEND || effect->kind == BSTAR_DO_REPLY;
        size += (size_t)snprintf(to + size, room - size, "%s%s%s", i > 0 ? " " : "",
                                 names[effect->kind],
                                 is_message ? commands[effect->message.command] : "");
    }
}

static void
check_effects(const struct bstar_effects *effects, const char *expected, const char *where)
{
    char text[400];
    write_effects(effects, text, sizeof text);
    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", where, text, expected);
}

// ---- classic ------------------------------------------------------------------------

static const struct meaning classic_meanings[] = {
    {"stay", "operator: promote", SAME, "accept"},
    {"stay", "operator: demote", SAME, "accept"},
    {"stay", NULL, SAME, ""},
    {"serve", "worker, heartbeat or mmi traffic", SAME, ""},
    {"serve", NULL, SAME, "serve"},
    {"refuse", NULL, SAME, "refuse"},
    {"warm", NULL, SAME, ""},
    {"ACTIVE e+1", "operator: promote", CLASSIC_ACTIVE, "accept change publish"},
    {"ACTIVE e+1", NULL, CLASSIC_ACTIVE, "change publish"},
    {"ACTIVE e+1, serve", NULL, CLASSIC_ACTIVE, "change publish serve"},
    {"PASSIVE", NULL, CLASSIC_PASSIVE, "change"},
    {"PASSIVE: yield", NULL, CLASSIC_PASSIVE, "change publish"},
    {"stay, follow its epoch", NULL, SAME, ""},
    {"stay, send a beat at once", NULL, SAME, "publish"},
    {"HALTED, alarm", NULL, CLASSIC_HALTED, "alarm change"},
    {"stay, alarm", NULL, SAME, "alarm"},
    {"drop queued beats, grace = one patience", NULL, SAME, ""},
    {"drop queued beats, peer age restarts", NULL, SAME, ""},
    {"drop queued beats", NULL, SAME, ""},
    {"ACTIVE e+1 if the peer is silent, else refuse: demote the other half", NULL, CLASSIC_ACTIVE,
     "accept change publish"},
    {"drop, count", NULL, SAME, ""},
    {"exit", NULL, SAME, "exit"},
    // Those that end in our own WAIT, whichever it is: SAME + a check of their own.
    {"own WAIT, drop queued beats, grace = one patience", NULL, CLASSIC_STATES, "change publish"},
    {"own WAIT, one beat at once, grace = one patience; refused while the peer is silent", NULL,
     CLASSIC_STATES, "accept change publish"},
    {"publish the waiting digit, drain, exit", NULL, CLASSIC_STATES, "change publish drain"},
    {"back to own WAIT, judge again", NULL, CLASSIC_STATES + 1, NULL},
    {NULL, NULL, 0, NULL},
};

static void
start_classic(struct bstar_core *core, bool is_primary, enum classic_state state)
{
    struct bstar_config config;
    bstar_config_init(&config, BSTAR_CLASSIC, is_primary, false, 0, 0, 0);
    config.node = NODE;
    bstar_core_init(core, &config, NOW);
    core->classic.state = state;
    core->classic.is_clashing = state == CLASSIC_HALTED;
    core->classic.epoch = core->classic.seen = 5;
    core->pulse.beat_ns = UINT64_MAX; // no beat but those that a cell sends
}

// event_of_row makes the core and the event that a row is about.
static struct bstar_event
event_of_classic_row(struct bstar_core *core, const char *row, struct bstar_beat *beat)
{
    bool is_primary = core->config.is_primary;
    struct bstar_event event = {.kind = BSTAR_ON_BEAT, .now_ns = NOW, .beat = beat};
    bool is_winning = strstr(row, "it wins") != NULL;
    *beat = (struct bstar_beat){
        .digit = strstr(row, "ACTIVE") ? BSTAR_SAYS_ACTIVE : BSTAR_SAYS_PASSIVE,
        .is_primary = !is_primary,
        .epoch = is_winning ? 6 : 4,
        .node = OTHER,
        .progress = 1,
    };
    if (strncmp(row, "peer waits", 10) == 0) {
        beat->is_primary = (strstr(row, "our own role") != NULL) == is_primary;
        beat->digit = beat->is_primary ? BSTAR_SAYS_PRIMARY : BSTAR_SAYS_BACKUP;
    } else if (strncmp(row, "vote", 4) == 0) {
        event.kind = BSTAR_ON_CLIENT;
        core->classic.peer.is_heard = strstr(row, "alive") != NULL;
        core->classic.peer.heard_ns = core->classic.peer.progress_ns = NOW;
        core->classic.grace_ns = strstr(row, "not over") != NULL ? NOW + MS : NOW;
    } else if (strncmp(row, "worker", 6) == 0) {
        event.kind = BSTAR_ON_TRAFFIC;
    } else if (strcmp(row, "own gap") == 0) {
        event.kind = BSTAR_ON_TICK;
        event.now_ns = NOW + core->config.gap_ns + 1;
    } else if (strcmp(row, "operator: promote") == 0) {
        event.kind = BSTAR_ON_PROMOTE;
    } else if (strcmp(row, "operator: demote") == 0) {
        event.kind = BSTAR_ON_DEMOTE;
        core->classic.peer =
            (struct bstar_peer){.is_heard = true, .heard_ns = NOW, .progress_ns = NOW};
    } else if (strncmp(row, "malformed", 9) == 0) {
        event.fault = BSTAR_BAD_SIZE;
    } else if (strcmp(row, "stop signal") == 0) {
        event.kind = BSTAR_ON_STOP;
    }
    return event;
}

static void
run_classic_cell(bool is_primary, enum classic_state from, const char *row, const char *text)
{
    struct bstar_core core;
    struct bstar_effects effects;
    struct bstar_beat beat;
    start_classic(&core, is_primary, from);
    struct bstar_event event = event_of_classic_row(&core, row, &beat);
    bstar_core_step(&core, &event, &effects);
    // The row is the one that was meant: the first that was done, or, judged again, the last.
    assert_in_range(effects.fact_count, 1, 2);
    const struct bstar_fact *fact = &effects.facts[effects.fact_count - 1];
    assert_string_equal(bstar_table_row(BSTAR_TABLE_CLASSIC, fact->row), row);
    const struct meaning *meaning = meaning_of(classic_meanings, text, row);
    enum classic_state own_wait = is_primary ? CLASSIC_WAIT_P : CLASSIC_WAIT_B;
    if (meaning->state == CLASSIC_STATES + 1) {
        assert_int_equal(core.classic.state, is_primary ? CLASSIC_ACTIVE : CLASSIC_WAIT_B);
        check_effects(&effects, is_primary ? "change change publish" : "change", row);
        return;
    }
    check_effects(&effects, meaning->effects, row);
    int state = meaning->state == SAME             ? (int)from
                : meaning->state == CLASSIC_STATES ? (int)own_wait
                                                   : meaning->state;
    assert_int_equal(core.classic.state, state);
    if (from != CLASSIC_ACTIVE && core.classic.state == CLASSIC_ACTIVE)
        assert_int_equal(core.classic.epoch,
                         (event.kind == BSTAR_ON_BEAT && beat.epoch > 5 ? 7 : 6));
    if (event.fault != BSTAR_SOUND)
        assert_int_equal(core.stats.faults[event.fault], 1);
}

static void
every_cell_of_classic_does_what_it_says(void **state)
{
    (void)state;
    const struct page_table *page = &tables[BSTAR_TABLE_CLASSIC];
    for (size_t r = 1; r < page->rows; r++)
        for (int s = 0; s < CLASSIC_STATES; s++)
            for (int is_primary = 0; is_primary < 2; is_primary++) {
                if ((s == CLASSIC_WAIT_P && !is_primary) || (s == CLASSIC_WAIT_B && is_primary))
                    continue;
                run_classic_cell(is_primary, (enum classic_state)s, page->cells[r][0],
                                 page->cells[r][s + 1]);
            }
}

// ---- guarded ------------------------------------------------------------------------

#define RELEASES "send:release send:release"

static const struct meaning guarded_meanings[] = {
    {"bug", NULL, GUARDED_FAULT, "change alarm"},
    {"stay", "operator: promote", SAME, "accept"},
    {"stay", NULL, SAME, ""},
    {"note", NULL, SAME, ""},
    {"warm", NULL, SAME, ""},
    {"serve", NULL, SAME, ""},
    {"warm; soft takes replies", NULL, SAME, ""},
    {"drop, count", NULL, SAME, ""},
    {"QUARANTINE", NULL, GUARDED_QUARANTINE, "change"},
    {"PASSIVE", NULL, GUARDED_PASSIVE, "change"},
    {"adopt", NULL, SAME, ""},
    {"adopt, follow", NULL, SAME, ""},
    {"adopt, PASSIVE", NULL, GUARDED_PASSIVE, "change"},
    {"adopt, release, PASSIVE", NULL, GUARDED_PASSIVE, RELEASES " change"},
    {"adopt, DRAINING hard", NULL, GUARDED_DRAINING, "change drop"},
    {"adopt; turn hard", NULL, SAME, "drop"},
    {"follow", NULL, SAME, ""},
    {"release, PASSIVE", NULL, GUARDED_PASSIVE, RELEASES " change"},
    {"ASKING if able", NULL, GUARDED_ASKING, "change send:ask send:ask"},
    {"stay, beat at once", NULL, SAME, "send:beat"},
    {"503 wait", NULL, SAME, "refuse"},
    {"503 peer", NULL, SAME, "refuse"},
    {"503 reason", NULL, SAME, "refuse"},
    {"serve, stamp epoch", NULL, SAME, "serve"},
    {"CANDIDATE", NULL, GUARDED_CANDIDATE, "change store"},
    {"ACTIVATING if the deadline is ahead, else back off", NULL, GUARDED_ACTIVATING, "change open"},
    {"extend", NULL, SAME, ""},
    {"soft: extend; hard: stay", NULL, SAME, ""},
    {"next round now", NULL, SAME, "send:renew send:renew"},
    {"next round now, one each beat", NULL, SAME, "send:renew send:renew"},
    {"raise floor", NULL, SAME, ""},
    {"raise floor, back off", NULL, GUARDED_PASSIVE, RELEASES " change"},
    {"DRAINING hard", NULL, GUARDED_DRAINING, "change drop"},
    {"turn hard", NULL, SAME, "drop"},
    {"hard: adopt; soft: bug", NULL, GUARDED_FAULT, "change alarm"},
    {"hard: note; soft: bug", NULL, GUARDED_FAULT, "change alarm"},
    {"ACTIVE", NULL, GUARDED_ACTIVE, "change send:beat"},
    {"close it", NULL, SAME, "close"},
    {"FAULT", NULL, GUARDED_FAULT, "change alarm"},
    {"release, FAULT", NULL, GUARDED_FAULT, "change alarm " RELEASES},
    {"stop acks, release, FAULT", NULL, GUARDED_FAULT, "change alarm " RELEASES},
    {"release if soft, FAULT", NULL, GUARDED_FAULT, "change alarm " RELEASES},
    {"soft: release; PASSIVE (or exit)", NULL, GUARDED_PASSIVE, "change close " RELEASES},
    {"drop queued beats, peer age restarts", NULL, SAME, ""},
    {"judge lease; drop beats, age restarts", NULL, SAME, ""},
    {"refuse", NULL, SAME, "decline"},
    {"refuse, say when", NULL, SAME, "decline"},
    {"ASKING, no preference delay", NULL, GUARDED_ASKING, "accept change send:ask send:ask"},
    {"after one LEASE ASKING with the operator's vote; refused while the peer is heard", NULL, SAME,
     "accept audit"},
    {"PASSIVE; after one LEASE ASKING with the operator's vote; refused while the peer is heard",
     NULL, GUARDED_PASSIVE, "accept change audit"},
    {"hold-off", NULL, SAME, "accept"},
    {"PASSIVE, hold-off", NULL, GUARDED_PASSIVE, "accept change"},
    {"release, PASSIVE, hold-off", NULL, GUARDED_PASSIVE, "accept " RELEASES " change"},
    {"DRAINING soft, hold-off", NULL, GUARDED_DRAINING, "accept change drain"},
    {"flag", NULL, SAME, "accept"},
    {"flag; freeze: PASSIVE", NULL, GUARDED_PASSIVE, "accept change"},
    {"flag; freeze: release, PASSIVE", NULL, GUARDED_PASSIVE, "accept " RELEASES " change"},
    {"verify: good: QUARANTINE, bad: stay", NULL, GUARDED_QUARANTINE, "accept change"},
    {"exit", NULL, SAME, "exit"},
    {"release, exit", NULL, SAME, RELEASES " exit"},
    {"DRAINING soft, then exit", NULL, GUARDED_DRAINING, "change drain"},
    {"exit when drained", NULL, SAME, ""},
    // The same text, and a vote to give back or none.
    {"back off", NULL, GUARDED_STATES, NULL},
    {NULL, NULL, 0, NULL},
};

// start_guarded puts a half into a state, as it comes to be in it.
static void
start_guarded(struct bstar_core *core, enum guarded_state state)
{
    struct bstar_config config;
    bstar_config_init(&config, BSTAR_GUARDED, true, false, 0, 0, 0);
    config.node = NODE;
    config.pair = PAIR;
    config.has_store = true;
    bstar_core_init(core, &config, NOW);
    struct bstar_guarded *guarded = &core->guarded;
    bool has_vote = state >= GUARDED_CANDIDATE && state <= GUARDED_DRAINING;
    if (state != GUARDED_START)
        core->voter = (struct bstar_voter){
            .state = has_vote                      ? VOTER_HELD
                     : state == GUARDED_FAULT      ? VOTER_MUTE
                     : state == GUARDED_QUARANTINE ? VOTER_AMNESIA
                                                   : VOTER_FREE,
            .epoch = 5,
            .holder = has_vote ? NODE : OTHER,
            .hold_ns = NOW + config.lease_ns,
        };
    guarded->state = state;
    guarded->epoch = 5;
    guarded->floor = 6;
    guarded->is_soft = state == GUARDED_DRAINING;
    guarded->drain_ns = NOW + config.drain_ns;
    guarded->quarantine_ns = NOW + config.lease_ns;
    if (state >= GUARDED_ACTIVATING && state <= GUARDED_DRAINING)
        guarded->lease_ns = NOW + config.valid_ns - config.round_ns;
    if (state >= GUARDED_ASKING && state <= GUARDED_DRAINING)
        guarded->rounds[0] = (struct bstar_round){
            .is_open = true,
            .command = state == GUARDED_ASKING      ? BSTAR_ASK
                       : state == GUARDED_CANDIDATE ? BSTAR_VOTE
                                                    : BSTAR_RENEW,
            .epoch = 5,
            .grants = 3,
            .sent_ns = NOW - config.beat_ns,
            .left_ns = UINT64_MAX,
            .nonce = {{1, 2}},
        };
}

static struct bstar_event
event_of_guarded_row(const char *row, const struct bstar_message *message,
                     const struct bstar_record *record)
{
    struct bstar_event event = {
        .kind = BSTAR_ON_MESSAGE, .now_ns = NOW, .message = message, .record = record};
    if (strcmp(row, "operator: freeze or thaw") == 0)
        event.kind = BSTAR_ON_FREEZE;
    return event;
}

static void
check_guarded_details(const struct bstar_core *core, const struct bstar_core *before,
                      const char *text)
{
    const struct bstar_guarded *guarded = &core->guarded;
    if (strstr(text, "adopt") == text)
        assert_int_equal(guarded->epoch, 9);
    if (strstr(text, "raise floor") == text)
        assert_int_equal(guarded->floor, 10);
    if (strcmp(text, "extend") == 0 || strcmp(text, "soft: extend; hard: stay") == 0)
        assert_true(guarded->lease_ns > before->guarded.lease_ns);
    if (strstr(text, "hold-off") != NULL)
        assert_int_equal(guarded->hold_off_ns, NOW + core->config.hold_off_ns);
    if (strstr(text, "flag") == text)
        assert_true(guarded->is_frozen);
    if (strstr(text, "drop") != NULL && strstr(text, "age") != NULL)
        assert_true(core->pulse.is_behind && guarded->peer.heard_ns == NOW);
    if (strstr(text, "operator's vote") != NULL)
        assert_true(guarded->has_word && guarded->floor >= 1005);
    if (strcmp(text, "exit when drained") == 0 || strcmp(text, "DRAINING soft, then exit") == 0)
        assert_true(core->pulse.is_stopping && !core->pulse.is_over);
    if (strstr(text, "hard") != NULL && strstr(text, "DRAINING hard") != NULL)
        assert_false(guarded->is_soft);
    if (strcmp(text, "bug") == 0)
        assert_int_equal(core->stats.bugs, 1);
    if (guarded->state == GUARDED_FAULT)
        assert_int_equal(core->voter.state, VOTER_MUTE);
    // Whatever it was, what is not ACTIVE does not serve.
    assert_int_equal(bstar_core_may_serve(core, NOW), guarded->state == GUARDED_ACTIVE);
}

static void
run_guarded_cell(enum guarded_state from, const char *row, const char *text)
{
    struct bstar_core core, before;
    struct bstar_effects effects;
    struct bstar_message message = {.command = BSTAR_BEAT, .pair = PAIR, .node = OTHER, .epoch = 9};
    struct bstar_record record = {.pair = PAIR, .epoch = 5, .holder = OTHER};
    char where[200], expected[400];
    snprintf(where, sizeof where, "%s in %s: %s", row, bstar_table_state(BSTAR_TABLE_GUARDED, from),
             text);
    start_guarded(&core, from);
    before = core;
    struct bstar_event event = event_of_guarded_row(row, &message, &record);
    bstar_table_run(&core, BSTAR_TABLE_GUARDED, row_of(BSTAR_TABLE_GUARDED, row), &event, &effects);
    const struct meaning *meaning = meaning_of(guarded_meanings, text, row);
    if (meaning->state == GUARDED_STATES) {
        assert_int_equal(core.guarded.state, GUARDED_PASSIVE);
        assert_true(core.guarded.not_before_ns > NOW);
        check_effects(&effects, from == GUARDED_CANDIDATE ? RELEASES " change" : "change", where);
        return;
    }
    // FAULT ends a soft drain.
    bool is_dropped = from == GUARDED_DRAINING && meaning->state == GUARDED_FAULT;
    snprintf(expected, sizeof expected, "%s%s", is_dropped ? "drop " : "", meaning->effects);
    check_effects(&effects, expected, where);
    assert_int_equal(core.guarded.state, meaning->state == SAME ? (int)from : meaning->state);
    check_guarded_details(&core, &before, text);
}

static void
every_cell_of_guarded_does_what_it_says(void **state)
{
    (void)state;
    const struct page_table *page = &tables[BSTAR_TABLE_GUARDED];
    for (size_t r = 1; r < page->rows; r++)
        for (int s = 0; s < GUARDED_STATES; s++)
            run_guarded_cell((enum guarded_state)s, page->cells[r][0], page->cells[r][s + 1]);
}

static void
hard_drain_adopts_and_notes_where_a_soft_one_has_a_bug(void **state)
{
    (void)state;
    static const char *const rows[] = {"own voter granted the peer", "peer ACTIVE, same epoch"};
    for (size_t i = 0; i < 2; i++) {
        struct bstar_core core;
        struct bstar_effects effects;
        struct bstar_message message = {.command = BSTAR_BEAT, .node = OTHER, .epoch = 9};
        struct bstar_event event = {.kind = BSTAR_ON_MESSAGE, .now_ns = NOW, .message = &message};
        start_guarded(&core, GUARDED_DRAINING);
        core.guarded.is_soft = false;
        bstar_table_run(&core, BSTAR_TABLE_GUARDED, row_of(BSTAR_TABLE_GUARDED, rows[i]), &event,
                        &effects);
        assert_int_equal(core.guarded.state, GUARDED_DRAINING);
        assert_int_equal(core.guarded.epoch, i == 0 ? 9 : 5);
        check_effects(&effects, "", rows[i]);
    }
}

// ---- the voter ----------------------------------------------------------------------

static const struct meaning voter_meanings[] = {
    {"yes", NULL, SAME, "reply:grant"},
    {"no", NULL, SAME, "reply:deny"},
    {"no, time left", NULL, SAME, "reply:deny"},
    {"deny", NULL, SAME, "reply:deny"},
    {"deny, time left", NULL, SAME, "reply:deny"},
    {"deny, show record", NULL, SAME, "reply:deny"},
    {"deny, count", NULL, SAME, "reply:deny"},
    {"store, grant, HELD", NULL, VOTER_HELD, "store"},
    {"store, grant, extend", NULL, VOTER_HELD, "store"},
    {"grant, HELD", NULL, VOTER_HELD, "reply:grant"},
    {"grant, extend", NULL, VOTER_HELD, "reply:grant"},
    {"FREE", NULL, VOTER_FREE, ""},
    {"stay", NULL, SAME, ""},
    {"ignore", NULL, SAME, ""},
    {"drop, count", NULL, SAME, ""},
    {"bug", NULL, SAME, "alarm"},
    {"MUTE, no reply", NULL, VOTER_MUTE, "alarm"},
    {NULL, NULL, 0, NULL},
};

static void
start_voter(struct bstar_core *core, enum voter_state state)
{
    struct bstar_config config;
    bstar_config_init(&config, BSTAR_WITNESS, false, false, 0, 0, 0);
    config.node = THIRD;
    config.pair = PAIR;
    bstar_core_init(core, &config, NOW);
    core->voter = (struct bstar_voter){
        .state = state, .serial = 3, .epoch = 5, .holder = OTHER, .hold_ns = NOW + 400ull * MS};
}

// event_of_voter_row makes the event, and where the row is one of time, the time.
static struct bstar_event
event_of_voter_row(struct bstar_core *core, const char *row, struct bstar_message *message)
{
    bool is_holder = strstr(row, "another") == NULL && strstr(row, "any other") == NULL;
    *message = (struct bstar_message){
        .command = strncmp(row, "ask", 3) == 0      ? BSTAR_ASK
                   : strstr(row, "release") != NULL ? BSTAR_RELEASE
                   : strstr(row, "renewal") != NULL ? BSTAR_RENEW
                                                    : BSTAR_VOTE,
        .pair = PAIR,
        .node = is_holder ? OTHER : NODE,
        .epoch = strstr(row, "newer") != NULL ? 6 : 5,
        .nonce = {{8, 9}},
        .lease_ms = strstr(row, "another LEASE") != NULL ? 5000 : 1000,
    };
    struct bstar_event event = {
        .kind = BSTAR_ON_MESSAGE, .now_ns = NOW, .message = message, .route = 77};
    if (strcmp(row, "wait or hold runs out") == 0) {
        event.kind = BSTAR_ON_TICK;
        event.now_ns = NOW + 400ull * MS;
    } else if (strcmp(row, "the record cannot be written") == 0) {
        event.kind = BSTAR_ON_UNSTORED;
        core->voter.is_storing = true;
    } else if (strncmp(row, "malformed", 9) == 0) {
        event.fault = BSTAR_BAD_COMMAND;
    }
    return event;
}

static void
check_reply(const struct bstar_core *core, const struct bstar_effect *reply, const char *text)
{
    assert_int_equal(reply->route, 77);
    assert_true(reply->message.nonce.words[0] == 8 && reply->message.nonce.words[1] == 9);
    assert_int_equal(reply->message.node, THIRD);
    if (reply->message.command != BSTAR_DENY)
        return;
    assert_int_equal(reply->message.epoch, 5);
    assert_int_equal(reply->message.holder, OTHER);
    if (strstr(text, "time left") != NULL)
        assert_int_equal(reply->message.left_ms, 400);
    if (core->voter.state == VOTER_FREE)
        assert_int_equal(reply->message.left_ms, 0);
}

static uint64_t
faults_of(const struct bstar_core *core)
{
    uint64_t count = 0;
    for (size_t i = 0; i < BSTAR_FAULTS; i++)
        count += core->stats.faults[i];
    return count;
}

static void
run_voter_cell(enum voter_state from, const char *row, const char *text)
{
    struct bstar_core core;
    struct bstar_effects effects;
    struct bstar_message message;
    char where[200];
    snprintf(where, sizeof where, "%s in %s", row, bstar_table_state(BSTAR_TABLE_VOTER, from));
    start_voter(&core, from);
    struct bstar_event event = event_of_voter_row(&core, row, &message);
    size_t number = row_of(BSTAR_TABLE_VOTER, row);
    bool can_happen =
        strcmp(row, "wait or hold runs out") != 0 || from == VOTER_AMNESIA || from == VOTER_HELD;
    if (can_happen) {
        bstar_core_step(&core, &event, &effects);
    } else {
        event.message = NULL;
        bstar_table_run(&core, BSTAR_TABLE_VOTER, number, &event, &effects);
    }
    assert_int_equal(effects.fact_count, 1);
    assert_int_equal(effects.facts[0].row, number);
    assert_int_equal(faults_of(&core) != 0, strstr(text, "count") != NULL);
    const struct meaning *meaning = meaning_of(voter_meanings, text, row);
    check_effects(&effects, meaning->effects, where);
    if (effects.count == 1 && effects.list[0].kind == BSTAR_DO_REPLY)
        check_reply(&core, &effects.list[0], text);
    if (strncmp(text, "store", 5) == 0) {
        // Not before it is on disk.
        assert_int_equal(core.voter.epoch, 5);
        assert_int_equal(effects.list[0].record.serial, 4);
        assert_int_equal(effects.list[0].record.epoch, 6);
        struct bstar_event stored = {.kind = BSTAR_ON_STORED, .now_ns = NOW};
        bstar_core_step(&core, &stored, &effects);
        check_effects(&effects, "reply:grant", where);
        check_reply(&core, &effects.list[0], text);
        assert_int_equal(core.voter.epoch, 6);
    }
    assert_int_equal(core.voter.state, meaning->state == SAME ? (int)from : meaning->state);
    if (core.voter.state == VOTER_HELD && meaning->state != SAME)
        assert_int_equal(core.voter.hold_ns, NOW + core.config.lease_ns);
}

static void
every_cell_of_the_voter_does_what_it_says(void **state)
{
    (void)state;
    const struct page_table *page = &tables[BSTAR_TABLE_VOTER];
    for (size_t r = 1; r < page->rows; r++)
        for (int s = 0; s < VOTER_STATES; s++)
            run_voter_cell((enum voter_state)s, page->cells[r][0], page->cells[r][s + 1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_page_is_that_of_the_core),
        cmocka_unit_test(every_cell_of_classic_does_what_it_says),
        cmocka_unit_test(every_cell_of_guarded_does_what_it_says),
        cmocka_unit_test(hard_drain_adopts_and_notes_where_a_soft_one_has_a_bug),
        cmocka_unit_test(every_cell_of_the_voter_does_what_it_says),
    };
    return cmocka_run_group_tests(tests, read_page, NULL);
}
