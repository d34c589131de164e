// options.c - getopt_long, with sentences of our own.

#include "options.h"

#include "endpoints.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD_BYTES_MAX = 64, // longer words are near to nothing
    LETTER_MAX = 255,    // what getopt returns for a rule is above all letters
    HELP_COLUMN = 28
};

// Every program has these; they stand behind its own.
static const struct options_rule common_rules[] = {
    {"log-level", "LEVEL", "say more or less: " LOG_LEVEL_NAMES},
    {"help", NULL, "print this and exit"},
    {"version", NULL, "print the version and exit"},
    {0}};

enum { COMMON_LOG_LEVEL, COMMON_HELP, COMMON_VERSION, COMMON_RULES };

static int
count_rules(const struct options_rule *rules)
{
    int count = 0;
    while (rules != NULL && rules[count].name != NULL)
        count++;
    return count;
}

static const struct options_rule *
rule_at(const struct options *self, int at)
{
    int own = count_rules(self->rules);
    return at < own ? &self->rules[at] : &common_rules[at - own];
}

static int
count_all(const struct options *self)
{
    return count_rules(self->rules) + COMMON_RULES;
}

// ---- the nearest match ----------------------------------------------------------------

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

// distance is how many letters are to be put in, left out, changed, or swapped with
// their neighbour to make one word of the other.
static size_t
distance(const char *a, const char *b)
{
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > WORD_BYTES_MAX || b_size > WORD_BYTES_MAX)
        return WORD_BYTES_MAX;
    // Three rows of the table: before the last, the last, and this one.
    size_t rows[3][WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            row[j] = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = least(row[j], least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

const char *
options_nearest(const char *word, const char *const *names)
{
    const char *nearest = NULL;
    size_t size = strlen(word);
    // A third of the letters may be wrong, and one in any case.
    size_t nearest_distance = size / 3 + 2;
    for (size_t i = 0; names[i] != NULL; i++) {
        size_t letters = distance(word, names[i]);
        // The beginning of a longer word is near to it.
        if (size >= 2 && strncmp(word, names[i], size) == 0)
            letters = 1;
        if (letters < nearest_distance) {
            nearest_distance = letters;
            nearest = names[i];
        }
    }
    return nearest;
}

// ---- what is said -----------------------------------------------------------------------

void
options_fail(const struct options *self, const char *format, ...)
{
    fprintf(stderr, "%s: ", self->program);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry '%s --help'.\n", self->program);
    exit(EXIT_USAGE);
}

static void
print_help(const struct options *self)
{
    printf("usage: %s %s\n", self->program, self->synopsis);
    if (self->about != NULL)
        printf("\n%s\n", self->about);
    printf("\n");
    for (int i = 0; i < count_all(self); i++) {
        const struct options_rule *rule = rule_at(self, i);
        const char *argument = rule->argument == NULL ? "" : rule->argument;
        int width = printf("  --%s%s%s", rule->name, *argument == '\0' ? "" : " ", argument);
        printf("%*s%s\n", width < HELP_COLUMN ? HELP_COLUMN - width : 1, "", rule->help);
    }
}

// check_beginning fails where the word is the beginning of an option's name: of more than
// one, or of one that was given a value it does not take.
static void
check_beginning(const struct options *self, const char *word)
{
    char list[256] = "";
    const char *name = NULL;
    size_t count = 0, size = 0;
    for (int i = 0; i < count_all(self); i++) {
        if (*word == '\0' || strncmp(word, rule_at(self, i)->name, strlen(word)) != 0)
            continue;
        name = rule_at(self, i)->name;
        if (strcmp(word, name) == 0)
            options_fail(self, "--%s takes no value", name);
        if (size < sizeof list)
            size += (size_t)snprintf(list + size, sizeof list - size, "%s--%s",
                                     count == 0 ? "" : " or ", name);
        count++;
    }
    if (count == 1)
        options_fail(self, "--%s takes no value", name);
    if (count > 1)
        options_fail(self, "--%s is not clear; it may be %s", word, list);
}

// fail_on_unknown names the option that may have been meant.
static _Noreturn void
fail_on_unknown(const struct options *self, const char *option)
{
    const char *names[64] = {NULL};
    int count = count_all(self);
    for (int i = 0; i < count && i < 63; i++)
        names[i] = rule_at(self, i)->name;
    char word[WORD_BYTES_MAX + 1];
    snprintf(word, sizeof word, "%s", option + strspn(option, "-"));
    word[strcspn(word, "=")] = '\0';
    if (strncmp(option, "--", 2) == 0)
        check_beginning(self, word);
    const char *nearest = options_nearest(word, names);
    if (nearest != NULL)
        options_fail(self, "there is no option %s; did you mean --%s?", option, nearest);
    if (option[1] != '-' && option[1] > ' ' && option[1] < 0x7f)
        options_fail(self, "there is no option -%c", option[1]);
    options_fail(self, "there is no option %s", option);
}

// wrong_word is the word that getopt has stopped at. It is on its way through one of
// letters, none of which is an option: at the end of a word only behind its only letter.
static const char *
wrong_word(const struct options *self)
{
    const char *next = self->argv[optind];
    bool is_letter = optopt != 0 && optopt <= LETTER_MAX;
    if (is_letter && next != NULL && next[0] == '-' && next[1] == (char)optopt && next[2] != '\0')
        return next;
    return self->argv[optind - 1];
}

// ---- reading the line ---------------------------------------------------------------------

void
options_init(struct options *self, int argc, char **argv)
{
    int count = count_all(self);
    self->argc = argc;
    self->argv = argv;
    self->long_options = calloc((size_t)count + 1, sizeof *self->long_options);
    if (self->long_options == NULL)
        options_fail(self, "out of memory");
    for (int i = 0; i < count; i++) {
        const struct options_rule *rule = rule_at(self, i);
        self->long_options[i] = (struct option){
            .name = rule->name,
            .has_arg = rule->argument == NULL ? no_argument : required_argument,
            .val = LETTER_MAX + 1 + i, // where two have the same, getopt takes the first
        };
    }
    log_set_level(self->log_level);
    opterr = 0;
    optind = 1;
}

// count_rest counts what stands behind the dashes, which getopt drops when it comes to
// them. Dashes that are the value of the next option are not known here; once it is read,
// they are behind us.
static size_t
count_rest(const struct options *self)
{
    for (int i = optind; i < self->argc; i++)
        if (strcmp(self->argv[i], "--") == 0)
            return (size_t)(self->argc - i - 1);
    return 0;
}

static void
end(struct options *self)
{
    self->arguments = self->argv + optind;
    self->argument_count = (size_t)(self->argc - optind) - self->rest_count;
    self->rest = self->arguments + self->argument_count;
    free(self->long_options);
    self->long_options = NULL;
}

static void
on_common(struct options *self, int rule)
{
    enum log_level level;
    switch (rule) {
    case COMMON_LOG_LEVEL:
        if (!log_level_parse(optarg, &level))
            options_fail(self, "--log-level: '%s' is none of " LOG_LEVEL_NAMES, optarg);
        log_set_level(level);
        break;
    case COMMON_HELP:
        print_help(self);
        exit(EXIT_DONE);
    default:
        printf("%s %s\n", self->program, GALLEON_VERSION);
        exit(EXIT_DONE);
    }
}

int
options_next(struct options *self)
{
    for (;;) {
        self->rest_count = count_rest(self);
        int got = getopt_long(self->argc, self->argv, ":", self->long_options, NULL);
        if (got == -1) {
            end(self);
            return OPTIONS_END;
        }
        if (got == ':')
            options_fail(self, "%s needs a value", self->argv[optind - 1]);
        if (got <= LETTER_MAX)
            fail_on_unknown(self, wrong_word(self));
        int at = got - LETTER_MAX - 1;
        int own = count_rules(self->rules);
        if (at < own) {
            self->name = self->rules[at].name;
            self->value = optarg;
            return at;
        }
        on_common(self, at - own);
    }
}

// ---- values ---------------------------------------------------------------------------------

uint64_t
options_number(const struct options *self, uint64_t min, uint64_t max)
{
    uint64_t number;
    struct view text = view_of(self->value, strlen(self->value));
    if (!text_parse_number(text, &number) || number < min || number > max)
        options_fail(self, "--%s: '%s' is not a whole number from %llu to %llu", self->name,
                     self->value, (unsigned long long)min, (unsigned long long)max);
    return number;
}

size_t
options_choice(const struct options *self, const char *const *names)
{
    size_t count = 0;
    for (; names[count] != NULL; count++)
        if (strcmp(self->value, names[count]) == 0)
            return count;
    char list[256] = "";
    for (size_t i = 0, size = 0; i < count && size < sizeof list; i++)
        size += (size_t)snprintf(list + size, sizeof list - size, "%s%s",
                                 i == 0 ? "" : (i + 1 == count ? " or " : ", "), names[i]);
    options_fail(self, "--%s: '%s' is none of %s", self->name, self->value, list);
}

mdp_dialect_t
options_dialect(const struct options *self)
{
    static const char *const names[] = {"auto", "g1", "0.2", "0.1", NULL};
    static const mdp_dialect_t dialects[] = {MDP_AUTO, MDP_G1, MDP_02, MDP_01};
    return dialects[options_choice(self, names)];
}

void
options_add_endpoint(const struct options *self, char **list_p)
{
    struct endpoints endpoints;
    if (!endpoints_init(&endpoints, self->value))
        options_fail(self, "--%s: '%s' is no endpoint; one looks like tcp://127.0.0.1:5555",
                     self->name, self->value);
    endpoints_release(&endpoints);
    size_t size = *list_p == NULL ? 0 : strlen(*list_p);
    size_t room = size + strlen(self->value) + 2;
    char *list = realloc(*list_p, room);
    if (list == NULL)
        options_fail(self, "out of memory");
    snprintf(list + size, room - size, "%s%s", size == 0 ? "" : ",", self->value);
    *list_p = list;
}
