// log.c - a line, unless its code has said enough in this second.

#include "log.h"

#include <galleon/status.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINES_MAX = 20,  // of one code, in a second
    CODES_MAX = 128, // later ones are counted together
    LINE_BYTES_MAX = 1024
};

static const uint64_t window_ns = 1000000000u;

// How much one code has said.
struct talk {
    const char *code;
    enum log_level level;
    uint64_t since_ns; // when this second began
    uint32_t lines;
    uint64_t left_out;
};

static const char *const level_names[] = {"off", "error", "warn", "info", "debug"};

static atomic_int current_level = LOG_LEVEL_OFF;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct talk talks[CODES_MAX];
static size_t talk_count;
// When the first second is over in which something was left out; late is fine.
static atomic_uint_least64_t catch_up_ns = UINT64_MAX;

bool
log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool
log_level_parse(const char *name, enum log_level *level_out)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level_out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

// put writes a line in one piece. A control character, which could only be a peer's,
// does not become one on somebody's terminal.
static void
put(char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[size] = '\n';
    fwrite(line, 1, size + 1, stderr);
}

static void
say_what_was_left_out(struct talk *talk)
{
    if (talk->left_out == 0)
        return;
    char line[LINE_BYTES_MAX + 1];
    int size = snprintf(line, LINE_BYTES_MAX, "%s LOG-LEFT-OUT code=%s lines=%llu",
                        level_names[talk->level], talk->code, (unsigned long long)talk->left_out);
    put(line, (size_t)size);
    talk->left_out = 0;
}

// begin_windows begins a new second for every code whose second is over.
static void
begin_windows(uint64_t now_ns)
{
    for (size_t i = 0; i < talk_count; i++) {
        if (now_ns < talks[i].since_ns + window_ns)
            continue;
        say_what_was_left_out(&talks[i]);
        talks[i].since_ns = now_ns;
        talks[i].lines = 0;
    }
}

static struct talk *
talk_of(enum log_level level, const char *code, uint64_t now_ns)
{
    for (size_t i = 0; i < talk_count; i++)
        if (strcmp(talks[i].code, code) == 0)
            return &talks[i];
    if (talk_count == CODES_MAX)
        return &talks[CODES_MAX - 1];
    talks[talk_count] = (struct talk){.code = code, .level = level, .since_ns = now_ns};
    return &talks[talk_count++];
}

void
log_write(enum log_level level, const char *code, const char *format, ...)
{
    char line[LINE_BYTES_MAX + 1];
    int size = snprintf(line, LINE_BYTES_MAX, "%s %s ", level_names[level], code);
    va_list arguments;
    va_start(arguments, format);
    int rest = vsnprintf(line + size, (size_t)(LINE_BYTES_MAX - size), format, arguments);
    va_end(arguments);
    if (rest < 0)
        rest = 0;
    size = size + rest < LINE_BYTES_MAX ? size + rest : LINE_BYTES_MAX - 1;

    pthread_mutex_lock(&lock);
    uint64_t now_ns = galleon_now_ns();
    begin_windows(now_ns);
    struct talk *talk = talk_of(level, code, now_ns);
    if (talk->lines < LINES_MAX) {
        talk->lines++;
        put(line, (size_t)size);
    } else {
        talk->left_out++;
        if (talk->since_ns + window_ns < atomic_load(&catch_up_ns))
            atomic_store(&catch_up_ns, talk->since_ns + window_ns);
    }
    pthread_mutex_unlock(&lock);
}

void
log_catch_up(uint64_t now_ns)
{
    if (now_ns < atomic_load_explicit(&catch_up_ns, memory_order_relaxed))
        return;
    pthread_mutex_lock(&lock);
    begin_windows(now_ns);
    uint64_t next_ns = UINT64_MAX;
    for (size_t i = 0; i < talk_count; i++)
        if (talks[i].left_out > 0 && talks[i].since_ns + window_ns < next_ns)
            next_ns = talks[i].since_ns + window_ns;
    atomic_store(&catch_up_ns, next_ns);
    pthread_mutex_unlock(&lock);
}

static void
say_all_that_was_left_out(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < talk_count; i++)
        say_what_was_left_out(&talks[i]);
    pthread_mutex_unlock(&lock);
}

void
log_set_level(enum log_level level)
{
    static atomic_flag is_known = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&is_known))
        atexit(say_all_that_was_left_out);
    atomic_store(&current_level, (int)level);
}
