// options.h - the command line of a program, and what it says when it is wrong.
//
//     enum { BROKER, CREDIT };
//     static const struct options_rule rules[] = {
//         [BROKER] = {"broker", "EP", "a broker's endpoint"},
//         [CREDIT] = {"credit", "N", "requests held at once"},
//         {0}};
//     struct options options = {.program = "mdworker", .synopsis = "...", .rules = rules};
//     options_init(&options, argc, argv);
//     for (int rule; (rule = options_next(&options)) != OPTIONS_END;)
//         switch (rule) {
//         case CREDIT: credit = options_number(&options, 1, 1024); break;
//         ...
//
// Every program has --help, --version and --log-level beside its own. Whatever is
// wrong with the line ends the program with exit code 2 and a sentence that says what
// to do; nobody has to check anything a second time.

#ifndef GALLEON_OPTIONS_H
#define GALLEON_OPTIONS_H

#include "log.h"

#include <galleon/mdp.h>

#include <stddef.h>
#include <stdint.h>

// The exit codes of all programs.
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_TIMED_OUT = 3, EXIT_NO_SERVICE = 4 };

enum { OPTIONS_END = -1 };

struct options_rule {
    const char *name;     // "heartbeat", without the dashes; NULL ends the table
    const char *argument; // "MS"; NULL: it takes none
    const char *help;     // one line
};

struct options {
    // To be set.
    const char *program;
    const char *synopsis; // what follows the program's name: "[OPTION]... SERVICE"
    const char *about;    // what the program does; may have several lines
    const struct options_rule *rules;
    enum log_level log_level; // where --log-level is not given

    // The option that options_next returned.
    const char *name;
    const char *value; // NULL where it takes none

    // After OPTIONS_END: what is no option, and what stands behind `--`.
    char **arguments;
    size_t argument_count;
    char **rest;
    size_t rest_count;

    int argc;
    char **argv;
    struct option *long_options;
};

void options_init(struct options *self, int argc, char **argv);

// options_next returns the place in `rules` of the next option, OPTIONS_END after the
// last one.
int options_next(struct options *self);

// options_number is the option's value, a whole number from min to max.
uint64_t options_number(const struct options *self, uint64_t min, uint64_t max);

// options_choice is the place of the option's value in `names`, which NULL ends.
size_t options_choice(const struct options *self, const char *const *names);

// options_dialect reads auto, g1, 0.2 or 0.1.
mdp_dialect_t options_dialect(const struct options *self);

// options_add_endpoint adds the option's value, which has to be a list of endpoints to
// connect to (endpoints.h), to another such list: *list_p, on the heap, NULL to begin with.
void options_add_endpoint(const struct options *self, char **list_p);

// options_fail says what is wrong with the line and ends the program.
_Noreturn void options_fail(const struct options *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// options_nearest is the one of `names`, which NULL ends, that somebody may have meant
// who wrote `word`; NULL where none is near.
const char *options_nearest(const char *word, const char *const *names);

#endif
