// log.h - one line for each change of state, to standard error.
//
//     log_warn("MDP-PEER-REJECTED", "peer=%08x why=\"%s\"", peer, why);
//
// writes `warn MDP-PEER-REJECTED peer=0a1b2c3d why="invalid_header"`. The code is a literal
// that never changes its meaning, so that a script can look for it; what follows is
// key=value. Of each code at most 20 lines are written in a second, and then how many
// were left out: with the next line of any code, by log_catch_up, or at exit. Nothing is written
// before log_set_level: a library keeps quiet in other people's programs.
//
// Any thread may write.

#ifndef GALLEON_LOG_H
#define GALLEON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_OFF, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

// LOG_LEVEL_NAMES is what log_level_parse reads.
#define LOG_LEVEL_NAMES "off, error, warn, info or debug"

void log_set_level(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level_out);
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// log_catch_up says what was left out in seconds that are over. It is for a loop that turns
// at least now and then; where there is nothing to say it costs next to nothing.
void log_catch_up(uint64_t now_ns);

#define log_at(level, ...) (log_is_on(level) ? log_write(level, __VA_ARGS__) : (void)0)
#define log_error(...)     log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)      log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)      log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)     log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
