// broker_log.c - facts to lines, with what belongs to each fact and no other fields.

#include "broker_log.h"

#include "log.h"

#include <stdarg.h>
#include <stdio.h>

// What a line about a fact is: its code, and what its words and its count are called; NULL
// where it has none.
static const struct fact_words {
    const char *code, *pirate_code, *why, *count;
    enum log_level level;
} facts[] = {
    [BROKER_WORKER_REGISTERED] = {"MDP-WORKER-REGISTERED", "PIRATE-WORKER-REGISTERED", "dialect",
                                  "credit", LOG_LEVEL_INFO},
    [BROKER_WORKER_REFUSED] = {"MDP-WORKER-REFUSED", "PIRATE-WORKER-REFUSED", "why", NULL,
                               LOG_LEVEL_WARN},
    [BROKER_WORKER_LEFT] = {"MDP-WORKER-LEFT", "PIRATE-WORKER-LEFT", "why", "out", LOG_LEVEL_INFO},
    [BROKER_WORKER_LOST] = {"MDP-WORKER-LOST", "PIRATE-WORKER-LOST", "why", "out", LOG_LEVEL_WARN},
    [BROKER_REQUEST_REFUSED] = {"MDP-REQUEST-REFUSED", "PIRATE-REQUEST-REFUSED", "why", NULL,
                                LOG_LEVEL_INFO},
    [BROKER_REQUEST_GIVEN_UP] = {"MDP-REQUEST-GIVEN-UP", "PIRATE-REQUEST-GIVEN-UP", "why",
                                 "attempts", LOG_LEVEL_WARN},
    [BROKER_REQUEST_EXPIRED] = {"MDP-REQUEST-EXPIRED", "PIRATE-REQUEST-EXPIRED", "why", "attempts",
                                LOG_LEVEL_INFO},
    [BROKER_PEER_REJECTED] = {"MDP-PEER-REJECTED", "PIRATE-PEER-REJECTED", "why", NULL,
                              LOG_LEVEL_WARN},
    [BROKER_DRAINING] = {"MDP-DRAINING", "PIRATE-DRAINING", NULL, "out", LOG_LEVEL_INFO},
    [BROKER_SERVING] = {"MDP-SERVING", NULL, NULL, "open", LOG_LEVEL_INFO}, // no pirate is paired
    [BROKER_FINISHING] = {"MDP-FINISHING", NULL, NULL, "open", LOG_LEVEL_INFO},
    [BROKER_HOLDING] = {"MDP-HOLDING", NULL, NULL, "open", LOG_LEVEL_INFO},
};

struct line {
    char text[768]; // a service's name, all of it escaped, and the rest
    size_t size;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *self, const char *format, ...)
{
    size_t room = sizeof self->text - self->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(self->text + self->size, room, format, arguments);
    va_end(arguments);
    if (size > 0)
        self->size += (size_t)size < room ? (size_t)size : room - 1;
}

// add_name adds ` service="..."`. A peer chose the name: what would end the quotes is
// escaped, or it could write fields of its own.
static void
add_name(struct line *self, struct view name)
{
    add(self, " service=\"");
    for (size_t i = 0; i < name.size; i++) {
        bool is_special = name.data[i] == '"' || name.data[i] == '\\';
        add(self, "%s%c", is_special ? "\\" : "", name.data[i]);
    }
    add(self, "\"");
}

// write writes a line for a fact. Names of services are printable, and routing ids are never
// shown: peer is a hash.
static void
write(const struct broker_trace *trace, bool is_pirate)
{
    const struct fact_words *words = &facts[trace->fact];
    if (!log_is_on(words->level))
        return;
    struct line line = {.size = 0};
    if (trace->worker != 0)
        add(&line, " worker=%llu", (unsigned long long)trace->worker);
    if (trace->peer != 0)
        add(&line, " peer=%08x", (unsigned)trace->peer);
    if (trace->service.size > 0 && !is_pirate)
        add_name(&line, trace->service);
    if (trace->status != 0 && !is_pirate)
        add(&line, " status=%u", (unsigned)trace->status);
    if (words->why != NULL && trace->why != NULL)
        add(&line, " %s=\"%s\"", words->why, trace->why);
    if (words->count != NULL)
        add(&line, " %s=%llu", words->count, (unsigned long long)trace->count);
    log_write(words->level, is_pirate ? words->pirate_code : words->code, "%s", line.text + 1);
}

void
broker_log_majordomo(void *context, const struct broker_trace *trace)
{
    (void)context;
    write(trace, false);
}

void
broker_log_pirate(void *context, const struct broker_trace *trace)
{
    (void)context;
    write(trace, true);
}
