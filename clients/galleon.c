// galleon.c - the operator's tool: which command is it, and may it have these options?

#include "galleon_tool.h"

#include "drills/drill_child.h"
#include "process.h"
#include "service_name.h"

#include <stdarg.h>
#include <stdlib.h>

enum {
    BROKER,
    TIMEOUT,
    ATTEMPTS,
    DIALECT,
    MAX_MESSAGE,
    PRINTABLE_ID,
    JSON,
    WINDOW,
    CLIENTS,
    SIZE,
    SECONDS,
    REQUESTS,
    REPEAT,
    SEED,
    BROKER_OPTION,
    MODE,
    FAST,
    KEY,
    DELAY,
    DEADLINE,
    TRIES,
    WAIT,
    SERVICE,
    STATE,
    OLDER_THAN,
    NEWER_THAN,
    ID,
    LIMIT,
    REASON,
    PUBKEY,
    ENDPOINT,
    PEER_IS_DEAD,
    RULES,
    BENCH_ONLY = 1 << WINDOW | 1 << CLIENTS | 1 << SIZE | 1 << SECONDS | 1 << REQUESTS,
    DRILL_ONLY =
        1 << REPEAT | 1 << SEED | 1 << BROKER_OPTION | 1 << MODE | 1 << FAST, // and DIALECT
    ASKING = 1 << BROKER | 1 << TIMEOUT | 1 << ATTEMPTS | 1 << DIALECT | 1 << MAX_MESSAGE |
             1 << PRINTABLE_ID | 1 << JSON,
    SUBMIT_ONLY = 1 << KEY | 1 << DELAY | 1 << DEADLINE | 1 << TRIES,
    FILTER = 1 << SERVICE | 1 << STATE | 1 << OLDER_THAN | 1 << NEWER_THAN | 1 << ID | 1 << LIMIT,
    CHANGE = FILTER | 1 << REASON,
    // What a plain server knows nothing of.
    BROKERS_ONLY = 1 << BROKER | 1 << DIALECT | 1 << MAX_MESSAGE | 1 << PRINTABLE_ID | 1 << WINDOW,
    MS_MAX = 24 * 3600 * 1000,
    WAIT_MS = 60000,
    WORDS_ANY = 1 << 20
};

static const struct options_rule rules[] = {
    [BROKER] = {"broker", "EP", "a broker (tcp://127.0.0.1:5555); may be repeated"},
    [TIMEOUT] = {"timeout", "MS", "wait this long for an answer to one attempt (2500)"},
    [ATTEMPTS] = {"attempts", "N", "ask so many times (3)"},
    [DIALECT] = {"dialect", "NAME", "auto, g1, 0.2 or 0.1 (auto)"},
    [MAX_MESSAGE] = {"max-message", "BYTES",
                     "the brokers' --max-message (1048576), with 512 and 4 a frame for heads"},
    [PRINTABLE_ID] = {"printable-id", NULL, "call ourselves by letters (the Guide's C++ broker)"},
    [JSON] = {"json", NULL, "print JSON"},
    [WINDOW] = {"window", "N", "bench: calls in flight of each client (100)"},
    [CLIENTS] = {"clients", "N", "bench: clients, each a thread (1)"},
    [SIZE] = {"size", "BYTES", "bench: of a body (100)"},
    [SECONDS] = {"seconds", "N", "bench: how long (5); not with --requests"},
    [REQUESTS] = {"requests", "N", "bench: so many calls in all; not with --seconds"},
    [REPEAT] = {"repeat", "N", "drill run: run each so often (1)"},
    [SEED] = {"seed", "N",
              "drill run: of what is left to chance in the first run (another each time)"},
    [BROKER_OPTION] = {"broker-option", "OPT",
                       "drill run: also start brokers with OPT (--attempts=1); may be repeated"},
    [MODE] = {"mode", "NAME", "drill run: of pairs, guarded or classic (guarded)"},
    [FAST] = {"fast", NULL, "drill run: pairs beat every 50 ms, and lease for 200"},
    [KEY] = {"key", "KEY", "submit: the same key again is the same request"},
    [DELAY] = {"delay", "MS", "submit: start it this long from now at the earliest"},
    [DEADLINE] = {"deadline", "MS", "submit: start it this long from now at the latest"},
    [TRIES] = {"tries", "N", "submit: give it up after so many attempts (titanic's --attempts)"},
    [WAIT] = {"wait", "MS", "wait: this long (60000)"},
    [SERVICE] = {"service", "NAME", "request: those for this service"},
    [STATE] = {"state", "NAME", "request: pending, done, dead, closed or expired"},
    [OLDER_THAN] = {"older-than", "TIME",
                    "request: accepted at least so long ago: 500ms, 10s, 5m, 2h, 7d"},
    [NEWER_THAN] = {"newer-than", "TIME", "request: accepted less than so long ago"},
    [ID] = {"id", "ID", "request: this one"},
    [LIMIT] = {"limit", "N", "request: the N oldest of them (all)"},
    [REASON] = {"reason", "TEXT", "request retry, cancel, purge: why, for the audit"},
    [PUBKEY] = {"pubkey", "FILE", "audit verify: the key that has to have signed"},
    [ENDPOINT] =
        {
            "endpoint", "EP",
            "bench call: a plain REQ/REP server, no broker; may be repeated, no SERVICE then"},
    [PEER_IS_DEAD] = {"peer-is-dead", NULL,
                      "ha promote: you have seen to it that the other half does not run"},
    [RULES] = {0}};

static const uint64_t delay_ms_max = 999999999999999; // fifteen digits

struct command {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(struct tool *self);
    size_t words_min;
    size_t words_max;
    uint32_t options;   // that it takes
    const char *wanted; // what the first word names
};

static const struct command commands[] = {
    {"call", "SERVICE [BODY...]", "send a request, print the reply", tool_call, 1, WORDS_ANY,
     ASKING, "service"},
    {"ping", "", "is each broker there, and how far away", tool_ping, 0, 0, ASKING, NULL},
    {"service ls", "", "what is served, by how many workers", tool_service_ls, 0, 0, ASKING, NULL},
    {"worker ls", "[SERVICE]", "the workers, or those of one service", tool_worker_ls, 0, 1, ASKING,
     "service"},
    {"stat", "", "the broker's counters, and titanic's", tool_stat, 0, 0, ASKING, NULL},
    {"submit", "SERVICE [BODY...]", "store a request, print its id", tool_submit, 1, WORDS_ANY,
     ASKING | SUBMIT_ONLY, "service"},
    {"fetch", "ID", "print the answer of a request, if it is there", tool_fetch, 1, 1, ASKING,
     "request's ID"},
    {"wait", "ID", "wait for the answer of a request, print it", tool_wait, 1, 1,
     ASKING | 1 << WAIT, "request's ID"},
    {"close", "ID", "forget a request and its answer", tool_close, 1, 1, ASKING, "request's ID"},
    {"request ls", "", "the requests that titanic keeps", tool_request_ls, 0, 0, ASKING | FILTER,
     NULL},
    {"request show", "[ID]", "all that is known of them", tool_request_show, 0, 1, ASKING | FILTER,
     NULL},
    {"request retry", "[ID]", "try again those that are dead or expired", tool_request_retry, 0, 1,
     ASKING | CHANGE, NULL},
    {"request cancel", "[ID]", "give up those that are pending", tool_request_cancel, 0, 1,
     ASKING | CHANGE, NULL},
    {"request purge", "[ID]", "forget those that are done, dead or expired", tool_request_purge, 0,
     1, ASKING | CHANGE, NULL},
    {"audit verify", "STORE", "is the chain of records of a stopped store whole", tool_audit_verify,
     1, 1, 1 << JSON | 1 << PUBKEY, "store, as sqlite:PATH"},
    {"audit head", "STORE", "how long it is, its last hash, and what is signed", tool_audit_head, 1,
     1, 1 << JSON, "store, as sqlite:PATH"},
    {"audit keygen", "FILE", "make a key to sign with, and FILE.pub", tool_audit_keygen, 1, 1,
     1 << JSON, "file"},
    {"store check", "STORE", "is all of a stopped store whole", tool_store_check, 1, 1, 1 << JSON,
     "store, as sqlite:PATH"},
    {"store info", "STORE", "what is in a stopped store", tool_store_info, 1, 1, 1 << JSON,
     "store, as sqlite:PATH"},
    {"store backup", "[NAME]", "have titanic copy its store into its --backup-dir",
     tool_store_backup, 0, 1, ASKING, "name"},
    {"bench call", "SERVICE", "calls per second, and how long each takes", tool_bench_call, 1, 1,
     ASKING | BENCH_ONLY | 1 << ENDPOINT, "service"},
    {"bench submit", "SERVICE", "durable requests that are accepted per second", tool_bench_submit,
     1, 1, ASKING | BENCH_ONLY, "service"},
    {"bench durable", "SERVICE", "durable requests that are accepted, done and fetched per second",
     tool_bench_durable, 1, 1, ASKING | BENCH_ONLY, "service"},
    {"ha status", "", "each half of a pair of brokers: its state, and what it knows",
     tool_ha_status, 0, 0, ASKING, NULL},
    {"ha promote", "", "have this half serve", tool_ha_promote, 0, 0, ASKING | 1u << PEER_IS_DEAD,
     NULL},
    {"ha demote", "", "have this half hand over to the other", tool_ha_demote, 0, 0, ASKING, NULL},
    {"ha freeze", "", "keep this half from taking over", tool_ha_freeze, 0, 0, ASKING, NULL},
    {"ha thaw", "", "let it take over again", tool_ha_thaw, 0, 0, ASKING, NULL},
    {"ha clear", "", "have this half leave its fault, once that is mended", tool_ha_clear, 0, 0,
     ASKING, NULL},
    {"drill ls", "", "the drills, and what each must achieve", tool_drill_ls, 0, 0, 1 << JSON,
     NULL},
    {"drill run", "NAME...", "run drills ('all': each) on brokers and workers of their own",
     tool_drill_run, 1, WORDS_ANY, 1 << JSON | 1 << DIALECT | DRILL_ONLY, "drill"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

// ---- what the commands share -----------------------------------------------------------

void
tool_fail(const char *format, ...)
{
    fprintf(stderr, "galleon: ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, ".\n");
    exit(EXIT_FAILED);
}

void *
tool_grown(void *array, size_t bytes)
{
    void *larger = realloc(array, bytes);
    if (larger == NULL)
        tool_fail("out of memory");
    return larger;
}

int
tool_end(int code)
{
    if (fflush(stdout) == 0)
        return code;
    fprintf(stderr, "galleon: cannot write to standard output.\n");
    return EXIT_FAILED;
}

mdp_client_t *
tool_connect(struct tool *self, const char *brokers)
{
    mdp_client_t *client = mdp_client_new(brokers, &self->client);
    if (client == NULL)
        options_fail(&self->options,
                     "--broker: '%s' is no endpoint; one looks like tcp://127.0.0.1:5555.",
                     brokers);
    return client;
}

// ---- the command -------------------------------------------------------------------------

// count_name is how many words a command's name has.
static size_t
count_name(const struct command *command)
{
    return strchr(command->name, ' ') == NULL ? 1 : 2;
}

static bool
has_name(const struct command *command, char **words, size_t count)
{
    char name[64];
    if (count_name(command) > count)
        return false;
    snprintf(name, sizeof name, count_name(command) == 1 ? "%s" : "%s %s", words[0],
             count > 1 ? words[1] : "");
    return strcmp(name, command->name) == 0;
}

static _Noreturn void
fail_on_command(struct tool *self)
{
    const char *names[COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    if (self->word_count == 0)
        options_fail(&self->options, "a COMMAND is missing.");
    char two[256];
    snprintf(two, sizeof two, "%s %s", self->words[0], self->word_count > 1 ? self->words[1] : "");
    const char *nearest = self->word_count > 1 ? options_nearest(two, names) : NULL;
    if (nearest == NULL)
        nearest = options_nearest(self->words[0], names);
    if (nearest == NULL)
        options_fail(&self->options, "there is no command '%s'.", self->words[0]);
    options_fail(&self->options, "there is no command '%s'; did you mean '%s'?",
                 self->word_count > 1 && strchr(nearest, ' ') != NULL ? two : self->words[0],
                 nearest);
}

// find_command takes the command's name off the words.
static const struct command *
find_command(struct tool *self)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!has_name(&commands[i], self->words, self->word_count))
            continue;
        self->words += count_name(&commands[i]);
        self->word_count -= count_name(&commands[i]);
        return &commands[i];
    }
    fail_on_command(self);
}

static void
check_words(struct tool *self, const struct command *command)
{
    bool is_plain = self->endpoints != NULL; // where there is a server there is no service
    size_t words_max = is_plain ? 0 : command->words_max;
    if (self->word_count < command->words_min && !is_plain)
        options_fail(&self->options, "'%s' needs a %s: galleon %s %s.", command->name,
                     command->wanted, command->name, command->arguments);
    if (self->word_count > words_max)
        options_fail(&self->options, "'%s'%s takes no '%s'.", command->name,
                     is_plain ? " with --endpoint" : "", self->words[words_max]);
    bool is_service = command->wanted != NULL && strcmp(command->wanted, "service") == 0;
    const char *service = is_service && self->word_count > 0 ? self->words[0] : NULL;
    if (service != NULL && !service_name_is_valid(view_of(service, strlen(service))))
        options_fail(&self->options,
                     "'%s' can be no service's name: 1 to 255 bytes of printable UTF-8.", service);
}

// fail_on_option names the commands that an option belongs to, where they are a few.
static _Noreturn void
fail_on_option(struct tool *self, const struct command *command, int rule)
{
    enum { OWNERS_NAMED = 3 };
    char owners[OWNERS_NAMED * 40] = "";
    size_t used = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!(commands[i].options & 1u << rule) || ++count > OWNERS_NAMED)
            continue;
        used += (size_t)snprintf(owners + used, sizeof owners - used, "%s'%s'",
                                 used == 0 ? "" : ", ", commands[i].name);
    }
    if (count <= OWNERS_NAMED)
        options_fail(&self->options, "--%s is an option of %s, not of '%s'.", rules[rule].name,
                     owners, command->name);
    options_fail(&self->options, "'%s' takes no --%s.", command->name, rules[rule].name);
}

static void
check_options(struct tool *self, const struct command *command, uint32_t given)
{
    for (int i = 0; i < RULES; i++)
        if (given & ~command->options & 1u << i)
            fail_on_option(self, command, i);
    if ((given & 1u << SECONDS) && (given & 1u << REQUESTS))
        options_fail(&self->options, "--seconds and --requests: give one of them.");
    for (int i = 0; (given & 1u << ENDPOINT) && i < RULES; i++)
        if (given & BROKERS_ONLY & 1u << i)
            options_fail(&self->options, "--endpoint and --%s: give one of them.", rules[i].name);
}

// ---- the line ----------------------------------------------------------------------------

static void
add_broker_option(struct tool *self)
{
    size_t count = 0;
    while (self->broker_options[count] != NULL)
        count++;
    if (count == TOOL_BROKER_OPTIONS_MAX)
        options_fail(&self->options, "--broker-option: at most %d of them.",
                     TOOL_BROKER_OPTIONS_MAX);
    self->broker_options[count] = self->options.value;
}

// set_durable takes the options of durable requests.
static void
set_durable(struct tool *self, int rule)
{
    static const char *const states[] = {"pending", "done", "dead", "closed", "expired", NULL};
    const struct options *options = &self->options;
    switch (rule) {
    case KEY:
        self->submit.idempotency_key = options->value;
        break;
    case DELAY:
        self->submit.not_before_ms = options_number(options, 0, delay_ms_max);
        break;
    case DEADLINE:
        self->submit.deadline_ms = options_number(options, 1, delay_ms_max);
        break;
    case TRIES:
        self->submit.attempts = (uint32_t)options_number(options, 1, UINT32_MAX);
        break;
    case WAIT:
        self->wait_ms = (uint32_t)options_number(options, 0, MS_MAX);
        break;
    case SERVICE:
        self->filter.service = options->value;
        break;
    case STATE:
        self->filter.state = states[options_choice(options, states)];
        break;
    case OLDER_THAN:
        self->filter.older_than = options->value;
        break;
    case NEWER_THAN:
        self->filter.newer_than = options->value;
        break;
    case ID:
        self->filter.id = options->value;
        break;
    case LIMIT:
        self->filter.limit = options_number(options, 1, UINT32_MAX);
        break;
    case REASON:
        self->filter.reason = options->value;
        break;
    case PUBKEY:
        self->public_key = options->value;
        break;
    default:
        break;
    }
}

static void
set(struct tool *self, int rule, char **brokers_p, char **endpoints_p)
{
    static const char *const modes[] = {"guarded", "classic", NULL};
    const struct options *options = &self->options;
    switch (rule) {
    case BROKER:
        options_add_endpoint(options, brokers_p);
        break;
    case ENDPOINT:
        options_add_endpoint(options, endpoints_p);
        break;
    case TIMEOUT:
        self->client.timeout_ms = (uint32_t)options_number(options, 1, MS_MAX);
        break;
    case ATTEMPTS:
        self->client.attempts = (uint32_t)options_number(options, 1, 1000);
        break;
    case DIALECT:
        self->client.dialect = options_dialect(options);
        break;
    case MAX_MESSAGE:
        self->client.message_bytes_max = options_number(options, 1024, (uint64_t)1 << 40);
        break;
    case PRINTABLE_ID:
        self->client.printable_id = true;
        break;
    case JSON:
        self->is_json = true;
        break;
    case WINDOW:
        self->window = (uint32_t)options_number(options, 1, 1000000);
        break;
    case CLIENTS:
        self->clients = (uint32_t)options_number(options, 1, 1000);
        break;
    case SIZE:
        self->bytes = (size_t)options_number(options, 0, 1 << 30);
        break;
    case SECONDS:
        self->seconds = (uint32_t)options_number(options, 1, 24 * 3600);
        break;
    case REQUESTS:
        self->requests = options_number(options, 1, UINT64_MAX / 2);
        break;
    case REPEAT:
        self->repeat = (uint32_t)options_number(options, 1, 1000000);
        break;
    case SEED:
        self->has_seed = true;
        self->seed = options_number(options, 0, UINT32_MAX);
        break;
    case BROKER_OPTION:
        add_broker_option(self);
        break;
    case MODE:
        self->is_classic = options_choice(options, modes) == 1;
        break;
    case FAST:
        self->is_fast = true;
        break;
    case PEER_IS_DEAD:
        self->is_peer_dead = true;
        break;
    default:
        set_durable(self, rule);
        break;
    }
}

static char *
about(void)
{
    static char text[4096];
    size_t size = (size_t)snprintf(text, sizeof text, "Calls services and looks at brokers.\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct command *command = &commands[i];
        char left[64];
        snprintf(left, sizeof left, "%s %s", command->name, command->arguments);
        size +=
            (size_t)snprintf(text + size, sizeof text - size, "\n  %-26s%s", left, command->help);
    }
    snprintf(text + size, sizeof text - size,
             "\n\nExit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 no such service.");
    return text;
}

int
main(int argc, char **argv)
{
    struct tool tool = {
        .options = {.program = "galleon",
                    .synopsis = "[OPTION]... COMMAND [ARGUMENT]...",
                    .about = about(),
                    .rules = rules,
                    .log_level = LOG_LEVEL_ERROR},
        .window = 100,
        .clients = 1,
        .bytes = 100,
        .seconds = 5,
        .repeat = 1,
        .wait_ms = WAIT_MS,
    };
    if (argc > 1 && strcmp(argv[1], DRILL_CHILD) == 0)
        return drill_child_main(argc - 2, argv + 2);
    char *brokers = NULL;
    char *endpoints = NULL;
    uint32_t given = 0;
    options_init(&tool.options, argc, argv);
    for (int rule; (rule = options_next(&tool.options)) != OPTIONS_END;) {
        given |= 1u << rule;
        set(&tool, rule, &brokers, &endpoints);
    }
    tool.brokers = brokers != NULL ? brokers : TOOL_BROKER;
    tool.endpoints = endpoints;
    tool.words = tool.options.arguments; // those behind -- stand next to them
    tool.word_count = tool.options.argument_count + tool.options.rest_count;
    const struct command *command = find_command(&tool);
    check_options(&tool, command, given);
    check_words(&tool, command);
    process_allow_many(); // for bench: each client is a few
    int code = command->run(&tool);
    free(brokers);
    free(endpoints);
    return code;
}
